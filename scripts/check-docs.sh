#!/bin/bash
# Fails when a Markdown file misleads: by a relative link, or a path in backticks, that leads nowhere, or when no link leads from README.md or
# CONTRIBUTING.md to a page of docs/: check-docs.sh [ROOT]
# Without ROOT the check also proves on a temporary tree that it finds each of these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What a file refers to: "link TARGET" for each link, "path TARGET" for each path in backticks that begins like one of the repository's. Code in
# fences is not looked at, nor are names with a wildcard or a gap.
references() {
  awk '
    function flush(    code, before) {
      while (match(text, /`[^`]+`/)) {
        code = substr(text, RSTART + 1, RLENGTH - 2)
        sub(/ .*/, "", code)
        text = substr(text, 1, RSTART - 1) " " substr(text, RSTART + RLENGTH)
        if (code ~ /^(client|cmake|deploy|docs|proto|scripts|sdk|server|tests)\/|^\.\/[a-z]+\.sh$/ && code !~ /[*{}<>$|…]/) print "path " code
      }
      while (match(text, /\]\([^) ]+\)/)) {
        code = substr(text, RSTART + 2, RLENGTH - 3)
        text = substr(text, RSTART + RLENGTH)
        sub(/#.*/, "", code)
        if (code != "" && code !~ /^[a-z]+:/) print "link " code
      }
      text = ""
    }
    /^```/ { fenced = !fenced }
    fenced || /^$/ { flush(); next }
    { text = text $0 " " }
    END { flush() }' "$1"
}

# check ROOT: prints each fault and fails if there is one.
check() (
  cd "$1"
  wrong=0
  declare -A reached=()
  unread=(README.md CONTRIBUTING.md)
  while read -r file; do
    while read -r kind target; do
      path=$target
      if [[ $kind == link ]]; then path=$(dirname "$file")/$target; fi
      # What has been released may be gone by now.
      if [[ ! -e $path && ! ($kind == path && $file == ./CHANGELOG.md) ]]; then
        echo "${file#./}: there is no $target"
        wrong=1
      fi
    done < <(references "$file")
  done < <(find . -name '*.md' -not -path '*/node_modules/*' -not -path './build*' | sort)

  while ((${#unread[@]} > 0)); do
    file=${unread[0]}
    unread=("${unread[@]:1}")
    if [[ -n ${reached[$file]:-} || $file != *.md || ! -f $file ]]; then continue; fi
    reached[$file]=1
    while read -r kind target; do
      if [[ $kind == link ]]; then unread+=("$(realpath --canonicalize-missing --relative-to . "$(dirname "$file")/$target")"); fi
    done < <(references "$file")
  done
  while read -r file; do
    if [[ -z ${reached[$file]:-} ]]; then
      echo "$file: no link leads here from README.md or CONTRIBUTING.md"
      wrong=1
    fi
  done < <(find docs -name '*.md' | sort)
  exit "$wrong"
)

source scripts/proofs.sh

# prove TEXT MESSAGE: a README with this text is refused with this message.
prove() {
  echo "$1" >"$scratch/README.md"
  refuses "$scratch" "what is wrong with: $1" "$2"
}
mkdir -p "$scratch/docs/more"
echo '[a page](more/page.md)' >"$scratch/docs/index.md"
echo '[back](../index.md)' >"$scratch/docs/more/page.md"
echo '[the index](docs/index.md#part), `docs/index.md`, `tests/*.md`, [elsewhere](https://example.org/none.md)' >"$scratch/README.md"
check "$scratch"
prove '[the index](docs/index.md) and [another](docs/none.md)' 'README.md: there is no docs/none.md'
prove '[the index](docs/index.md) and `server/none.cc`' 'README.md: there is no server/none.cc'
prove '[only one](docs/more/none.md)' 'docs/index.md: no link leads here'
prove 'nothing' 'docs/more/page.md: no link leads here'
