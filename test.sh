#!/bin/bash
# Installs what is missing, builds, and runs every test, the format check and buf's lint of the contract. Ends with ctest's summary.
#   ./test.sh --all   also clang-tidy, and the unit and integration tests again under sanitizers (asan-ubsan, tsan): an hour on 2 cores
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null  # nobody is there to answer a question

presets=(dev)
selection=(--label-exclude thorough)
case "$*" in
  "") ;;
  --all)
    presets+=(asan-ubsan tsan)
    selection=()
    export ENGINE_DB_ALL_CHECKS=1
    ;;
  *) sed -n '2,3s/^# \?//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

scripts/install.sh test
# Of that very version; its binaries come as packages too, so no script of theirs has to run.
npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error

for preset in "${presets[@]}"; do
  echo "Building: $preset"
  scripts/build.sh "$preset"
done
if command -v clang++ >/dev/null; then
  echo "Building: fuzz"
  scripts/build.sh fuzz fuzz_targets
fi

# Tests wait more than they compute, but those under sanitizers and clang-tidy fill all cores and run by themselves (RUN_SERIAL).
exec ctest --preset dev --parallel "$(nproc)" "${selection[@]}"
