# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small parts: configuration, borg's output, ssh coordinates, masking, HTTP errors."""

import json
import os
import shlex
import socket
import ssl
import subprocess
from types import SimpleNamespace

import pytest
from agent_lab import hook
from fake_bbs import KEY

from bbs_agent.api import Api, KeyRejected, NotABbs, Refused, ServerProblem, TlsProblem, Unreachable
from bbs_agent.borg import LONGEST_ERROR_LOG, BorgOutput, archive_stats, repository_of, without_traceback
from bbs_agent.cancel import CancelToken
from bbs_agent.catalog import line_of
from bbs_agent.config import ConfigError, Layout, load_config, merge_config
from bbs_agent.counting import count_files
from bbs_agent.doctor import examine
from bbs_agent.files import write_private
from bbs_agent.plugins.base import names, number, truth
from bbs_agent.plugins.dump_files import file_name
from bbs_agent.redact import MASK, Redactor
from bbs_agent.seen import MOST, Seen
from bbs_agent.ssh import Access, Ssh, port_of
from bbs_agent.system import facts
from bbs_agent.tasks.listing import list_dir
from bbs_agent.timing import Timing

# configuration ------------------------------------------------------------------------------


def test_a_new_config_holds_what_the_contract_names(tmp_path):
    path = str(tmp_path / "etc" / "config.ini")
    assert merge_config(path, "https://bbs.example", KEY, None) is True
    assert merge_config(path, "https://bbs.example", KEY, None) is False
    assert os.stat(path).st_mode & 0o777 == 0o600
    config = load_config(path, {}, in_container=False)
    assert (config.url, config.api_key, config.poll_interval) == ("https://bbs.example", KEY, 30)
    assert config.auto_update is True and config.ca_file is None


def test_an_existing_config_keeps_everything_else(tmp_path):
    path = tmp_path / "config.ini"
    path.write_text(
        "# mine\n[agent]\npoll_interval = 7\nauto_update = no\nurl = not this one\n\n"
        "[server]\n; a note\nURL: https://old.example\napi_key=old\n\n[extra]\nkey = value\n"
    )
    assert merge_config(str(path), "https://new.example", "a%b" + KEY, "/x/ca.pem")
    text = path.read_text()
    assert "# mine\n" in text and "; a note\n" in text and "[extra]\nkey = value\n" in text
    assert "url = not this one" in text and "old" not in text
    config = load_config(str(path), {}, in_container=False)
    assert (config.url, config.api_key, config.ca_file) == ("https://new.example", "a%b" + KEY, "/x/ca.pem")
    assert (config.poll_interval, config.auto_update) == (7, False)
    # Without a CA file the line stays as it is.
    assert merge_config(str(path), "https://new.example", "a%b" + KEY, None) is False


def test_a_value_cannot_smuggle_lines_into_the_config(tmp_path):
    with pytest.raises(ConfigError):
        merge_config(str(tmp_path / "c.ini"), "https://x", "key\n[agent]", None)


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "there is no"),
        ("", "needs url and api_key"),
        ("[server]\nurl = https://x\n", "needs url and api_key"),
        ("url = https://x\n", "not a valid INI file"),
        ("[server]\nurl = https://x\napi_key = k%y\n", "not a valid INI file"),
        ("[server]\nurl = https://x\napi_key = k\n[agent]\npoll_interval = soon\n", "whole number"),
        ("[server]\nurl = https://x\napi_key = k\n[agent]\nauto_update = perhaps\n", "yes or no"),
    ],
)
def test_a_bad_config_is_named_in_one_sentence(tmp_path, text, words):
    path = tmp_path / "config.ini"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path), {}, in_container=False)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_environment_and_container_decide_on_self_update(tmp_path):
    path = str(tmp_path / "config.ini")
    merge_config(path, "https://x", KEY, None)
    assert load_config(path, {}, in_container=True).auto_update is False
    assert load_config(path, {"BBS_AUTO_UPDATE": "1"}, in_container=True).auto_update is True
    assert load_config(path, {"BBS_AGENT_LOG": "/x.log"}, in_container=True).layout.log == "/x.log"


def test_where_things_lie():
    system = Layout.beside("/etc/bbs-agent/config.ini", {})
    assert system.ssh_key == "/etc/bbs-agent/ssh_key"
    assert system.log == "/var/log/bbs-agent.log"
    assert system.borg_base is None
    below = Layout.beside("/p/etc/bbs-agent/config.ini", {})
    assert below.pid == "/p/run/bbs-agent.pid"
    assert below.borg_base == "/p/var/lib/bbs-agent/borg"
    assert Layout.beside("/x/y.ini", {}).state == "/x/var/lib/bbs-agent/state.json"


def test_a_private_file_is_never_wider(tmp_path):
    path = tmp_path / "secret"
    path.write_text("same")
    path.chmod(0o644)
    assert write_private(str(path), "same") is True
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_private(str(path), "same") is False
    assert [item.name for item in tmp_path.iterdir()] == ["secret"]


# borg's output ------------------------------------------------------------------------------


def warning(text, level="WARNING"):
    return json.dumps({"type": "log_message", "levelname": level, "name": "borg.archiver", "message": text})


@pytest.mark.parametrize(
    "text, noticed",
    [
        ("/srv/x: file changed while we backed it up", False),
        ("/srv/x: open: [Errno 13] Permission denied: 'x'", False),
        ("/srv/x: stat: [Errno 2] No such file or directory: 'x'", False),
        ("/srv/gone: [Errno 2] No such file or directory: 'gone'", True),
        ("/srv/gone/: stat: [Errno 2] No such file or directory: 'gone'", False),
        ("/srv/x: read: [Errno 5] Input/output error", True),
    ],
)
def test_which_warnings_deserve_attention(text, noticed):
    output = BorgOutput(["/srv/gone/", "/srv"])
    output.feed(warning("/a: file changed while we backed it up"))
    output.feed(warning(text))
    assert output.has_warned() is noticed
    assert text in output.error_log(failed=False)


def test_a_warning_exit_without_a_warning_deserves_attention():
    assert BorgOutput([]).has_warned() is True


def test_errors_come_before_warnings_and_the_log_is_bounded():
    output = BorgOutput([])
    for count in range(5000):
        output.feed(warning("warning {} ".format(count) + "x" * 100))
    output.feed(warning("it broke", "ERROR"))
    output.feed("Connection closed by remote host")
    text = output.error_log(failed=True)
    assert text.startswith("it broke\nConnection closed by remote host\nWarnings:\n")
    assert len(text) <= LONGEST_ERROR_LOG and "more lines" in text


@pytest.mark.parametrize("line", ["", "null", "[1]", '{"type": 5}', "{broken", '{"type": "archive_progress"}'])
def test_strange_lines_do_no_harm(line):
    output = BorgOutput([])
    output.feed(line)
    assert output.files == 0


def test_a_full_disk_has_its_own_sentence():
    output = BorgOutput([])
    output.feed(warning("Insufficient free space to complete transaction (required: 1 GB)", "ERROR"))
    assert "No space left on device" in output.error_log(failed=True).splitlines()[0]


def test_the_summary_of_borg():
    stats = {"nfiles": 2, "original_size": 3, "deduplicated_size": 1, "compressed_size": 2}
    assert archive_stats(json.dumps({"archive": {"stats": stats}}))["nfiles"] == 2
    assert archive_stats("") is None and archive_stats("[]") is None and archive_stats("{}") is None


def test_the_repository_of_an_old_task():
    task = {"command": ["borg", "create", "--comment=a::b", "ssh://u@h/./main::plan1-x", "/etc"]}
    assert repository_of(task) == "ssh://u@h/./main"
    assert repository_of({"repo_path": "/given", "command": []}) == "/given"
    assert repository_of({}) == ""


def test_a_catalogue_line_of_a_file_that_is_gone():
    assert json.loads(line_of("A", "/no/\udcff").decode()) == {
        "path": "/no/?",
        "status": "A",
        "size": 0,
        "mtime": None,
    }


def test_counting(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    calls = []
    assert count_files([str(tmp_path), str(tmp_path / "a" / "f"), "/no/such"], lambda: calls.append(1)) == 2


# ssh ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply, expected",
    [
        ({"ssh_unix_user": "u", "server_host": "h", "ssh_port": 2222}, ("u", "h", 2222, ())),
        ({"ssh_unix_user": "u", "server_host": "h:2200", "ssh_port": "22"}, ("u", "h", 2200, ())),
        ({"ssh_unix_user": "u", "server_host": "[::1]:2200"}, ("u", "::1", 2200, ())),
        ({"ssh_unix_user": "u", "server_host": "2001:db8::1"}, ("u", "2001:db8::1", 22, ())),
        ({"ssh_unix_user": "u", "server_host": "h", "ssh_port": "x"}, ("u", "h", 22, ())),
        (
            {
                "ssh_unix_user": "u",
                "server_host": "h",
                "ssh_host_keys": ["ssh-ed25519 AAAA root@h", 5, "x\ny", "ssh-rsa AA\n* ssh-rsa BB"],
            },
            ("u", "h", 22, ("ssh-ed25519 AAAA root@h",)),
        ),
    ],
)
def test_coordinates_of_any_server(reply, expected):
    assert tuple(Access.of_reply(reply)) == expected


def test_no_account_no_coordinates():
    assert Access.of_reply({"ssh_unix_user": None, "server_host": "h"}) is None
    assert Access.of_reply({}) is None


def test_the_ssh_command_verifies_and_quotes(tmp_path):
    layout = Layout.beside(str(tmp_path / "a b" / "etc/bbs-agent/config.ini"), {})
    ssh = Ssh(layout)
    ssh.use(Access("u", "h", 2222, ("ssh-ed25519 AAAA",)))
    words = shlex.split(ssh.borg_rsh())
    assert words[:5] == ["ssh", "-i", layout.ssh_key, "-p", "2222"]
    assert "StrictHostKeyChecking=yes" in words
    assert 'UserKnownHostsFile="{}"'.format(layout.known_hosts) in words
    with open(layout.known_hosts) as known:
        assert known.read() == "[h]:2222 ssh-ed25519 AAAA\n"
    assert Ssh(layout).access == ssh.access
    ssh.use(Access("u", "h", 22))
    assert "StrictHostKeyChecking=no" in shlex.split(ssh.borg_rsh())
    assert not os.path.exists(layout.known_hosts)


def test_no_connection_of_a_persons_ssh_is_shared(tmp_path):
    config, ssh = tmp_path / "config", Ssh(Layout.beside(str(tmp_path / "config.ini"), {}))
    config.write_text("Host *\n ControlMaster auto\n ControlPersist yes\n ControlPath {}/%C\n".format(tmp_path))
    ssh.use(Access("u", "h", 22))
    words = ssh.remote("ping")
    told = subprocess.check_output([words[0], "-F", str(config), "-G", *words[1:]], text=True)
    assert "controlmaster false" in told and "controlpath" not in told


@pytest.mark.parametrize("rsh, port", [("ssh -p 2222 -i k", 2222), ("ssh", 22), ("ssh -p", 22), ("ssh 'x", 22)])
def test_the_port_of_a_task(rsh, port):
    assert port_of(rsh) == port


# masking ------------------------------------------------------------------------------------


def test_secrets_of_a_task_are_masked():
    redactor = Redactor()
    redactor.learn_from(
        {
            "env": {"BORG_PASSPHRASE": "longer-secret", "BORG_RSH": "ssh -p 22"},
            "plugins": [{"slug": "mysql_dump", "config": {"password": "longer-secret-2", "user": "backup"}}],
            "remote_ssh_key": "-----BEGIN KEY-----\nbase64base64\n-----END KEY-----\n",
        }
    )
    text = "longer-secret-2 longer-secret base64base64 backup ssh -p 22 -----BEGIN KEY-----"
    assert redactor.clean(text) == "{0} {0} {0} backup ssh -p 22 -----BEGIN KEY-----".format(MASK)


# plugin values ------------------------------------------------------------------------------


def test_values_of_plugin_configs_may_have_any_type():
    assert [truth(value, True) for value in (None, "", "0", "no", 0, False)] == [True] + [False] * 5
    assert truth("on", False) and truth(1, False)
    assert names("a, b\nc", []) == names(["a", " b", "c", ""], []) == ["a", "b", "c"]
    assert names(None, ["d"]) == ["d"]
    assert [number(value, 7) for value in (None, "5", 5, "x", -1, 0)] == [7, 5, 5, 7, 7, 7]


def test_a_database_name_stays_in_the_dump_directory():
    assert file_name("../../etc/passwd") == "_.._etc_passwd"
    assert file_name("shop") == "shop"
    assert file_name("..") == "_"


# HTTP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, reply, error, final",
    [
        (401, {"error": "Invalid API key"}, KeyRejected, False),
        (404, {"error": "Job not found"}, Refused, True),
        (429, {"error": "Too many failed attempts"}, Refused, False),
        (503, b"<html>", ServerProblem, False),
        (404, b"404 Not Found", NotABbs, False),
        (200, b"<html>", NotABbs, False),
        (200, b"[]", NotABbs, False),
        (302, b"", NotABbs, False),
    ],
)
def test_every_bad_reply_is_one_clear_error(bbs, status, reply, error, final):
    bbs.overrides["/api/agent/heartbeat"] = lambda _body: (status, reply)
    with pytest.raises(error) as caught:
        Api(bbs.url, KEY).heartbeat()
    assert caught.value.final is final
    assert "\n" not in str(caught.value) and KEY not in str(caught.value)


def test_no_connection_is_an_error_of_its_own(bbs):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="cannot reach"):
            Api("http://127.0.0.1:{}".format(unused.getsockname()[1]), KEY).tasks()
    for url in ("bbs.example", "ftp://bbs.example", "http://a b", "http://bbs.example:x"):
        with pytest.raises(Unreachable):
            Api(url, KEY).tasks()
    with pytest.raises(Unreachable) as caught:
        Api(bbs.url, "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel\u20ac").tasks()
    assert "ssel" not in str(caught.value)
    bbs.down.set()
    with pytest.raises(Unreachable):
        Api(bbs.url, KEY).tasks()


def test_a_ca_file_that_is_none(tmp_path):
    with pytest.raises(TlsProblem, match="does not exist"):
        Api("https://bbs.example", KEY, str(tmp_path / "none"))
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(TlsProblem, match="cannot be used"):
        Api("https://bbs.example", KEY, str(tmp_path / "ca"))


# facts and doctor ---------------------------------------------------------------------------


def test_facts_of_this_machine():
    known = facts("http://127.0.0.1:1", auto_update=False)
    assert known["borg_version"][0].isdigit() and known["borg_binary_path"].startswith("/")
    assert known["platform"] == "linux" and known["ip_address"] == "127.0.0.1"
    assert known["auto_update_enabled"] is False
    assert None not in known.values()


def doctor(installation, now=None):
    lines = [finding.line for finding in examine(installation.config_path, {}, now or (lambda: 1795426822))]
    return {line.split()[1].rstrip(":"): line for line in lines}


def test_the_doctor_finds_a_healthy_agent_but_no_process(installation, bbs, repository):
    installation.start()
    bbs.wait(lambda: bbs.bodies("tasks"))
    assert "none was used yet" in doctor(installation)["repository"]
    Seen(installation.agent._config.layout.seen).note(repository.url)
    found = doctor(installation)
    for subject in ("agent", "borg", "config", "name", "network", "tls", "key", "clock", "ssh", "repository"):
        assert found[subject].startswith("ok "), found[subject]
    assert "host key verified" in found["ssh"] and "not used" in found["tls"]
    assert found["repository"].endswith("{} can be read".format(repository.url))
    # The agent of this test is a thread without a pid file.
    assert found["process"].startswith("problem ") and "not running" in found["process"]

    repository.path.rename(str(repository.path) + "-gone")
    assert "does not exist" in doctor(installation)["repository"]


def test_the_doctor_names_each_problem(installation, bbs):
    assert "start the agent" in doctor(installation)["ssh"]
    assert "NTP" in doctor(installation, lambda: 1795426822 + 3600)["clock"]
    bbs.key = "another"
    assert "does not know this key" in doctor(installation)["key"]
    bbs.overrides["/api/agent/heartbeat"] = lambda _body: (200, b"<html>")
    assert "not as a Borg Backup Server" in doctor(installation)["server"]
    bbs.stop()
    assert "no connection" in doctor(installation)["network"]
    bbs.start()
    merge_config(installation.config_path, "http://no-such-host.invalid", KEY, None)
    found = doctor(installation)
    assert "has no address" in found["name"] and "network" not in found
    os.unlink(installation.config_path)
    assert "run the installer" in doctor(installation)["config"]


def test_the_doctor_knows_a_certificate_that_is_not_trusted(installation, bbs, certificate):
    """With the hint at the clock, which is the other reason for that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    bbs._server.socket = context.wrap_socket(bbs._server.socket, server_side=True)
    url = bbs.url.replace("http:", "https:")
    merge_config(installation.config_path, url, KEY, None)
    found = doctor(installation)
    assert found["tls"].startswith("problem ") and "clock" in found["tls"] and "key" not in found
    merge_config(installation.config_path, url, KEY, certificate[0])
    found = doctor(installation)
    assert found["tls"].startswith("ok ") and found["key"].startswith("ok ")


def test_the_doctor_sees_an_sshd_that_does_not_answer(installation, bbs, account):
    installation.start()
    bbs.wait(lambda: bbs.bodies("tasks"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        installation.agent._ssh.use(installation.agent._ssh.access._replace(port=unused.getsockname()[1]))
        found = doctor(installation)
    assert "Connection refused" in found["ssh"] and "is reachable" in found["ssh"] and "repository" not in found


@pytest.mark.parametrize(
    "script, words",
    [
        (None, "install the package"),
        ("exit 1\n", "does not start"),
        ("echo borg 1.0.9\n", "1.1 or newer"),
        ("echo borg 2.0.0b5\n", "ok "),
    ],
)
def test_the_doctor_looks_at_borg(installation, tmp_path, monkeypatch, script, words):
    borg = None
    if script is not None:
        hook(tmp_path / "borg", script)
        borg = str(tmp_path / "borg")
    monkeypatch.setattr("bbs_agent.doctor.find_borg", lambda: borg)
    os.unlink(installation.config_path)
    assert words in doctor(installation)["borg"]


def test_few_repositories_are_remembered(tmp_path):
    seen = Seen(str(tmp_path / "seen.json"))
    for count in [*range(MOST + 5), MOST]:
        seen.note("ssh://u@h/./{}".format(count))
    assert len(seen.repositories()) == MOST and seen.repositories()[-1].endswith("/{}".format(MOST + 4))


def test_a_traceback_of_borg_is_told_by_its_last_line_alone() -> None:
    said = (
        "Exception ignored\nTraceback (most recent call last):\n"
        '  File "/usr/lib/borg/remote.py", line 240, in serve\n    res = f(**args)\n'
        "OSError: [Errno 28] No space left on device\n\nPlatform: Linux h1 6.1.0\nBorg: 1.2.4  Python: CPython 3.11.2\n"
    )
    assert without_traceback(said) == "Exception ignored\nOSError: [Errno 28] No space left on device"
    assert without_traceback("Repository does not exist.") == "Repository does not exist."


# listings and waits -------------------------------------------------------------------------


def listed(path, **task):
    """What `list_dir` answers, without a server."""
    job = SimpleNamespace(task=dict(task, path=str(path)), token=CancelToken(), id=1)
    return json.loads(list_dir(job, None).report["output_log"])


def depth_of(entries):
    return 1 + max([depth_of(entry["entries"]) for entry in entries if "entries" in entry], default=0) if entries else 0


def test_a_listing_has_limits(tmp_path):
    place = tmp_path
    for level in range(7):
        place = place / "d{}".format(level)
        place.mkdir()
    for count in range(60):
        (tmp_path / "f{:02}".format(count)).touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "link").symlink_to(tmp_path / "d0")
    assert depth_of(listed(tmp_path, depth=99)["entries"]) == 5
    assert depth_of(listed(tmp_path, depth=0)["entries"]) == depth_of(listed(tmp_path)["entries"]) == 1
    # Directories first; 50 is the least a server can ask for.
    few = listed(tmp_path, max_entries=1)
    assert few["truncated"] is True and len(few["entries"]) == 50 and few["entries"][0]["name"] == "d0"
    names = [entry["name"] for entry in listed(tmp_path, show_hidden=True)["entries"]]
    assert ".hidden" in names and ".hidden" not in [entry["name"] for entry in listed(tmp_path)["entries"]]
    kinds = {entry["name"]: entry["type"] for entry in listed(tmp_path)["entries"]}
    assert (kinds["d0"], kinds["f00"], kinds["link"]) == ("dir", "file", "link")
    followed = listed(tmp_path, follow_symlinks=True, depth=2)["entries"]
    assert next(entry for entry in followed if entry["name"] == "link")["entries"][0]["name"] == "d1"


def test_a_listing_leaves_kernel_file_systems_out_unless_asked():
    names = [entry["name"] for entry in listed("/")["entries"]]
    assert "proc" not in names and "etc" in names
    assert "proc" in [entry["name"] for entry in listed("/", show_all=True)["entries"]]


def test_polls_are_spread():
    assert Timing(randomly=lambda least, _most: least).jittered(30) == 27
    assert Timing(randomly=lambda _least, most: most).jittered(30) == pytest.approx(33)
