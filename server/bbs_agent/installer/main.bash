# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The order of it all.

main() {
  parse_arguments "$@"
  # Nothing below may read what is left on standard input: it can be this very script. It stays open,
  # since whoever still writes to it would be told that the pipe is broken.
  exec 3<&0 </dev/null
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
# Whatever comes after this script is for downloads that did not come this far.
exit
}
