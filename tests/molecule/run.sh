#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs molecule scenarios, each on hosts of a lab of its own.
#
#   run.sh SCENARIO              shows what molecule says
#   run.sh [SCENARIO...]         by default all of them, two at a time; what molecule says is kept in .cache/molecule
#   run.sh --if-root SCENARIO    says so and does nothing when root is missing
#   run.sh --prepare             builds what hosts start from, in the background: a run waits for it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(cd "$here/../.." && pwd -P)
: "${LAB_NAME:=mol}" "${VENV:=$checkout/.venv}"
export LAB_NAME

export PYTHON=$VENV/bin/python

case ${1:-} in
  --one-of-several)
    log=$checkout/.cache/molecule/$2.log result=passed
    mkdir -p "$(dirname "$log")"
    LAB_NAME=$LAB_NAME${slot:?} "$here/run.sh" "$2" >"$log" 2>&1 || result="failed, see $log"
    printf '%-20s %2d:%02d %s\n' "$2" $((SECONDS / 60)) $((SECONDS % 60)) "$result"
    [ "$result" = passed ]
    exit
    ;;
  --prepare)
    if [ "$(id -u)" = 0 ]; then "$checkout/tests/lab/lab.sh" base </dev/null >/dev/null 2>&1 & fi
    exit
    ;;
  --if-root)
    shift
    if [ "$(id -u)" != 0 ]; then
      echo "Not run, since hosts of a lab need root: molecule $*"
      exit
    fi
    ;;
esac

if [ $# = 0 ]; then
  for file in "$here"/*/molecule.yml; do set -- "$@" "$(basename "$(dirname "$file")")"; done
fi
if [ $# -gt 1 ]; then
  "$checkout/tests/lab/lab.sh" base
  printf '%s\n' "$@" | xargs -n 1 -P 2 --process-slot-var=slot "$here/run.sh" --one-of-several
  exit
fi
scenario=$1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/collections/ansible_collections/borgfleet"
ln -s "$checkout" "$work/collections/ansible_collections/borgfleet/bbs"

# What the scenario upgrade starts from: the last server whose schema had no catalogues.
take_older() {
  local found
  found=$(git -C "$checkout" log --diff-filter=A --format=%H -- server/bbs_server/migrations/0004_execution.py | tail -n 1)
  if [ -z "$found" ]; then
    echo "The scenario upgrade needs the project's history: this is not a whole clone." >&2
    exit 1
  fi
  mkdir "$work/older"
  git -C "$checkout" archive "$found^" server | tar -x -C "$work/older"
}

# The user's own settings must not change what is tested, and nothing is kept in the user's home.
for name in $(compgen -e | grep -E '^(ANSIBLE|BBS|MOLECULE)_' || true); do unset "$name"; done
export PATH=$VENV/bin:$PATH PYTHONWARNINGS=ignore
export ANSIBLE_COLLECTIONS_PATH=$work/collections ANSIBLE_HOME=$work/ansible XDG_CACHE_HOME=$work/cache
export MOLECULE_GLOB="$here/*/molecule.yml" BBS_LAB=$checkout/tests/lab/lab.sh BBS_CHECKOUT=$checkout BBS_WORK=$work

# Hosts of another scenario have the same addresses: connections to those must not be used for these.
export ANSIBLE_SSH_CONTROL_PATH_DIR=$work/connections

cd "$checkout/tests"
[ "$scenario" != upgrade ] || take_older
"$BBS_LAB" run molecule --base-config "$here/base.yml" test --scenario-name "$scenario" --destroy always
