#!/bin/bash
# Lists the C++ files of the project (or those whose names end as the arguments say: .cc), one a line. Without git, since a released archive has none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if (($# == 0)); then set -- .h .cc; fi
for ending in "$@"; do
  find sdk client server tests -name "*$ending" -not -path '*/node_modules/*'
done | sort
