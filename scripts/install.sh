#!/bin/bash
# Installs what is missing to build and run the project (`install.sh build`), or to test it as well (`install.sh test`), from the
# packages of Debian 12 or 13. Needs root or sudo, but only when something is missing.
set -euo pipefail

case "${1:-}" in
  build | test) purpose=$1 ;;
  *) echo "usage: scripts/install.sh build|test" >&2; exit 2 ;;
esac

packages=(
  g++ cmake ninja-build pkg-config
  protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev libabsl-dev
  libpq-dev libpqxx-dev libpg-query-dev
  prometheus-cpp-dev libyaml-cpp-dev nlohmann-json3-dev libspdlog-dev libcli11-dev
)
if [[ $purpose == test ]]; then
  packages+=(ccache libgtest-dev libgmock-dev)
  packages+=(clang-format clang-tidy clang libclang-rt-dev ca-certificates)  # the last for npm
  packages+=(python3-protobuf python3-pydantic python3-setuptools python3-wheel python3-venv python3-pip python3-pytest
    mypy python3-pandas)
  packages+=(python3-grpcio python3-psycopg python3-psycopg-pool)  # what the gateway and its Python package are compared with
  packages+=(debootstrap)  # an empty Debian to try it on
  packages+=(libfaketime libnss-wrapper)  # a clock that jumps, a host name that moves
  # Another distributor's npm brings its own node, and Debian's would conflict with it.
  command -v npm >/dev/null || packages+=(npm)
fi

installed() { [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

if ! command -v apt-get >/dev/null; then
  echo "This is no Debian system, so nothing is installed. The build needs: ${packages[*]} postgresql pgbouncer"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
# Any version of the server will do, wherever its package comes from.
need_server=false
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || need_server=true
need_pgbouncer=false
if [[ $purpose == test ]] && ! installed pgbouncer; then need_pgbouncer=true; fi

if [[ ${#missing[@]} == 0 && $need_server == false && $need_pgbouncer == false ]]; then
  exit 0
fi

as_root() {
  if [[ $EUID == 0 ]]; then "$@"; else sudo "$@"; fi
}
if [[ $EUID != 0 ]] && ! command -v sudo >/dev/null; then
  echo "Missing packages need root: run scripts/install.sh $purpose as root, or install sudo." >&2
  exit 1
fi
apt_install() {
  echo "Installing: $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "$@" </dev/null >/dev/null
}

echo "Some packages are missing; reading the package lists."
as_root apt-get update --quiet=2
if [[ ${#missing[@]} != 0 ]]; then apt_install "${missing[@]}"; fi

if [[ $need_server == true ]]; then
  # Debian's package would make a database cluster of the system's and start it. Only the programs are wanted, so that is switched off, where
  # there is no such cluster to serve yet.
  installed postgresql-common || apt_install postgresql-common
  as_root sed --in-place 's/^#\?create_main_cluster *=.*/create_main_cluster = false/' \
    /etc/postgresql-common/createcluster.conf
  apt_install postgresql
fi

if [[ $need_pgbouncer == true ]]; then
  apt_install pgbouncer
  # The same: the program is wanted, not the service.
  if [[ -d /run/systemd/system ]]; then as_root systemctl disable --quiet --now pgbouncer; fi
fi
