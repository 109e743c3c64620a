# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# A service for OpenRC.

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

stop_openrc() {
  [ ! -e "$INIT" ] || rc-service bbs-agent stop >/dev/null 2>&1 || true
  rc-update del bbs-agent default >/dev/null 2>&1 || true
  rm -f "$INIT"
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
