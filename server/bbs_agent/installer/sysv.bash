# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# An init script for System V init.

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

stop_sysv() {
  [ -e "$INIT" ] || return 0
  stop_own
  rm -f "$INIT"
  if have update-rc.d; then
    update-rc.d bbs-agent remove >/dev/null || true
  else
    chkconfig --del bbs-agent || true
  fi
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
