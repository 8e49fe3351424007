#!/bin/bash
# Builds the libraries and programs with clang, which holds the code to its lock annotations (ABSL_GUARDED_BY and the like). Exit code 77: skipped,
# since there is no clang.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v clang++ >/dev/null; then
  echo "Skipped: clang is not installed (scripts/install.sh test)."
  exit 77
fi
exec scripts/build.sh thread-safety
