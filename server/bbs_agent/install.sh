#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
{ # One group to the last line: bash runs nothing of a download that was cut off.
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

# ---------------------------------------------------------------------------------- arguments

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

# ----------------------------------------------------------------------- what the agent needs

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7 python3.6; do
    # sys.executable, since a shim may mean another Python in another directory.
    PYTHON=$("$name" -c 'import ssl, sys; sys.version_info < (3, 6) and sys.exit(1); print(sys.executable)' \
      2>/dev/null) && [ -n "$PYTHON" ] && return
  done
  PYTHON=''
  return 1
}

have() { command -v "$1" >/dev/null 2>&1; }

have_borg() { [ -x /usr/local/bin/borg ] || have borg; }

requirements_met() { find_python && have_borg && have ssh; }

require_programs() {
  requirements_met && return
  if [ -n "$PREFIX" ]; then
    find_python || die "Python 3.6 or newer is missing; install it, --prefix installs no packages"
    have_borg || die "borg is missing; install the package borgbackup, --prefix installs no packages"
    die "ssh is missing; install the package openssh-client, --prefix installs no packages"
  fi
  say "installing borg, Python and ssh from the distribution's packages"
  install_packages >"$TEMP/packages.log" 2>&1 || {
    tail -n 10 "$TEMP/packages.log" >&2
    die "the packages could not be installed; install borg, python3 and ssh by hand and run this again"
  }
  find_python || die "there is no Python 3.6 or newer after installing the packages"
  have_borg || die "there is no borg after installing the packages; put one into /usr/local/bin"
  have ssh || die "there is no ssh after installing the packages"
}

install_packages() {
  if have apt-get; then
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
      borgbackup python3 openssh-client ca-certificates
  elif have dnf; then
    install_rpm dnf
  elif have yum; then
    install_rpm yum
  elif have zypper; then
    zypper --non-interactive install borgbackup python3 openssh
  elif have apk; then
    apk add --no-progress borgbackup python3 openssh-client ca-certificates
  elif have pacman; then
    pacman -Sy --noconfirm --needed borg python openssh
  else
    echo "no known package manager" >&2
    return 1
  fi
}

install_rpm() {
  # RHEL and its rebuilds have borg in EPEL only, Fedora has it itself.
  if ! "$1" -y install borgbackup python3 openssh-clients; then
    "$1" -y install epel-release
    "$1" -y install borgbackup python3 openssh-clients
  fi
}

# ----------------------------------------------------------------------------------- download

# download NAME FILE: get one file of the server, or end with a sentence.
download() {
  "$PYTHON" - "$SERVER/api/agent/download?file=$1" "$2" "$CA_FILE" <<'PYTHON' || exit 1
import http.client
import ssl
import sys
import urllib.error
import urllib.request

address, target, ca_file = sys.argv[1:]


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_kwargs):
        return None


try:
    context = ssl.create_default_context(cafile=ca_file or None)
    opener = urllib.request.build_opener(NoRedirects(), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(address, headers={"User-Agent": "BBS-Agent/installer"})
    with opener.open(request, timeout=60) as response, open(target, "wb") as stream:
        stream.write(response.read())
except urllib.error.HTTPError as error:
    reason = "HTTP {}".format(error.code)
except (OSError, ValueError, http.client.HTTPException) as error:
    reason = str(getattr(error, "reason", error))
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason += " (give --ca-file if the server has a certificate of your own authority)"
else:
    sys.exit(0)
sys.exit("bbs-agent: error: cannot download {}: {}".format(address, reason))
PYTHON
}

digest_of() {
  "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"
}

# Leaves the agent that is to be installed in $TEMP/bbs-agent.pyz.
get_agent() {
  local digest rest
  # Kept beside the agent, so that it can be removed without the server.
  download install.sh "$TEMP/install.sh"
  download bbs-agent.pyz.sha256 "$TEMP/sha256"
  read -r digest rest <"$TEMP/sha256" || true
  [[ $digest =~ ^[0-9a-f]{64}$ && $rest = bbs-agent.pyz ]] ||
    die "$SERVER sent no digest of the agent; is it a Borg Backup Server?"
  if [ -f "$PYZ" ] && [ "$(digest_of "$PYZ")" = "$digest" ]; then
    cp "$PYZ" "$TEMP/bbs-agent.pyz"
    return
  fi
  say "downloading the agent from $SERVER"
  download bbs-agent.pyz "$TEMP/bbs-agent.pyz"
  [ "$(digest_of "$TEMP/bbs-agent.pyz")" = "$digest" ] ||
    die "the downloaded agent does not have the digest the server names; try again"
}

verify_key() {
  local ca=()
  [ -z "$CA_FILE" ] || ca=(--ca-file "$CA_FILE")
  # The agent says in one sentence what is wrong.
  BBS_AGENT_KEY=$KEY "$PYTHON" "$TEMP/bbs-agent.pyz" verify --server "$SERVER" "${ca[@]}" >/dev/null || exit 1
  say "the server knows the key"
}

# -------------------------------------------------------------------------------------- files

# put SOURCE TARGET MODE: copy when the content or the mode differs.
put() {
  if cmp -s "$1" "$2" && [ "$(stat -c %a "$2")" = "$3" ]; then
    return
  fi
  mkdir -p "$(dirname "$2")"
  # A new file that takes the old one's place: a running agent keeps reading what it started from.
  cp "$1" "$2.new"
  chmod "$3" "$2.new"
  mv -f "$2.new" "$2"
  CHANGED=yes
  say "wrote $2"
}

write_files() {
  local ca=()
  put "$TEMP/bbs-agent.pyz" "$PYZ" 755
  put "$TEMP/install.sh" "$(dirname "$PYZ")/install.sh" 755
  if [ -n "$CA_FILE" ]; then
    [ "$CA_FILE" = "$ETC/ca.pem" ] || put "$CA_FILE" "$ETC/ca.pem" 644
    ca=(--ca-file "$ETC/ca.pem")
  fi
  mkdir -p "$ETC" "$LIB" "$(dirname "$LOG")"
  if [ "$(BBS_AGENT_KEY=$KEY "$PYTHON" "$PYZ" configure --config "$CONFIG" --server "$SERVER" "${ca[@]}")" = changed ]; then
    CHANGED=yes
    say "wrote $CONFIG"
  fi
  wrapper >"$TEMP/wrapper"
  put "$TEMP/wrapper" "$WRAPPER" 755
}

wrapper() {
  cat <<WRAPPER
#!/bin/sh
# The command line of the backup agent: try "bbs-agent doctor".
BBS_AGENT_CONFIG=\${BBS_AGENT_CONFIG:-$(printf %q "$CONFIG")}
export BBS_AGENT_CONFIG
exec $(printf '%q %q' "$PYTHON" "$PYZ") "\$@"
WRAPPER
}

# ------------------------------------------------------------------------------------ service

UNIT=/etc/systemd/system/bbs-agent.service
INIT=/etc/init.d/bbs-agent

service_manager() {
  if [ -n "$PREFIX" ]; then
    echo own
  elif [ -d /run/systemd/system ]; then
    echo systemd
  elif have openrc-run && have rc-update; then
    echo openrc
  elif have update-rc.d || have chkconfig; then
    echo sysv
  else
    echo none
  fi
}

start_service() {
  case $(service_manager) in
    own) start_own ;;
    systemd) start_systemd ;;
    openrc) start_openrc ;;
    sysv) start_sysv ;;
    none) die "found no systemd, OpenRC or SysV init; use --no-service and start \"bbs-agent run\" yourself" ;;
  esac
}

running() { "$PYTHON" "$PYZ" status --config "$CONFIG" | grep -qv 'not running'; }

start_own() {
  if [ "$CHANGED" = yes ]; then
    "$WRAPPER" stop >/dev/null || exit 1
  elif running; then
    return
  fi
  CHANGED=yes
  "$WRAPPER" start || exit 1
}

start_systemd() {
  systemd_unit >"$TEMP/unit"
  local before=$CHANGED
  CHANGED=no
  put "$TEMP/unit" "$UNIT" 644
  [ "$CHANGED" = no ] || systemctl daemon-reload
  [ "$before" = no ] || CHANGED=yes
  if ! systemctl --quiet is-enabled bbs-agent; then
    systemctl --quiet enable bbs-agent || die "systemctl enable bbs-agent failed"
    CHANGED=yes
  fi
  if [ "$CHANGED" = yes ] || ! systemctl --quiet is-active bbs-agent; then
    CHANGED=yes
    systemctl restart bbs-agent || die "the service does not start; see journalctl -u bbs-agent"
  fi
}

start_openrc() {
  openrc_script >"$TEMP/init"
  put "$TEMP/init" "$INIT" 755
  if ! rc-update show default | grep -qw bbs-agent; then
    rc-update add bbs-agent default >/dev/null || die "rc-update add bbs-agent failed"
    CHANGED=yes
  fi
  if [ "$CHANGED" = yes ] || ! rc-service bbs-agent status >/dev/null 2>&1; then
    CHANGED=yes
    rc-service bbs-agent restart >/dev/null || die "the service does not start; see $LOG"
  fi
}

start_sysv() {
  sysv_script >"$TEMP/init"
  put "$TEMP/init" "$INIT" 755
  if have update-rc.d; then
    update-rc.d bbs-agent defaults >/dev/null
  else
    chkconfig --add bbs-agent
  fi
  if [ "$CHANGED" = yes ] || ! running; then
    CHANGED=yes
    "$INIT" restart >/dev/null || die "the service does not start; see $LOG"
  fi
}

# Values of systemd units may stand in quotes; a percent sign is theirs.
systemd_unit() {
  cat <<UNIT
[Unit]
Description=Backup agent of a Borg Backup Server
Wants=network-online.target
After=network-online.target

[Service]
Type=simple
ExecStart="${PYTHON//%/%%}" $PYZ run --config $CONFIG
Environment=LC_ALL=C.UTF-8 LANG=C.UTF-8
Restart=always
RestartSec=10
# The agent stops borg itself and reports the job; whatever is left afterwards is killed.
KillMode=mixed
TimeoutStopSec=90

[Install]
WantedBy=multi-user.target
UNIT
}

openrc_script() {
  cat <<SCRIPT
#!/sbin/openrc-run
description="Backup agent of a Borg Backup Server"
supervisor=supervise-daemon
command="$PYTHON"
command_args="$PYZ run --quiet --config $CONFIG"
respawn_delay=10
respawn_max=0

depend() {
  need net
  after firewall
}
SCRIPT
}

sysv_script() {
  cat <<SCRIPT
#!/bin/sh
# chkconfig: 2345 90 10
# description: Backup agent of a Borg Backup Server
### BEGIN INIT INFO
# Provides:          bbs-agent
# Required-Start:    \$network \$remote_fs
# Required-Stop:     \$network \$remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Backup agent of a Borg Backup Server
### END INIT INFO
case \$1 in
  start | stop | status) exec $WRAPPER "\$1" ;;
  restart | force-reload) $WRAPPER stop && exec $WRAPPER start ;;
  *) echo "Usage: \$0 {start|stop|status|restart|force-reload}" >&2; exit 2 ;;
esac
SCRIPT
}

wait_until_online() {
  local answer
  if answer=$("$PYTHON" "$PYZ" status --config "$CONFIG" --wait 30); then
    printf '%s\n' "$answer"
    return
  fi
  [ ! -f "$LOG" ] || tail -n 8 "$LOG" >&2
  die "the agent does not come online: ${answer#bbs-agent: }"
}

# ---------------------------------------------------------------------------------- uninstall

uninstall() {
  [ "$YES" = yes ] || die "--uninstall removes the agent with its key and configuration; add --yes to do so"
  stop_service
  rm -f "$PYZ" "$(dirname "$PYZ")/install.sh" "$WRAPPER" "$CONFIG" "$ETC/ca.pem" "$ETC/ssh_key" "$ETC/ssh_info.json" \
    "$ETC/known_hosts" "$ETC/known_hosts_remote" "$ETC/borg_source" \
    "$LIB/state.json" "$LIB/journal.json" "$PREFIX/run/bbs-agent.pid" "$LOG" "$LOG".[0-9]
  rm -rf "$LIB/private" "$LIB/borg/.cache" "$LIB/borg/.config/borg/security"
  local directory
  # Only directories that are empty now; borg's key files, without which a repository made with
  # keyfile encryption cannot be read any more, stay.
  for directory in "$LIB/borg/.config/borg/keys" "$LIB/borg/.config/borg" "$LIB/borg/.config" "$LIB/borg" \
    "$LIB" "$ETC" "$(dirname "$PYZ")"; do
    rmdir "$directory" 2>/dev/null || true
  done
  if [ -n "$PREFIX" ]; then
    for directory in opt bin etc run var/lib var/log var; do
      rmdir "$PREFIX/$directory" 2>/dev/null || true
    done
  fi
  if [ -d "$LIB/borg/.config/borg/keys" ]; then
    say "kept borg's key files in $LIB/borg/.config/borg/keys"
  fi
  say "removed"
}

stop_service() {
  case $(service_manager) in
    systemd)
      [ ! -e "$UNIT" ] || systemctl --quiet disable --now bbs-agent || die "the service does not stop"
      rm -f "$UNIT"
      systemctl daemon-reload
      ;;
    openrc)
      [ ! -e "$INIT" ] || rc-service bbs-agent stop >/dev/null 2>&1 || true
      rc-update del bbs-agent default >/dev/null 2>&1 || true
      rm -f "$INIT"
      ;;
    *)
      if [ -x "$WRAPPER" ]; then
        "$WRAPPER" stop >/dev/null || die "the agent does not stop; see $LOG"
      fi
      [ -n "$PREFIX" ] || [ ! -e "$INIT" ] || remove_sysv
      ;;
  esac
}

remove_sysv() {
  rm -f "$INIT"
  if have update-rc.d; then
    update-rc.d bbs-agent remove >/dev/null || true
  else
    chkconfig --del bbs-agent || true
  fi
}

# --------------------------------------------------------------------------------------- main

main() {
  parse_arguments "$@"
  # Nothing below may read what is left on standard input: it can be this very script.
  exec </dev/null
  set_paths
  check_root
  if [ "$UNINSTALL" = yes ]; then
    uninstall
    return
  fi
  check_install_arguments
  TEMP=$(mktemp -d)
  trap 'rm -rf "$TEMP"' EXIT
  require_programs
  get_agent
  verify_key
  write_files
  if [ "$SERVICE" = yes ]; then
    start_service
    wait_until_online
  fi
  if [ "$CHANGED" = no ]; then
    say "unchanged"
  else
    say "installed, reporting to $SERVER"
  fi
}

main "$@"
}
