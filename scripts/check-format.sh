#!/bin/bash
# Fails when clang-format would change a file. Versions differ in what they would change: this is version 14's opinion, and another version is
# not asked (exit code 77: skipped).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! clang-format --version | grep --quiet "version 14\."; then
  echo "Skipped: this is not clang-format 14."
  exit 77
fi
scripts/source-files.sh | xargs clang-format --dry-run --Werror
