#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# From a fresh Debian or Ubuntu machine to a restorable archive. What it makes lies in two folders of the checkout, .venv
# and .quickstart, besides the distribution's packages and pip's own cache.
#
#   quickstart.sh          start the server, back this machine up, show the archives, restore a file
#   quickstart.sh stop     stop the server and the agent, keep everything
#   quickstart.sh clean    stop them and remove both folders
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
: "${QUICKSTART_DIRECTORY:=$checkout/.quickstart}" "${QUICKSTART_VIRTUALENV:=$checkout/.venv}"
: "${QUICKSTART_PORT:=8787}" "${QUICKSTART_SSH_PORT:=8722}" "${PYTHON:=python3}"
bin=$QUICKSTART_VIRTUALENV/bin
config=$QUICKSTART_DIRECTORY/server/bbs-server.toml
tmp=''
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT

# The locale and the user's own Ansible settings must not change what is shown, and nothing is kept in the user's home.
export LC_ALL=C.UTF-8 ANSIBLE_CONFIG=$checkout/docs/examples/ansible.cfg
export ANSIBLE_HOME=$QUICKSTART_DIRECTORY/ansible ANSIBLE_REMOTE_TEMP=$QUICKSTART_DIRECTORY/ansible/tmp
export ANSIBLE_COLLECTIONS_PATH=$QUICKSTART_DIRECTORY/collections

die() {
  printf '\nquickstart: %s\n' "$*" >&2
  exit 1
}

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

check_machine() {
  command -v "$PYTHON" >/dev/null || die "Python is not installed: install Python 3.11 or newer."
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$PYTHON" --version) is too old: Python 3.11 or newer is needed. Name one with PYTHON=/path/to/python3."
  if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
    local package
    package=$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    step "Installing the distribution's package $package, which Python needs to make virtual environments"
    { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
      --no-install-recommends "$package"; } >/dev/null ||
      die "The package $package could not be installed: install it yourself, or run this as root or with sudo."
  fi
}

install_programs() {
  # The stamp is written last and tells what is installed: an interrupted or outdated installation is made anew.
  local stamp=$QUICKSTART_VIRTUALENV/.quickstart
  if ! cmp -s "$checkout/server/pyproject.toml" "$stamp"; then
    "$PYTHON" -m venv "$QUICKSTART_VIRTUALENV"
    "$bin/python" -m pip install -q --disable-pip-version-check 'ansible-core>=2.19' requests -e "$checkout/server" ||
      die "The Python packages could not be installed: is the package index reachable?"
    cp "$checkout/server/pyproject.toml" "$stamp"
  fi
  "$bin/ansible-galaxy" collection install --offline --force -p "$QUICKSTART_DIRECTORY/collections" "$checkout" \
    >"$QUICKSTART_DIRECTORY/collection.log" 2>&1 || die "The collection could not be installed; see $QUICKSTART_DIRECTORY/collection.log"
}

# An argument that lets Ansible ask for the sudo password, when packages are missing and sudo wants one.
become_arguments() {
  if [ "$(id -u)" = 0 ] || { [ -x /usr/bin/borg ] && [ -x /usr/sbin/sshd ]; }; then return; fi
  command -v sudo >/dev/null ||
    die "borg or sshd is missing, and there is no sudo to install them with: run 'apt-get install borgbackup openssh-server' as root."
  if sudo -n true 2>/dev/null; then return; fi
  [ -t 0 ] || die "borg or sshd is missing, and sudo wants a password: run 'sudo apt-get install borgbackup openssh-server' first."
  echo --ask-become-pass
}

playbook() {
  "$bin/ansible-playbook" "$@" \
    -e "quickstart_directory=$QUICKSTART_DIRECTORY" -e "quickstart_virtualenv=$QUICKSTART_VIRTUALENV" \
    -e "quickstart_port=$QUICKSTART_PORT" -e "quickstart_ssh_port=$QUICKSTART_SSH_PORT" \
    -e "{\"quickstart_backup\": [\"$checkout/README.md\", \"$checkout/docs\", \"$checkout/server\", \"$QUICKSTART_DIRECTORY/data\"]}"
}

borg() { "$bin/bbs-server" --config "$config" borg --client "$(hostname -s)" --repository main -- "$@"; }

show() {
  step "The archives, as borg lists them"
  local archives archive
  archives=$(borg list)
  echo "$archives"
  step "A file restored from the latest archive, compared with the original byte by byte"
  archive=$(tail -n 1 <<<"$archives" | cut -d ' ' -f 1)
  tmp=$(mktemp -d)
  (cd "$tmp" && borg extract "::$archive" "${checkout#/}/README.md")
  cmp "$tmp$checkout/README.md" "$checkout/README.md" || die "The restored file differs from the original."
  echo "identical: $checkout/README.md"
  step "Done"
  cat <<EOF
The server listens on http://127.0.0.1:$QUICKSTART_PORT (SSH on port $QUICKSTART_SSH_PORT); its API token is in
$QUICKSTART_DIRECTORY/token. The plan runs every night at 02:30 as long as it does.

  curl -H "Authorization: Bearer \$(cat $QUICKSTART_DIRECTORY/token)" http://127.0.0.1:$QUICKSTART_PORT/api/v1/queue

  make quickstart        once more: changes nothing, makes another archive
  make quickstart-stop   stop the server and the agent, keep everything
  make clean             throw everything away
EOF
}

stop() {
  if [ -x "$QUICKSTART_DIRECTORY/agent/bin/bbs-agent" ]; then "$QUICKSTART_DIRECTORY/agent/bin/bbs-agent" stop; fi
  if [ -x "$bin/bbs-server" ] && [ -e "$config" ]; then "$bin/bbs-server" --config "$config" stop; fi
}

case ${1:-run} in
  run)
    umask 077
    check_machine
    mkdir -p "$QUICKSTART_DIRECTORY"
    : >"$QUICKSTART_DIRECTORY/.made-by-quickstart"
    step "Programs"
    install_programs
    step "Server"
    become=$(become_arguments)
    playbook "$checkout/docs/examples/quickstart-server.yml" ${become:+"$become"} || die "The server could not be started; the reason stands above. Mend it and run this again."
    step "Backup"
    playbook "$checkout/docs/examples/quickstart.yml" || die "The backup did not work; the reason stands above. Mend it and run this again."
    show
    ;;
  stop) stop ;;
  clean)
    stop
    # Only folders that this made: a name that was given by mistake must not cost somebody's data.
    for folder in "$QUICKSTART_DIRECTORY" "$QUICKSTART_VIRTUALENV"; do
      if [ -e "$folder" ] && [ ! -e "$folder/.made-by-quickstart" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
        die "$folder was not made by the quickstart; it stays."
      fi
    done
    rm -rf "$QUICKSTART_DIRECTORY" "$QUICKSTART_VIRTUALENV"
    rm -rf "$checkout/server/bbs_server.egg-info"
    echo "removed: $QUICKSTART_DIRECTORY and $QUICKSTART_VIRTUALENV"
    ;;
  *) die "usage: quickstart.sh [run | stop | clean]" ;;
esac
