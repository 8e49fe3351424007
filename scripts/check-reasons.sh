#!/bin/bash
# Fails when a reason of an error is written as a literal outside of the lists of reasons (docs/reasons.md says which): check-reasons.sh [ROOT]
# Tests may, as may comments and documentation. Without ROOT the check also proves on a temporary tree that it finds them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
names=$(sed -n 's/^| `\([A-Z_0-9]*\)` |.*/\1/p' docs/reasons.md | paste -sd '|')

# check ROOT: prints each literal and fails if there is one.
check() {
  local found
  # A known name; or what looks like a new one, where a reason is given or compared.
  found=$(cd "$1" && find sdk client server \( -name '*.h' -o -name '*.cc' -o -name '*.py' \) \
    -not -path '*/reasons.*' -not -path 'server/base/reason.cc' -not -name '_http2.py' -not -path '*/examples/*' -print0 |
    xargs -0 --no-run-if-empty grep -nHE "\"($names)\"|(reason(\(\))? *[!=]?=|[Rr]equest_error\(|_error\(|Refuse\(|InvalidRequest\([^,]*,|make_info\([^,]*,) *\"[A-Z][A-Z0-9_]+\"" |
    grep -vE '^[^:]*:[0-9]*: *(//|#|\*)|//.*"|  # .*"' || true)
  if [[ -n $found ]]; then
    echo "$found"
    echo "Write the constant: Reason::k… in the gateway, reasons::k… in C++, reasons.… in Python. CONTRIBUTING.md tells how to add one."
    return 1
  fi
}

source scripts/proofs.sh

# prove FILE TEXT: a tree with that line is refused.
prove() {
  new_tree
  mkdir -p "$tree/$(dirname "$1")"
  echo "$2" >"$tree/$1"
  refuses "$tree" "$2 in $1"
}
prove server/sql/a.cc 'return Full("POOL_EXHAUSTED");'
prove server/sql/a.cc 'return InvalidRequest("field", "BRAND_NEW", "text");'
prove client/cpp/src/a.cc 'if (error.reason() == "SOMETHING") return;'
prove client/cpp/src/a.cc 'info.reason = "SOMETHING_NEW";'
prove client/python/engine_db_postgres/a.py 'raise request_error("SOMETHING_NEW", field, "text")'
