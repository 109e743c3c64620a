# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Taking everything away again that an installation or the agent has made.

uninstall() {
  [ "$YES" = yes ] || die "--uninstall removes the agent with its key and configuration; add --yes to do so"
  stop_service
  rm -f "$PYZ" "$PYZ.new" "$PYZ.old" "$(dirname "$PYZ")/install.sh" "$WRAPPER" "$CONFIG" "$ETC/ca.pem" "$ETC/ssh_key" "$ETC/ssh_info.json" \
    "$ETC/known_hosts" "$ETC/known_hosts_remote" "$ETC/borg_source" \
    "$LIB/state.json" "$LIB/journal.json" "$LIB/child.json" "$LIB/seen.json" "$LIB/update.json" "$PREFIX/run/bbs-agent.pid" "$LOG" "$LOG".[0-9]
  # What an agent that was killed has left beside them.
  rm -f "$ETC"/.{config.ini,ssh_key,ssh_info.json,known_hosts,known_hosts_remote,borg_source}.* "$LIB"/.{state,journal,child,seen,update}.json.*
  # A borg that the agent has installed with pip leads there.
  [ "$(readlink /usr/local/bin/borg 2>/dev/null || true)" != "$LIB/borg-environment/bin/borg" ] ||
    rm -f /usr/local/bin/borg
  rm -rf "$LIB/private" "$LIB/borg-environment" "$LIB/borg/.cache" "$LIB/borg/.config/borg/security"
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
