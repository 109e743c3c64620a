#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Checks what knows itself only as the collection borgfleet.bbs: types of its plugins, its roles and playbooks.
# $1: folder of the programs
set -euo pipefail

bin=$(realpath -s "$1")
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/ansible_collections/borgfleet"
ln -s "$checkout" "$tree/ansible_collections/borgfleet/bbs"

cd "$tree"
plugins=ansible_collections.borgfleet.bbs.plugins
MYPYPATH=$tree "$bin/mypy" --strict --namespace-packages --explicit-package-bases --ignore-missing-imports \
  --allow-subclassing-any --cache-dir "$checkout/.mypy_cache" \
  -p $plugins.module_utils -p $plugins.plugin_utils -p $plugins.action -p $plugins.inventory

cd "$checkout"
PATH=$bin:$PATH ANSIBLE_COLLECTIONS_PATH=$tree ANSIBLE_HOME=$tree/home \
  "$bin/ansible-lint" --offline --nocolor roles docs/examples tests/integration/uri-playbook.yml
