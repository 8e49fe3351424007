#!/bin/bash
# Builds targets of a preset: build.sh PRESET [TARGET…], all of them when none is named. Waits for another build of the same folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=$1
shift

case "$preset" in
  release | dev) folder=build ;;
  *) folder=build-$preset ;;
esac
mkdir -p "$folder"
exec {lock}>"$folder/.lock"
flock "$lock"

# So that one checkout's objects serve another's.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=true

log=$folder/configure.log
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
# A compiler process of this code takes up to 1 GiB: with less than that for each core, fewer at a time.
jobs=$(nproc)
memory_gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
if ((memory_gib < jobs)); then jobs=$((memory_gib < 1 ? 1 : memory_gib)); fi
cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
