# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bbs_fleet: many hosts in one task, on the bundled server and on both releases of upstream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from .harness import Harness
from .upstream import Answer, Upstream, error

PLAN = {"name": "nightly", "repository": "main", "directories": ["/etc"], "plugin_configs": ["hooks"]}


def host(name: str, **more: Any) -> dict[str, Any]:
    """A host with one object of each kind."""
    hooks = {"plugin": "shell_hook", "name": "hooks", "config": {"timeout": 60}}
    lists = {"repositories": [{"name": "main", "encryption": "none"}], "plugin_configs": [hooks], "plans": [PLAN]}
    return {"name": name, **lists, **more}


def clients(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def counts(**given: int) -> dict[str, int]:
    return {**dict.fromkeys(("created", "updated", "deleted", "unchanged"), 0), **given}


KINDS = ("clients", "repositories", "plugin_configs", "plans")


def check_comes_about(run: Harness, writes: Any) -> None:
    hosts = [host("web1"), host("web2"), host("web3")]
    predicted = run.ok("bbs_fleet", check=True, hosts=hosts)
    assert not writes()
    assert "warnings" not in predicted, "what the task itself would create is not missing"
    made = run.ok("bbs_fleet", hosts=hosts)
    assert made["diff"] == predicted["diff"] and made["summary"] == predicted["summary"]
    assert made["summary"] == {"hosts": 3, "changed": 3, "failed": 0, **dict.fromkeys(KINDS, counts(created=3))}
    assert {diff["before_header"] for diff in made["diff"]} >= {"web1", "web2: repository main", "web3: plan nightly"}
    told = made["hosts"]["web2"]
    assert told["changed"] and told["plans"]["nightly"]["action"] == "created" and told["plans"]["nightly"]["id"]

    again = run.ok("bbs_fleet", hosts=hosts)
    assert not again["changed"] and not again["diff"]
    assert again["summary"]["plans"] == counts(unchanged=3)
    ids = {name: (told["id"], told["plans"]["nightly"]["id"]) for name, told in made["hosts"].items()}
    assert ids == {name: (told["id"], told["plans"]["nightly"]["id"]) for name, told in again["hosts"].items()}

    # The single modules find everything as it shall be.
    assert not run.ok("bbs_client", name="web1")["changed"]
    assert not run.ok("bbs_plan", client="web1", **PLAN)["changed"]


def test_comes_about_on_upstream(bbs: Harness, upstream: Upstream) -> None:
    check_comes_about(bbs, upstream.writes)
    assert all(plan["next_run"] for plan in upstream.plans), "armed, as by bbs_plan"


def test_comes_about(fleet: Harness, server: Any) -> None:
    check_comes_about(fleet, server.writes)


def test_a_large_fleet_is_read_at_once(fleet: Harness, server: Any) -> None:
    """However many hosts there are: one list of everything, and the schemas."""
    hosts = [{**host(f"web{n:02}"), "repositories": [], "plans": []} for n in range(30)]
    fleet.ok("bbs_fleet", hosts=hosts)
    seen = len(server.log)
    assert not fleet.ok("bbs_fleet", hosts=hosts)["changed"]
    asked = Counter(path.split("?")[0].removeprefix("/api/v1") for _method, path in server.log[seen:])
    # Threads may ask for the schemas at the same moment.
    assert asked.pop("/plugins/schema") <= 8
    assert asked == {"/clients": 1}


def test_upstream_is_read_once_for_each_host(bbs: Harness, upstream: Upstream) -> None:
    hosts = [host(f"web{n:02}") for n in range(25)]
    bbs.ok("bbs_fleet", hosts=hosts)
    seen = len(upstream.log)
    assert not bbs.ok("bbs_fleet", hosts=hosts)["changed"]
    asked = Counter(path.rpartition("/")[2] for _method, path, _body in upstream.log[seen:])
    assert asked["clients"] == 1
    assert {kind: asked[kind] for kind in ("repositories", "plans", "plugin-configs")} == {
        "repositories": 25,
        "plans": 25,
        "plugin-configs": 25,
    }
    assert asked["schedules"] <= 8, "asked at the same moment, never once for each host"


def test_change_rename_pause_and_remove(fleet: Harness, server: Any) -> None:
    fleet.ok("bbs_fleet", hosts=[host("web1"), host("web2")])
    changed = [
        host("web1", new_name="www1", plans=[{**PLAN, "new_name": "daily", "excludes": ["*.tmp"], "state": "paused"}]),
        {"name": "web2", "state": "absent"},
    ]
    predicted = fleet.ok("bbs_fleet", check=True, hosts=changed)
    made = fleet.ok("bbs_fleet", hosts=changed)
    assert made["diff"] == predicted["diff"]
    assert made["summary"]["clients"] == counts(updated=1, deleted=1)
    assert made["summary"]["plans"] == counts(updated=1)
    assert not fleet.ok("bbs_fleet", hosts=changed)["changed"]
    assert [row["name"] for row in server.call("GET", "/clients")["clients"]] == ["www1"]

    emptied = [{"name": "www1", "plans": [{"name": "daily", "state": "absent"}], "repositories": [
        {"name": "main", "state": "absent"}]}]  # fmt: skip
    assert fleet.ok("bbs_fleet", hosts=emptied)["summary"]["repositories"] == counts(deleted=1)
    assert not fleet.ok("bbs_fleet", hosts=emptied)["changed"]


def test_null_clears_and_left_out_stays(fleet: Harness, server: Any) -> None:
    fleet.ok("bbs_fleet", hosts=[host("web1", plans=[{**PLAN, "excludes": ["*.tmp"], "prune_days": 3}])])
    made = fleet.ok("bbs_fleet", hosts=[host("web1", plans=[{"name": "nightly", "excludes": None}])])
    assert made["summary"]["plans"] == counts(updated=1)
    client = made["hosts"]["web1"]["id"]
    plan = server.call("GET", f"/clients/{client}/plans")["plans"][0]
    assert (plan["excludes"], plan["prune_days"]) == (None, 3)


def test_one_failure_does_not_stop_the_others(bbs: Harness, upstream: Upstream) -> None:
    """All of them in one message; those that met the same together; what the others have, in the result."""
    broken = {"plans": [{**PLAN, "repository": "missing"}]}
    hosts = [host("web1"), host("web2", **broken), host("web3", **broken), host("web4")]
    hosts[3]["plugin_configs"] = [{"plugin": "unheard_of", "name": "x"}]
    result = bbs("bbs_fleet", hosts=hosts)
    assert result["failed"] and result["changed"]
    assert result["msg"].splitlines()[0] == "3 of 4 hosts failed."
    assert "web2, web3: plan nightly: There is no repository named missing" in result["msg"]
    assert "web4: plugin config unheard_of/x: This server has no plugin unheard_of" in result["msg"]
    assert {name: told["failed"] for name, told in result["hosts"].items()} == {
        "web1": False,
        "web2": True,
        "web3": True,
        "web4": True,
    }
    assert [plan["client"] for plan in upstream.plans] == [result["hosts"]["web1"]["id"]]
    assert len(upstream.clients) == 4

    hosts[3]["plugin_configs"] = []
    again = bbs("bbs_fleet", hosts=hosts)
    assert "web1" not in again["hosts"], "what is as it shall be is no part of a failure"


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_server_that_refuses_is_left_alone(bbs: Harness, status: int) -> None:
    """Hosts that have not begun are not tried: each would wait through its retries for the same."""
    asked: list[str] = []

    def refuse(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        asked.append(path)
        return error(status, "no")

    bbs.transport = refuse
    result = bbs("bbs_fleet", hosts=clients("web1", "web2", "web3", "web4", "web5"), concurrency=1, retries=0)
    assert result["failed"] and len(asked) == 1
    assert "and 0" not in result["msg"] and "web2, web3, web4, web5: not tried any more" in result["msg"]


def test_malformed_hosts_change_nothing(bbs: Harness, upstream: Upstream) -> None:
    """Everything that is wrong is named at once, each with its host."""
    hosts = [
        host("web1"),
        host("web2", plans=[{**PLAN, "times": ["25:00"]}, {"name": "x", "directories": None}]),
        host("web3", repositories=[{"name": "Main"}, {"name": "main"}]),
        *clients("web1", " "),
    ]
    message = bbs.fails("bbs_fleet", hosts=hosts)
    assert "web2: plan nightly: times: '25:00' is not a time of day" in message
    assert "web2: plan x: directories cannot be cleared" in message
    assert "web3: repository main is there twice" in message
    assert "web1 is there twice" in message
    assert "name: must not be empty" in message
    assert not upstream.log


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ([host("web1"), host("web2", plans=[{**PLAN, "frequency": "dayly"}])], "web2: value of frequency must be one"),
        ([host("web1", repositories=[{"nme": "main"}])], "web1: unsupported options: repositories.nme."),
        ([host("web1", unheard_of=1)], "web1: unsupported options: unheard_of."),
        ([{"repositories": []}], "a host without a name: missing required arguments: name"),
        (["web1"], "number 1 of hosts is not a dictionary"),
        ([host("web1", plans=["nightly"])], "web1: "),
        ([host("web1", plans=[{**PLAN, "directories": [{"a": "b"}]}])], "web1: directories must be a list of texts"),
        ([host("web1", repositories=[{"name": ["main"]}])], "web1: name must be text, but it is a list"),
    ],
)
def test_what_ansible_refuses_is_named_with_its_host(bbs: Harness, hosts: list[Any], said: str) -> None:
    assert said in bbs.fails("bbs_fleet", hosts=hosts)


def test_purge(fleet: Harness, server: Any) -> None:
    fleet.ok("bbs_fleet", hosts=[host("web1"), host("web2"), host("web3")])
    kept = [{**host("web1"), "plans": [], "plugin_configs": []}, {"name": "web2", "plans": [PLAN]}]
    options = {"hosts": kept, "purge": list(KINDS)}

    before = len(server.writes())
    message = fleet.fails("bbs_fleet", **options, purge_maximum=2)
    assert "Nothing was changed: 3 objects would be removed" in message
    assert "web3, plugin config shell_hook/hooks of web1, plan nightly of web1" in message
    assert "purge_maximum is 2" in fleet.fails("bbs_fleet", check=True, **options, purge_maximum=2)
    predicted = fleet.ok("bbs_fleet", check=True, **options, purge_maximum=3)
    assert len(server.writes()) == before

    made = fleet.ok("bbs_fleet", **options, purge_maximum=3)
    assert made["diff"] == predicted["diff"]
    deleted = {kind: made["summary"][kind]["deleted"] for kind in KINDS}
    assert deleted == {"clients": 1, "repositories": 0, "plugin_configs": 1, "plans": 1}
    assert made["hosts"]["web3"]["action"] == "deleted"
    assert not fleet.ok("bbs_fleet", **options, purge_maximum=0)["changed"]
    plans = server.call("GET", "/schedules")["schedules"]
    assert [plan["agent_name"] for plan in plans] == ["web2"]


def test_purge_keeps_what_is_renamed_and_what_is_used(fleet: Harness) -> None:
    fleet.ok("bbs_fleet", hosts=[host("web1")])
    renamed = [{"name": "web1", "new_name": "www1", "plans": [{**PLAN, "new_name": "daily"}]}]
    made = fleet.ok("bbs_fleet", hosts=renamed, purge=list(KINDS), purge_maximum=0)
    assert made["summary"]["clients"] == counts(updated=1) and made["summary"]["plans"] == counts(updated=1)
    used = [{"name": "www1", "repositories": []}]
    message = fleet.fails("bbs_fleet", hosts=used, purge=["repositories"], purge_maximum=1)
    assert "www1: repository main: The repository main is in use by these plans: daily" in message


def test_purge_needs_a_maximum(bbs: Harness, upstream: Upstream) -> None:
    assert "purge_maximum" in bbs.fails("bbs_fleet", hosts=[], purge=["plans"])
    assert "must not be negative" in bbs.fails("bbs_fleet", hosts=[], purge=["plans"], purge_maximum=-1)
    assert "concurrency must be from 1 to 32" in bbs.fails("bbs_fleet", hosts=[], concurrency=0)
    assert not upstream.log


def test_secrets_are_returned_when_asked_for(fleet: Harness, server: Any) -> None:
    hosts = [{"name": name, "repositories": [{"name": "main"}]} for name in ("web1", "web2")]
    first = fleet.ok("bbs_fleet", hosts=hosts[:1])
    assert "Only the server knows the passphrases of new repositories of web1" in first["warnings"][0]
    assert not {"api_key", "install_command"} & set(first["hosts"]["web1"])
    second = fleet.ok("bbs_fleet", hosts=hosts, return_secrets=True)
    assert "warnings" not in second
    for name in ("web1", "web2"):
        told = second["hosts"][name]
        assert told["api_key"] in told["install_command"]
    assert second["hosts"]["web2"]["repositories"]["main"]["passphrase"]
    assert second["hosts"]["web1"]["repositories"]["main"]["passphrase"] is None


def test_no_result_holds_a_secret(fleet: Harness) -> None:
    """Of hosts that succeed and of hosts that fail; what only looks like a secret is shown."""
    secret = {"user": "backup", "password": "CANARY-password"}
    config = {"plugin": "mysql_dump", "name": "db", "config": secret}
    own = {"repositories": [{"name": "main", "encryption": "repokey", "passphrase": "CANARY-passphrase"}]}
    hosts = [host("web1", plugin_configs=[config], plans=[], **own)]
    hosts.append(host("web2", plugin_configs=[{**config, "config": {**secret, "port": "many"}}], plans=[], **own))
    said = [fleet("bbs_fleet", check, hosts=hosts) for check in (True, False, False)]
    assert all(result["failed"] for result in said)
    assert "config.port: must be a number" in said[1]["msg"]
    said.append(fleet("bbs_fleet", hosts=[host("web1", plugin_configs=[config], unheard_of="CANARY-x", **own)]))
    hosts[0]["plugin_configs"][0]["config"] = {"password": "CANARY-changed"}
    said.append(fleet.ok("bbs_fleet", hosts=hosts[:1]))
    assert said[-1]["diff"][0]["after"]["config.password"] == "(changed)"
    assert "CANARY-p" not in str(said) and "CANARY-changed" not in str(said)
    assert said[1]["diff"][2]["after"]["config.user"] == "backup"


def test_the_answer_to_a_creation_is_lost(bbs: Harness, upstream: Upstream) -> None:
    """It is looked for afresh, however much of the server is remembered, and not made twice."""
    lost: list[str] = []

    def lossy(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer = upstream.handle(method, path, dict(headers), body)
        if method == "POST" and path not in lost:
            lost.append(path)
            return Answer(504, "gone", "text/html")
        return answer

    bbs.transport = lossy
    bbs.ok("bbs_fleet", hosts=[host(f"web{n}") for n in range(25)], concurrency=1)
    assert len(lost) > 3
    assert [len(rows) for rows in (upstream.clients, upstream.repositories, upstream.configs, upstream.plans)] == [
        25
    ] * 4


def test_another_controller_is_quicker(fleet: Harness, server: Any) -> None:
    """409 for what is remembered as missing: it is looked for again, and taken as it is."""
    send = server.send

    def raced(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if method == "POST" and path.endswith("/clients"):
            send(method, path, headers, body)
        answer: Answer = send(method, path, headers, body)
        return answer

    fleet.transport = raced
    made = fleet.ok("bbs_fleet", hosts=clients("web1"))
    assert made["hosts"]["web1"]["action"] == "unchanged" and made["hosts"]["web1"]["id"]
