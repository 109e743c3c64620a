# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agent reads of the programs it starts."""

import os
import sys

from bbs_agent.cancel import CancelToken
from bbs_agent.process import CHUNK, Runner

LONG = "l" * (CHUNK + 1)
SPEAKER = """
import os, sys, time
def say(data):
    while data:
        data = data[os.write(2, data):]
for part in (b"first\\nsec", b"ond\\r\\n \\n", b"50 %\\r100 %\\r", b"f\\xc3", b"\\xbcnf\\n\\xff\\n"):
    say(part)
    time.sleep(0.03)
say(b"l" * {0} + b"\\n" + b"many\\n" * {0} + b"last")
print("done")
"""


def test_lines_arrive_whole_however_they_are_written():
    lines = []
    command = [sys.executable, "-c", SPEAKER.format(len(LONG))]

    done = Runner(CancelToken(), 10.0).pipe(command, os.environ, lines.append)

    assert (done.code, done.output) == (0, "done\n")
    assert lines[:7] == [
        "first",
        "second",
        "50 %",
        "100 %",
        "f\N{LATIN SMALL LETTER U WITH DIAERESIS}nf",
        "\ufffd",
        LONG,
    ]
    assert lines[7:] == ["many"] * len(LONG) + ["last"]
