# shellcheck shell=bash disable=SC2154  # read by check.sh, which sets the variables
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Steps around the archive that Galaxy gets: built, imported, installed, used.

installed=$work/collections/ansible_collections/borgfleet/bbs

archive() { echo "$work"/dist/borgfleet-bbs-*.tar.gz; }

step_build() {
  "$tools/bin/ansible-galaxy" collection build "$tree" --output-path "$work/dist"
  tar tzf "$(archive)" >"$work/contents"
  # What a user needs of it beside plugins and roles, and what nobody does.
  grep -qx server/pyproject.toml "$work/contents" && grep -qx docs/examples/quickstart.yml "$work/contents"
  if grep -E '^\.(git|ci|cache|venv|github|pre-commit)|__pycache__|egg-info' "$work/contents"; then return 1; fi
  echo "note: $(stat -c %s "$(archive)" | numfmt --to=iec) bytes"
}

step_importer() {
  printf '[galaxy-importer]\nRUN_ANSIBLE_DOC = True\nRUN_ANSIBLE_LINT = True\nCHECK_REQUIRED_TAGS = True\nCHECK_CHANGELOG = True\nCHECK_RUNTIME_YAML = True\n' \
    >"$work/importer.cfg"
  (cd "$work/dist" && PATH=$tools/bin:$PATH GALAXY_IMPORTER_CONFIG=$work/importer.cfg \
    "$tools/bin/python" -m galaxy_importer.main "$(archive)") 2>&1 | tee "$work/imported"
  grep -qF 'Importer processing completed successfully' "$work/imported"
  if grep -E '^(WARNING|ERROR)' "$work/imported"; then return 1; fi
}

# The example playbook from the installed copy: server, agent and archive come from what Galaxy would deliver.
step_install() {
  export ANSIBLE_COLLECTIONS_PATH=$work/collections ANSIBLE_CONFIG=$installed/docs/examples/ansible.cfg
  export ANSIBLE_REMOTE_TEMP=$work/home/tmp
  "$VENV/bin/ansible-galaxy" collection install --offline -p "$work/collections" "$(archive)"
  "$VENV/bin/ansible-galaxy" collection verify --offline borgfleet.bbs
  local state=$work/quickstart port ssh_port playbook
  read -r port ssh_port < <(free_ports)
  mkdir -p "$state"
  trap 'end_quickstart "$work/quickstart"' EXIT
  for playbook in quickstart-server quickstart; do
    "$VENV/bin/ansible-playbook" "$installed/docs/examples/$playbook.yml" \
      -e "quickstart_directory=$state quickstart_virtualenv=$state/venv quickstart_port=$port quickstart_ssh_port=$ssh_port" \
      -e "{\"quickstart_backup\": [\"$installed/README.md\"]}"
  done
  "$state/venv/bin/bbs-server" --config "$state/server/bbs-server.toml" borg --client "$(hostname -s)" \
    --repository main -- list | grep '^plan'
}

end_quickstart() {
  if [ -x "$1/agent/bin/bbs-agent" ]; then "$1/agent/bin/bbs-agent" stop; fi
  if [ -x "$1/venv/bin/bbs-server" ]; then "$1/venv/bin/bbs-server" --config "$1/server/bbs-server.toml" stop; fi
}

free_ports() {
  "$VENV/bin/python" -c 'import socket
probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(probe.getsockname()[1] for probe in probes))'
}

# What an execution environment with the collection is built with.
step_environment() {
  "$tools/bin/ansible-builder" introspect "${tree%/ansible_collections/*}" | tee "$work/introspected"
  grep -q 'requests.*borgfleet.bbs' "$work/introspected" && grep -q 'openssh-client' "$work/introspected"
}
