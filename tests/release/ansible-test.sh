# shellcheck shell=bash disable=SC2153,SC2154  # read by check.sh, which sets the variables
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Steps with the two ends of the ansible-core versions that the collection works with, most of them by ansible-test.

# Everything in the tree is checked but Python in the style of the server, which ruff and mypy check: the server, the
# agent, the builder of the site, and the project's own tests. `ansible-test` would have `_` called a bad name in them.
excluded() {
  echo --exclude server/ --exclude docs/site/
  local path
  for path in "$tree"/tests/* "$tree"/tests/integration/*; do
    case $path in
      */tests/unit | */tests/integration | */integration/targets) continue ;;
    esac
    [ ! -d "$path" ] || path+=/
    echo --exclude "${path#"$tree/"}"
  done
}

# $1: virtual environment with ansible-core; the rest: arguments of ansible-test
ansible_test() {
  local venv=$1 path=$work/bin python
  shift
  ln -sf "$VENV/bin/shellcheck" "$work/bin/shellcheck"
  # The real interpreters: a pyenv shim of a version that is not selected only pretends to be one.
  for python in "$HOME"/.pyenv/versions/*/bin; do [ ! -x "$python/python" ] || path+=:$python; done
  (cd "$tree" && PATH=$venv/bin:$path:$PATH ansible-test "$@" --local --color no)
}

# ansible-test fetches pip from a host outside of the package index, which not everybody can reach: where its cache
# has none, put a script of that name there, which does the same with pip's wheel.
provide_pip() {
  local cache=$HOME/.ansible/test/cache version
  mkdir -p "$cache"
  for version in 24.2 25.2; do
    local script=$cache/get_pip_${version//./_}.py
    [ ! -e "$script" ] || continue
    "$VENV/bin/python" -m pip download -q --disable-pip-version-check --no-deps -d "$cache" "pip==$version"
    cat >"$script" <<PIP
import os, runpy, sys
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "pip-$version-py3-none-any.whl"))
options = [option for option in sys.argv[1:] if option not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--no-index", "--find-links", here] + options
runpy.run_module("pip", run_name="__main__", alter_sys=True)
PIP
  done
}

# Both virtual environments, the newest ansible-core first; only one when the machine has no Python for the other.
environments() {
  "$checkout/tests/other-ansible.sh" "$VENV/bin" "$other" prepare >&2
  local venv
  for venv in "$VENV" "$other"; do
    [ ! -x "$venv/bin/ansible-test" ] || echo "$("$venv/bin/python" -c 'import ansible.release as r; print(r.__version__)') $venv"
  done | sort -rV
}

step_sanity() {
  local version venv
  provide_pip
  environments >"$work/environments"
  mapfile -t exclude < <(excluded | tr ' ' '\n')
  while read -r version venv; do
    echo "ansible-core $version"
    ansible_test "$venv" sanity "${exclude[@]}"
    sees_defects "$venv"
    echo "note: ansible-core $version"
  done <"$work/environments"
}

# A run that looks at no file is clean as well.
sees_defects() {
  local planted=plugins/module_utils/_planted.py
  echo 'assert False' >"$tree/$planted"
  local found
  found=$(ansible_test "$1" sanity --test no-assert "${exclude[@]}" 2>&1 || true)
  rm "$tree/$planted"
  grep -F "$planted" <<<"$found" || { echo "ansible-test did not find a planted defect:" && echo "$found" && return 1; }
}

newest() { environments | head -1 | cut -d ' ' -f 2; }

step_units() {
  local venv
  venv=$(newest)
  ansible_test "$venv" units --python "$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
}

step_integration() { ansible_test "$(newest)" integration; }

# The tests of the modules themselves, with the ansible-core that `make test` does not use.
step_modules() (cd "$checkout" && tests/other-ansible.sh "$VENV/bin" "$other")
