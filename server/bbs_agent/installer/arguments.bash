# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# What the user asks for, and what of it cannot be.

SERVER='' KEY='' CA_FILE='' PREFIX='' SERVICE=yes UNINSTALL=no YES=no
CHANGED=no PYTHON='' TEMP=''

parse_arguments() {
  local key_given=no
  while [ $# -gt 0 ]; do
    case $1 in
      --server | --key | --ca-file | --prefix)
        [ $# -ge 2 ] || die "$1 needs a value; see --help"
        case $1 in
          --server) SERVER=${2%/} ;;
          --key) KEY=$2 key_given=yes ;;
          --ca-file) CA_FILE=$2 ;;
          --prefix) PREFIX=$2 ;;
        esac
        shift
        ;;
      --no-service) SERVICE=no ;;
      --uninstall) UNINSTALL=yes ;;
      --yes) YES=yes ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) die "unknown option $1; see --help" ;;
    esac
    shift
  done
  if [ "$key_given" = no ]; then
    KEY=${BBS_AGENT_KEY:-}
  elif [ "$KEY" = - ]; then
    IFS= read -r KEY || [ -n "$KEY" ] || die "--key - found no key on standard input"
  fi
  # From here on only the agent itself gets the key, and only where it says so.
  unset BBS_AGENT_KEY
  check_prefix
}

check_prefix() {
  case $PREFIX in
    '') return ;;
    /) die "--prefix / makes no sense; leave it out for a system installation" ;;
    *[[:cntrl:]]*) die "--prefix holds a control character" ;;
    /*) PREFIX=${PREFIX%/} ;;
    *) die "--prefix must be an absolute path, not $PREFIX" ;;
  esac
}

check_install_arguments() {
  [ -n "$SERVER" ] || die "--server is missing; see --help"
  [ -n "$KEY" ] || die "the key is missing; give --key or set BBS_AGENT_KEY"
  case $SERVER in
    http://?* | https://?*) ;;
    *) die "--server must be an address such as https://backup.example.com, not $SERVER" ;;
  esac
  if [ -n "$CA_FILE" ]; then
    [ -r "$CA_FILE" ] || die "the CA file $CA_FILE cannot be read"
  elif [ -f "$ETC/ca.pem" ]; then
    # Given at an earlier run; the agent keeps its copy.
    CA_FILE=$ETC/ca.pem
  fi
}

check_root() {
  [ -n "$PREFIX" ] || [ "$(id -u)" = 0 ] || die "needs root; run it with sudo, or give --prefix DIR"
}

set_paths() {
  PYZ=$PREFIX/opt/bbs-agent/bbs-agent.pyz
  ETC=$PREFIX/etc/bbs-agent
  CONFIG=$ETC/config.ini
  LIB=$PREFIX/var/lib/bbs-agent
  LOG=$PREFIX/var/log/bbs-agent.log
  if [ -n "$PREFIX" ]; then
    WRAPPER=$PREFIX/bin/bbs-agent
  else
    WRAPPER=/usr/local/bin/bbs-agent
  fi
}
