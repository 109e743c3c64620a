# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Starting and stopping the agent, whoever looks after services here.

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

# The agent says goodbye by itself where the service manager did not know it.
stop_own() {
  [ ! -x "$WRAPPER" ] || "$WRAPPER" stop >/dev/null || die "the agent does not stop; see $LOG"
}

stop_service() {
  case $(service_manager) in
    systemd) stop_systemd ;;
    openrc) stop_openrc ;;
    sysv) stop_sysv ;;
  esac
  stop_own
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
