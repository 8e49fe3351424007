#!/bin/bash
# Installs what is missing, builds, and runs every test and check. Ends with ctest's summary of all of them: the tests themselves, the unit and
# integration tests again under sanitizers (asan-ubsan, tsan), formatting, clang-tidy, and buf's lint of the contract.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null  # nobody is there to answer a question

scripts/install.sh test
# Of that very version; its binaries come as packages too, so no script of theirs has to run.
npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error

for preset in release asan-ubsan tsan; do
  echo "Building: $preset"
  scripts/build.sh "$preset"
done

# Tests wait more than they compute, but those under sanitizers and clang-tidy fill all cores and run by themselves (RUN_SERIAL).
ENGINE_DB_ALL_CHECKS=1 exec ctest --preset release --parallel "$(nproc)"
