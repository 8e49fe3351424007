#!/bin/bash
# Lints the contract with buf, which `npm install` brings (exit code 77: skipped, since it is not there).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
buf=node_modules/.bin/buf
if [[ ! -x $buf ]]; then
  echo "Skipped: buf is not installed (npm install)."
  exit 77
fi
exec "$buf" lint proto
