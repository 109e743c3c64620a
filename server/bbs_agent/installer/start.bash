#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The server sends these files as one script (bbs_server.agent_artifact). It is one group from here to its
# last line, so that bash runs nothing of a download that was cut off.
{
set -euo pipefail
umask 022

usage() {
  cat <<'TEXT'
Installs the backup agent of a Borg Backup Server on this machine.

  install.sh --server URL --key KEY [--ca-file FILE] [--prefix DIR] [--no-service]
  install.sh --uninstall --yes [--prefix DIR]

  --server URL    the backup server, such as https://backup.example.com
  --key KEY       the agent key of this client; "-" reads one line from standard input;
                  without the option it comes from the environment variable BBS_AGENT_KEY
  --ca-file FILE  trust this certificate authority (PEM) for the server
  --prefix DIR    install below DIR only and run as the current user; needs no root, but
                  borg, ssh and Python 3.6 or newer have to be there
  --no-service    install, but start nothing
  --uninstall     remove the agent; asks for --yes
  --help          this text

A second run with the same arguments changes nothing and says so.
TEXT
}

say() { printf 'bbs-agent: %s\n' "$*"; }

die() {
  printf 'bbs-agent: error: %s\n' "$*" >&2
  exit 1
}
