#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Tests the modules with the other end of the ansible-core versions that the collection works with: a step of release-check.
# $1: folder of the programs that the other tests run with
# $2: virtual environment for these; made when it is not there
# $3: "prepare" only makes it
set -euo pipefail

main=$1 venv=$2
in_use=$("$main/python" -c 'from ansible.release import __version__; print(__version__)')
case $in_use in
  2.19.*) wanted='>=2.21,<2.22' pythons='3.13 3.12' ;;
  *) wanted='>=2.19,<2.20' pythons='3.13 3.12 3.11' ;;
esac

found=
for version in $pythons; do
  for candidate in "python$version" "$HOME/.pyenv/versions/$version".*/bin/python; do
    # Asked to run, as a pyenv shim of a version that is not selected only pretends to be one.
    if [ -z "$found" ] && "$candidate" -c 'import venv' 2>/dev/null; then
      found=$candidate
    fi
  done
done
if [ -z "$found" ]; then
  echo "The modules were tested with ansible-core $in_use only: ansible-core$wanted needs one of Python $pythons."
  exit 0
fi

stamp="$("$found" -VV) $wanted $(cat server/pyproject.toml)"
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -rf "$venv"
  "$found" -m venv "$venv"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check \
    "ansible-core$wanted" hypothesis pytest pytest-xdist requests -e ./server
  echo "$stamp" >"$venv/.stamp"
fi

[ "${3:-}" != prepare ] || exit 0

echo "The modules with $("$venv/bin/ansible" --version | head -1) on $("$venv/bin/python" -V):"
# Only what meets ansible-core: the engine, both ways in, and real playbooks.
"$venv/bin/python" -m pytest -q -n 2 --dist loadfile tests/unit tests/contract/test_upstream.py \
  tests/contract/test_agreement.py tests/contract/test_jobs.py tests/contract/test_playbook.py
