# Sourced by a check-….sh that has a function `check ROOT`, which prints each fault of a folder and fails if there is one. With the script's argument
# ROOT this checks that folder and ends; without, it checks the project, and then `refuses` lets the script prove that its check finds what it should.

if (($# > 0)); then
  check "$1"
  exit
fi
check .

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# new_tree: an empty tree with the project's folders; its path is in $tree.
new_tree() {
  tree=$scratch/tree
  rm -rf "$tree"
  mkdir -p "$tree"/{sdk,client,server,tests}
}

# refuses TREE FAULT [MESSAGE]: fails unless the check refuses the tree, with this message. FAULT says what is wrong with it.
refuses() {
  local output
  if output=$(check "$1"); then
    echo "The check does not find $2." >&2
    exit 1
  elif [[ $output != *"${3:-}"* ]]; then
    echo "The check says of $2: $output" >&2
    exit 1
  fi
}
