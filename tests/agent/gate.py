# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forced command of the tests' sshd; does what agent-protocol.md §6.2 says of the gate."""

import os
import re
import sys


def main():
    home = sys.argv[1]
    os.chdir(home)
    command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    if command == "ping":
        print("pong")
    elif command.startswith("borg serve"):
        os.execvp("borg", ["borg", "serve", "--append-only", "--restrict-to-path", home])
    elif re.fullmatch(r"catalog-write \d+", command):
        if os.path.exists("refuse-catalog"):
            sys.exit("no catalogue today")
        with open("catalog-{}.jsonl".format(command.split()[1]), "wb") as target:
            for chunk in iter(lambda: sys.stdin.buffer.read(65536), b""):
                target.write(chunk)
    else:
        sys.exit("not allowed")


if __name__ == "__main__":
    main()
