# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent trades the key it was installed with for one of its own, and is never left without any."""

import os
import subprocess
from pathlib import Path

import pytest
from agent_lab import OLDEST, AgentProcess, Installation
from fake_bbs import KEY

from bbs_agent.api import Api, KeyRejected
from bbs_agent.config import load_config, merge_config
from bbs_agent.reports import Reports
from bbs_agent.timing import Timing

OWN = "b" * 64

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="a disk has to be mounted")


@pytest.fixture
def trading(prefix, bbs):
    """An agent that asks, whether or not these tests run in a container; it registers every 0.1 s."""
    found = Installation(prefix, bbs, register_again=0.1)
    change(found, "poll_interval = 30\n", "poll_interval = 1\nexchange_key = yes\n")
    bbs.own_key = OWN
    yield found
    found.stop()


def text_of(installation):
    return Path(installation.config_path).read_text()


def change(installation, old, new):
    assert old in text_of(installation)
    Path(installation.config_path).write_text(text_of(installation).replace(old, new))


def polls(bbs, more=3):
    count = len(bbs.bodies("tasks"))
    bbs.wait(lambda: len(bbs.bodies("tasks")) >= count + more)


def test_the_key_of_the_installation_is_replaced(trading, bbs, caplog):
    trading.start()
    polls(bbs)
    assert (trading.config.api_key, bbs.key) == (OWN, OWN)
    assert os.stat(trading.config_path).st_mode & 0o777 == 0o600
    text = text_of(trading)
    assert KEY not in text and OWN not in caplog.text and KEY not in caplog.text
    assert "poll_interval = 1\nexchange_key = yes\n" in text
    trading.stop()

    # It does not ask for another one, in this life or the next.
    bbs.requests.clear()
    trading.start()
    polls(bbs)
    assert not any("exchange_key" in body for body in bbs.bodies("register"))


def test_an_answer_that_is_lost_is_asked_for_again(trading, bbs):
    bbs.lost_replies = {"register"}
    trading.start()
    bbs.wait(lambda: bbs.key == OWN)
    assert [body["exchange_key"] for body in bbs.bodies("register")[:2]] == [True, True]
    assert trading.config.api_key == OWN


def test_a_server_that_does_not_know_the_question_is_asked_once(trading, bbs):
    """Upstream's: the documented key stays."""
    bbs.own_key = None
    before = text_of(trading)
    trading.start()
    bbs.wait(lambda: len(bbs.bodies("register")) > 2)
    assert [bool(body.get("exchange_key")) for body in bbs.bodies("register")[:3]] == [True, False, False]
    assert text_of(trading) == before


@pytest.mark.parametrize("answer", [7, "short", "two words, and long enough to be some kind of key", "k" * 40 + "\n"])
def test_what_is_no_key_is_not_kept(trading, bbs, answer):
    bbs.register_reply = {"agent_key": answer}
    trading.start()
    polls(bbs)
    assert trading.config.api_key == KEY


def test_whoever_wants_it_keeps_the_first_key(trading, bbs):
    change(trading, "exchange_key = yes", "exchange_key = no")
    trading.start()
    polls(bbs)
    assert "exchange_key" not in bbs.bodies("register")[0]
    assert load_config(trading.config_path, {}, in_container=False).exchange_key is False


def test_in_a_container_it_has_to_be_wanted(trading):
    """Its files may be gone when it starts again, and then the first key has to be good still."""
    change(trading, "exchange_key = yes\n", "")
    assert load_config(trading.config_path, {}, in_container=True).exchange_key is False
    assert load_config(trading.config_path, {}, in_container=False).exchange_key is True


@needs_root
def test_without_a_place_for_the_answer_it_is_not_asked_for(trading, bbs, small_disk, caplog):
    place = trading.prefix / "etc" / "bbs-agent"
    small_disk(place, kilobytes=64)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    trading.start()
    polls(bbs)
    assert not any("exchange_key" in body for body in bbs.bodies("register"))
    assert "cannot write config.ini" in caplog.text
    assert trading.config.api_key == KEY


@needs_root
def test_a_disk_that_is_full_at_the_wrong_moment(trading, bbs, small_disk, caplog):
    """The first key goes on working, and is traded once there is room."""
    place = trading.prefix / "etc" / "bbs-agent"
    small_disk(place, kilobytes=64)
    register = bbs._register

    def full(body):
        with open(str(place / "filler"), "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                bbs.overrides.clear()
        return register(body)

    bbs.overrides["/api/agent/register"] = full
    trading.start()
    bbs.wait(lambda: len(bbs.bodies("register")) > 2)
    assert "No space left on device" in caplog.text
    assert (trading.config.api_key, bbs.key) == (KEY, KEY)
    (place / "filler").unlink()
    bbs.wait(lambda: bbs.key == OWN)
    assert trading.config.api_key == OWN
    assert sorted(os.listdir(str(place))) == ["config.ini"]


def test_a_report_of_the_time_before_is_still_delivered(trading, bbs, tmp_path):
    api, journal = Api(bbs.url, KEY), str(tmp_path / "journal.json")
    before = Reports(api, journal, KEY, Timing(), lambda _seconds: True)
    before.keep({"job_id": 4, "result": "completed"})
    after = Reports(api, journal, KEY, Timing(), lambda _seconds: True)
    after.change_key(OWN)
    Reports(api, journal, OWN, Timing(), lambda _seconds: True).recover()
    assert bbs.bodies("status") == [{"job_id": 4, "result": "completed"}]


def test_installed_again_with_the_first_key(trading, bbs, zipapp, account):
    """What an install command that was written down does; on the oldest Python."""
    bbs.poll_interval = 1
    agent = AgentProcess(OLDEST, zipapp, trading.config_path)
    agent("start")
    assert agent("status", "--wait", "20").returncode == 0
    try:
        assert bbs.key == OWN
        with pytest.raises(KeyRejected):
            Api(bbs.url, KEY).heartbeat()
        assert agent("verify", "--server", bbs.url, stdin=KEY).returncode == 0
        assert agent("configure", "--server", bbs.url, stdin=KEY).stdout == "unchanged\n"
        assert agent("configure", "--server", bbs.url, stdin=OWN).stdout == "unchanged\n"
        assert "the agent's own" in agent("doctor").stdout
    finally:
        agent("stop")

    # A server that was restored from a backup of the time before knows the first key only.
    bbs.key, bbs.own_key = KEY, None
    assert agent("verify", "--server", bbs.url, stdin=KEY).returncode == 0
    assert agent("configure", "--server", bbs.url, stdin=KEY).stdout == "changed\n"
    assert (trading.config.api_key, trading.config.traded_key) == (KEY, None)


def test_a_new_key_for_enrolment_replaces_the_own_one(trading, bbs):
    trading.start()
    bbs.wait(lambda: bbs.key == OWN)
    trading.stop()
    bbs.key, bbs.own_key = "c" * 64, "d" * 64
    assert merge_config(trading.config_path, bbs.url, bbs.key, None) is True
    trading.start()
    bbs.wait(lambda: bbs.key == "d" * 64)
    assert trading.config.api_key == "d" * 64
