#!/bin/bash
# Does on an empty Debian what a newcomer does who reads the README: test-on.sh bookworm|trixie [--all]
# In a root that debootstrap makes, with nothing but git, a clone of HEAD is to answer by `./run.sh --once`. Its unit tests and a program that uses
# the installed client follow; with --all the whole `./test.sh` does. Exit code 77: skipped, where debootstrap can't run.
# What is downloaded or compiled is kept in build/test-on for the next time, but for what run.sh compiles: that is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
  echo "Skipped: $*"
  exit 77
}
usage() {
  sed -n '2s/^# \?//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

release=${1:-}
case "$release" in bookworm | trixie) ;; *) usage ;; esac
case "${*:2}" in "" | --all) all=${2:-} ;; *) usage ;; esac
kept=$PWD/build/test-on/$release

# --- within the root, in namespaces of its own: what is mounted or started here goes with them ---

if [[ -n ${ENGINE_DB_TEST_ROOT:-} ]]; then
  root=$ENGINE_DB_TEST_ROOT
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mkdir -p "$kept/packages/partial" "$kept/ccache" "$root/root/.cache/ccache"
  mount --bind "$kept/packages" "$root/var/cache/apt/archives"
  mount --bind "$kept/ccache" "$root/root/.cache/ccache"

  # A newcomer's environment, and what this machine needs to reach others.
  environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb ENGINE_DB_TEST_ON="$release")
  while IFS= read -r name; do environment+=("$name=${!name}"); done < <(compgen -e | grep -E '(_proxy|_PROXY|_CA_CERTS|_CERT_FILE)$')
  there() { env --ignore-environment "${environment[@]}" chroot "$root" /bin/bash -c "cd /root/engine-db && $1" </dev/null; }

  started=$SECONDS
  there "./run.sh --once"
  echo "test-on.sh: from nothing to the answer on $release: $((SECONDS - started)) s"
  if [[ -n $all ]]; then
    there "./test.sh"
  else
    there "scripts/install.sh test && scripts/build.sh dev unit_tests && ctest --preset dev --label-regex '^(unit|consumer)$'"
  fi
  echo "test-on.sh: done on $release after $((SECONDS - started)) s"
  exit
fi

# --- whether it can be done ---

[[ -z ${ENGINE_DB_TEST_ON:-} ]] || skip "this is such a root itself."
[[ $EUID == 0 ]] || skip "only root may make a root for $release."
command -v debootstrap apt-get >/dev/null || skip "debootstrap is not installed (scripts/install.sh test, on Debian)."
unshare --mount --pid --fork true 2>/dev/null || skip "this process may not have namespaces of its own."
git rev-parse --quiet --verify HEAD >/dev/null 2>&1 || skip "this is no git checkout."
# Debian's archive as this machine reaches it.
mirror=$(apt-get update --print-uris 2>/dev/null | sed -nE "s,^'(.*)/dists/(bookworm|trixie|oldstable|stable|testing)/main/.*,\1,p")
mirror=${mirror%%$'\n'*}
if [[ $mirror == mirror+file:* ]]; then mirror=$(awk '/^[a-z]/ { print $1; exit }' "${mirror#mirror+file:}"); fi  # Debian's cloud images
[[ -n $mirror ]] || skip "no source of Debian is named in /etc/apt."

mkdir -p "$kept"
exec {lock}>"$kept/.lock"
flock "$lock"
root=$kept/root
inside=
remove_rest() { rm -rf --one-file-system "$root" "$kept/base.new" "$kept/base.tar.new"; }
cleanup() {
  trap '' INT TERM
  if [[ -n $inside ]] && kill -s KILL "$inside" 2>/dev/null; then wait "$inside" || true; fi
  remove_rest
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# All that COMMAND starts or mounts ends with it, and it ends with this script.
apart() {
  local status=0
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child "$@" &
  inside=$!
  wait "$inside" || status=$?
  inside=
  return "$status"
}
remove_rest  # of one that was killed

# --- the empty root ---

if [[ -z $(find "$kept" -maxdepth 1 -name base.tar -mtime -7) ]]; then
  mkdir "$kept/base.new"
  if ! apart debootstrap --variant=minbase --include=git "$release" "$kept/base.new" "$mirror" >"$kept/debootstrap.log" 2>&1; then
    skip "debootstrap can't make $release from $mirror: $(tail -n 1 "$kept/debootstrap.log")"
  fi
  tar --create --one-file-system --file "$kept/base.tar.new" --directory "$kept/base.new" --exclude './var/cache/apt/archives/*.deb' .
  mv "$kept/base.tar.new" "$kept/base.tar"
fi
mkdir "$root"
tar --extract --file "$kept/base.tar" --directory "$root"

# How this machine reaches others: its resolver, what apt was told, and whom it trusts.
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
apt-config dump | grep -E '^Acquire::' | grep -vE '^Acquire::(IndexTargets|Changelogs|CompressionTypes)' >"$root/etc/apt/apt.conf.d/90this-machine"
authorities=/etc/ssl/certs/ca-certificates.crt
if [[ -f $authorities ]]; then
  install -D --mode 644 "$authorities" "$root$authorities"
  install -D --mode 644 "$authorities" "$root/usr/local/share/ca-certificates/this-machine.crt"  # for when ca-certificates is installed
fi

echo "test-on.sh: $release, $(git log -1 --format='commit %h (%s)')"
git -c safe.directory='*' clone --quiet "$PWD" "$root/root/engine-db"

export ENGINE_DB_TEST_ROOT=$root
apart scripts/test-on.sh "$release" $all
