#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Checks the collection as Galaxy, ansible-test and its users will see it.
#
#   check.sh             everything: two rows of steps side by side
#   check.sh STEP...     these steps (sanity, units, integration, modules, build, importer, install, environment, docs,
#                        changelog, licences, hooks, site)
#
# Tools live in .cache, what is made on the way in a temporary folder. The log of a step is shown when it fails.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(cd "$here/../.." && pwd -P)
: "${VENV:=$checkout/.venv}"
other=$checkout/.cache/other-ansible tools=$checkout/.cache/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The user's own settings must not change what is checked.
for name in $(compgen -e | grep -E '^(ANSIBLE|BBS|GALAXY)_' || true); do unset "$name"; done
export here checkout VENV other tools work
export LC_ALL=C.UTF-8 ANSIBLE_HOME=$work/home ANSIBLE_NOCOLOR=1

# The files that git knows or would know, for the steps of one row: some leave traces in the tree.
copy_tree() {
  export tree=$work/$1/ansible_collections/borgfleet/bbs
  mkdir -p "$tree" "$work/bin"
  (cd "$checkout" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -f "$file" ] || printf '%s\0' "$file"
  done | xargs -0 cp --parents -t "$tree")
}

# The virtual environment with the community's tools.
make_tools() {
  local stamp
  stamp="$("$VENV/bin/python" -VV) $(cat "$here/requirements.txt")"
  if [ "$(cat "$tools/.stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$tools"
    "$VENV/bin/python" -m venv "$tools"
    "$tools/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"
    echo "$stamp" >"$tools/.stamp"
  fi
}

run_step() {
  local log=$work/$1.log began=$SECONDS code=0
  # A shell of its own: in one that is part of a condition, set -e means nothing.
  # shellcheck disable=SC2016
  bash -euo pipefail -c 'for file in ansible-test package documents; do source "$here/$file.sh"; done; "step_$1"' - "$1" \
    >"$log" 2>&1 || code=$?
  if [ $code != 0 ]; then
    cat "$log"
    echo "$1: failed; its log stands above"
    return 1
  fi
  echo "$1: ok ($((SECONDS - began)) s)$(sed -n 's/^note: /; /p' "$log" | tr -d '\n')"
}

# $1: the row's name; the rest: its steps
run_row() {
  copy_tree "$1"
  shift
  for step; do run_step "$step" || return 1; done
}

if [ $# != 0 ]; then
  make_tools
  run_row tree "$@"
else
  run_row first sanity integration modules &
  first=$!
  make_tools
  failed=0
  run_row second build importer install environment docs changelog licences hooks site units || failed=1
  wait $first || failed=1
  exit $failed
fi
