#!/bin/bash
# Runs the unit and integration tests of a sanitizer's build: test-sanitized.sh asan-ubsan|tsan.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=$1
if [[ -z ${ENGINE_DB_ALL_CHECKS:-} ]]; then
  echo "Skipped: test.sh builds and runs this."
  exit 77
fi
rules=$PWD/tests/sanitizers
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export LSAN_OPTIONS=suppressions=$rules/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
if [[ $preset == tsan ]]; then
  export LD_PRELOAD=$PWD/build-tsan/tests/libengine_db_tsan_ordering.so  # see tests/sanitizers/ordering.cc
fi
export TSAN_OPTIONS=suppressions=$rules/tsan.supp:history_size=7:second_deadlock_stack=1
exec ctest --preset "$preset" --label-regex '^(unit|integration)$' --parallel "$(nproc)"
