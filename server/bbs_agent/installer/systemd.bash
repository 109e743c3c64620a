# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# A unit for systemd.

UNIT=/etc/systemd/system/bbs-agent.service

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

stop_systemd() {
  [ ! -e "$UNIT" ] || systemctl --quiet disable --now bbs-agent || die "the service does not stop"
  rm -f "$UNIT"
  systemctl daemon-reload
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
