#!/bin/bash
# Fuzzes one target of tests/fuzz, from its corpus and from what earlier runs have learnt: fuzz.sh TARGET SECONDS
# The same inputs each time, from the corpus alone and at most so many:                    fuzz.sh TARGET SECONDS SEED INPUTS
# What it finds is left in build-fuzz/finds/TARGET and named in the output. Exit code 77: skipped, since it is not built
# (scripts/build.sh fuzz fuzz_targets).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$1
seconds=$2
seed=${3:-0}     # 0: another one each time
inputs=${4:--1}  # -1: no end
program=build-fuzz/bin/$target
if [[ ! -x $program ]]; then
  echo "Skipped: $program is not built. That needs clang (scripts/install.sh test), and scripts/build.sh fuzz fuzz_targets."
  exit 77
fi

finds=build-fuzz/finds/$target
# Of this build only; the checked-in corpus stays as it is.
learnt=build-fuzz/corpus/$target
if [[ $seed != 0 ]]; then
  learnt=$(mktemp -d)
  trap 'rm -rf "$learnt"' EXIT
fi
mkdir -p "$finds" "$learnt"
dictionary=tests/fuzz/$target.dict

# Protobuf and abseil are the distribution's, built without AddressSanitizer: what they put into a std::string or std::vector of ours
# would look like an overflow of its container.
export ASAN_OPTIONS=detect_container_overflow=0:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
status=0
# A minute for one input, which takes milliseconds: libFuzzer's clock also runs while other programs have the processor.
# libFuzzer's own exit code for a find is 77, which would be taken for "skipped".
"$program" -error_exitcode=1 -timeout_exitcode=1 -seed="$seed" -runs="$inputs" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$finds/" \
  ${dictionary:+$([[ -f $dictionary ]] && echo "-dict=$dictionary")} "$learnt" "tests/fuzz/corpus/$target" || status=$?
if [[ $status != 0 ]]; then
  echo "The input for which it fails is the newest file of $finds; run: $program $finds/FILE" >&2
  ls -t "$finds" | head -1 >&2
fi
exit "$status"
