# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# What is written, each only when it differs.

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
