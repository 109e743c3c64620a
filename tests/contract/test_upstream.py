# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules against what upstream answers, in both releases and by both ways in."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import requests

from .harness import Harness
from .upstream import MASK, NEW, OLD, Answer, Upstream

new_only = pytest.mark.parametrize("version", [NEW], indirect=True)
old_only = pytest.mark.parametrize("version", [OLD], indirect=True)
MYSQL: dict[str, Any] = {"client": "web1", "plugin": "mysql_dump", "name": "db"}
DAILY: dict[str, Any] = {"client": "web1", "name": "daily"}


@pytest.fixture
def host(bbs: Harness) -> Harness:
    """A client with the repository ``main``."""
    bbs.ok("bbs_client", name="web1")
    bbs.ok("bbs_repository", client="web1", name="main")
    return bbs


@pytest.fixture
def planned(host: Harness) -> Harness:
    """The same with the plan ``daily``."""
    host.ok("bbs_plan", **DAILY, repository="main", directories=["/etc"])
    return host


def test_line(bbs: Harness, upstream: Upstream) -> None:
    """The whole line, and once more without a change."""
    for expected in (True, False):
        client = bbs.ok("bbs_client", name="web1")
        assert client["changed"] is expected
        assert client["api_key"] == "k" * 64
        assert "--key" in client["install_command"]
        repository = bbs.ok("bbs_repository", client="web1", name="Main Repo")
        assert repository["changed"] is expected
        assert bool(repository["passphrase"]) is expected
        assert repository["repository"]["name"] == "main-repo"
        config = bbs.ok("bbs_plugin_config", **MYSQL, config={"user": "x", "password": "canary-secret", "port": "3306"})
        assert config["changed"] is expected
        assert "canary" not in str(config)
        plan = bbs.ok(
            "bbs_plan",
            **DAILY,
            repository="main-repo",
            directories=["/etc", "/home"],
            excludes=["*.tmp"],
            frequency="daily",
            times=["12:00", "2:00"],
        )
        assert plan["changed"] is expected
        assert plan["plan"]["times"] == "02:00,12:00"


class TestClients:
    def test_duplicate_names(self, bbs: Harness, upstream: Upstream) -> None:
        upstream.create_client({"name": "web1"}, "")
        upstream.create_client({"name": "web1"}, "")
        message = bbs.fails("bbs_client", name="web1")
        assert message.startswith("There are 2 clients named web1 (ids 1, 2)")

    def test_rename(self, bbs: Harness, upstream: Upstream) -> None:
        bbs.ok("bbs_client", name="web1")
        for expected in (True, False):
            result = bbs.ok("bbs_client", name="web1", new_name="web2")
            assert result["changed"] is expected
            assert result["client"]["name"] == "web2"

    def test_rename_onto_another(self, bbs: Harness) -> None:
        bbs.ok("bbs_client", name="web1")
        bbs.ok("bbs_client", name="web2")
        assert "cannot be renamed" in bbs.fails("bbs_client", name="web1", new_name="web2")

    def test_blanks_around_a_name(self, bbs: Harness) -> None:
        bbs.ok("bbs_client", name=" web1 ")
        assert not bbs.ok("bbs_client", name="web1")["changed"]
        assert "must not be empty" in bbs.fails("bbs_client", name="  ")

    def test_a_list_is_no_name(self, bbs: Harness, upstream: Upstream) -> None:
        assert bbs.fails("bbs_client", name=["web1", "web2"]) == "name must be text, but it is a list."
        assert not upstream.log

    def test_an_option_that_nobody_knows(self, bbs: Harness) -> None:
        message = bbs.fails("bbs_client", nme="web1", name="web1").lower()
        assert "unsupported" in message and "nme. supported parameters include: " in message

    def test_client_by_id(self, bbs: Harness) -> None:
        number = bbs.ok("bbs_client", name="web1")["id"]
        bbs.ok("bbs_repository", client=str(number), name="main")

    def test_name_is_never_an_id(self, bbs: Harness, upstream: Upstream) -> None:
        number = bbs.ok("bbs_client", name="web1")["id"]
        assert bbs.ok("bbs_client", name=str(number))["id"] != number

    def test_rotation_is_not_upstream(self, bbs: Harness) -> None:
        bbs.ok("bbs_client", name="web1")
        assert "too old" in bbs.fails("bbs_client", name="web1", rotate_key=True)
        message = bbs.fails("bbs_client", name="web1", new_name="web2", rotate_key_after_days=90)
        assert "does not tell how old a key is" in message
        assert bbs.ok("bbs_client", name="web1", state="absent", rotate_key_after_days=90)["changed"]


class TestRepositories:
    def test_warning_means_rolled_back(self, bbs: Harness, upstream: Upstream) -> None:
        upstream.init_fails = True
        bbs.ok("bbs_client", name="web1")
        message = bbs.fails("bbs_repository", client="web1", name="main")
        assert "borg could not initialise it" in message and "no borg" in message
        assert upstream.repositories == []

    def test_rename_to_another_spelling(self, host: Harness) -> None:
        """Renaming to the name it has is a failure upstream, so it is never asked for."""
        assert not host.ok("bbs_repository", client="web1", name="main", new_name="MAIN")["changed"]

    def test_create_only_fields(self, host: Harness) -> None:
        message = host.fails("bbs_repository", client="web1", name="main", encryption="none")
        assert message.startswith("encryption of an existing repository cannot be changed: it is 'repokey-blake2'")

    def test_passphrase_is_masked_when_given(self, host: Harness) -> None:
        result = host.ok("bbs_repository", client="web1", name="other", passphrase="canary-passphrase")
        assert "canary" not in str(result)
        assert not host.ok("bbs_repository", client="web1", name="other", passphrase="another")["changed"]

    def test_another_host_has_to_be_named(self, host: Harness, upstream: Upstream) -> None:
        message = host.fails("bbs_repository", client="web1", name="other", storage_type="remote_ssh")
        assert message == "To create the repository other on another host, give remote_ssh_config."

    def test_unknown_storage_is_refused(self, host: Harness, upstream: Upstream) -> None:
        message = host.fails("bbs_repository", client="web1", name="other", storage_location="nowhere")
        assert "There is no storage location named nowhere" in message

    def test_remote(self, host: Harness, upstream: Upstream) -> None:
        for expected in (True, False):
            result = host.ok("bbs_repository", client="web1", name="off", remote_ssh_config="offsite")
            assert result["changed"] is expected
        assert upstream.repositories[-1]["storage_type"] == "remote_ssh"
        assert "does not tell remote_ssh_config" in str(result["warnings"])

    def test_absent_while_plans_use_it(self, planned: Harness, upstream: Upstream) -> None:
        message = planned.fails("bbs_repository", client="web1", name="main", state="absent")
        if upstream.version == NEW:
            assert "in use by these plans: daily" in message
        planned.ok("bbs_repository", client="web1", name="main", state="absent", delete_plans=True)
        assert upstream.plans == upstream.repositories == []

    def test_absent_client(self, bbs: Harness) -> None:
        """What belongs to a client that is gone is gone."""
        assert not bbs.ok("bbs_repository", client="gone", name="main", state="absent")["changed"]

    def test_missing_client(self, bbs: Harness) -> None:
        message = bbs.fails("bbs_repository", client="gone", name="main")
        assert "There is no client named gone" in message and "bbs_client" in message


class TestPlans:
    def test_created_plan_is_armed(self, planned: Harness, upstream: Upstream) -> None:
        assert upstream.plans[0]["next_run"]
        body = next(entry[2] for entry in upstream.log if entry[0] == "PUT")
        assert {"frequency", "times"} <= set(body)

    def test_timezone_at_creation(self, host: Harness, upstream: Upstream) -> None:
        """Creation ignores it upstream; the request that arms the plan carries it."""
        host.ok("bbs_plan", **DAILY, repository="main", directories=["/etc"], timezone="Europe/Berlin")
        assert upstream.plans[0]["timezone"] == "Europe/Berlin"

    def test_short_interval(self, host: Harness, upstream: Upstream) -> None:
        host.ok("bbs_plan", **DAILY, repository="main", directories=["/etc"], frequency="15min")
        assert upstream.plans[0]["frequency"] == "15min"
        assert upstream.plans[0]["next_run"]

    def test_manual_plan_stays_asleep(self, host: Harness, upstream: Upstream) -> None:
        for expected in (True, False):
            plan = host.ok("bbs_plan", **DAILY, repository="main", directories=["/etc"], frequency="manual")
            assert plan["changed"] is expected
        assert upstream.plans[0]["next_run"] is None

    def test_paused_from_the_start(self, host: Harness, upstream: Upstream) -> None:
        options = {"repository": "main", "directories": ["/etc"], "state": "paused"}
        assert host.ok("bbs_plan", **DAILY, **options)["changed"]
        assert upstream.plans[0]["schedule_enabled"] is False
        assert not host.ok("bbs_plan", **DAILY, **options)["changed"]

    def test_pause_survives_a_change_of_the_schedule(self, planned: Harness, upstream: Upstream) -> None:
        planned.ok("bbs_plan", **DAILY, state="paused", update_unreadable=True)
        assert upstream.plans[0]["schedule_enabled"] is False
        planned.ok("bbs_plan", **DAILY, state="paused", times=["05:00"])
        assert upstream.plans[0]["times"] == "05:00"
        assert upstream.plans[0]["schedule_enabled"] is False

    @new_only
    def test_resume(self, planned: Harness, upstream: Upstream) -> None:
        planned.ok("bbs_plan", **DAILY, state="paused")
        for expected in (True, False):
            assert planned.ok("bbs_plan", **DAILY)["changed"] is expected
        assert upstream.plans[0]["schedule_enabled"] is True

    def test_schedule_change_moves_the_next_run(self, planned: Harness, upstream: Upstream) -> None:
        upstream.plans[0]["next_run"] = "stale"
        planned.ok("bbs_plan", **DAILY, times=["05:00"])
        assert upstream.plans[0]["next_run"] != "stale"

    def test_clearing(self, planned: Harness, upstream: Upstream) -> None:
        planned.ok("bbs_plan", **DAILY, excludes=["*.tmp"])
        for expected in (True, False):
            result = planned.ok("bbs_plan", **DAILY, excludes=None, advanced_options=None)
            assert result["changed"] is expected
        assert upstream.plans[0]["excludes"] is None
        assert all(None not in (entry[2] or {}).values() for entry in upstream.writes())

    def test_what_null_cannot_clear(self, planned: Harness, upstream: Upstream) -> None:
        planned.ok("bbs_plan", **DAILY, frequency="weekly", day_of_week="monday")
        message = planned.fails("bbs_plan", **DAILY, frequency="daily", day_of_week=None)
        assert "day_of_week cannot be cleared: this server ignores null" in message
        assert "timezone cannot be cleared" in planned.fails("bbs_plan", **DAILY, timezone=None)

    def test_attached_plugins_are_unreadable(self, planned: Harness, upstream: Upstream) -> None:
        number = planned.ok("bbs_plugin_config", **MYSQL, config={"password": "x"})["id"]
        result = planned.ok("bbs_plan", **DAILY, plugin_configs=["db"])
        assert not result["changed"]
        assert "does not tell plugin_configs" in str(result["warnings"])
        assert planned.ok("bbs_plan", **DAILY, plugin_configs=["db"], update_unreadable=True)["changed"]
        assert upstream.plans[0]["plugins"] == [number]

    @old_only
    def test_unreadable_retention(self, planned: Harness, upstream: Upstream) -> None:
        result = planned.ok("bbs_plan", **DAILY, prune_days=30, timezone="UTC")
        assert not result["changed"]
        assert "does not tell timezone, prune_days" in str(result["warnings"])

    @old_only
    def test_unreadable_pause(self, planned: Harness, upstream: Upstream) -> None:
        for state, enabled in (("paused", False), ("present", True)):
            assert not planned.ok("bbs_plan", **DAILY, state=state)["changed"]
            assert upstream.plans[0]["schedule_enabled"] is not enabled
            assert planned.ok("bbs_plan", **DAILY, state=state, update_unreadable=True)["changed"]
            assert upstream.plans[0]["schedule_enabled"] is enabled

    @new_only
    def test_readable_retention(self, planned: Harness) -> None:
        assert planned.ok("bbs_plan", **DAILY, prune_days=30, timezone="Europe/Berlin")["changed"]
        again = planned.ok("bbs_plan", **DAILY, prune_days=30, timezone="Europe/Berlin")
        assert not again["changed"] and "warnings" not in again

    def test_same_config_name_in_two_plugins(self, planned: Harness, upstream: Upstream) -> None:
        planned.ok("bbs_plugin_config", **MYSQL, config={"password": "x"})
        hook = planned.ok("bbs_plugin_config", **{**MYSQL, "plugin": "shell_hook"}, config={})["id"]
        assert "2 plugin configs named db" in planned.fails("bbs_plan", **DAILY, plugin_configs=["db"])
        planned.ok("bbs_plan", **DAILY, plugin_configs=["shell_hook/db"], update_unreadable=True)
        assert upstream.plans[0]["plugins"] == [hook]

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"frequency": "weekly"}, "needs day_of_week"),
            ({"frequency": "monthly"}, "needs day_of_month"),
            ({"directories": []}, "directories: must not be empty"),
            ({"directories": ["/etc", "srv"]}, "directories: 'srv' is not an absolute path such as '/etc'"),
            ({"directories": [["/etc"]]}, "directories must be a list of texts, but a list is one of them."),
            ({"repository": ["main"]}, "repository must be text, but it is a list."),
            ({"times": []}, "times: must not be empty"),
            ({"times": ["25:00"]}, "times: '25:00' is not a time"),
            ({"day_of_week": "someday"}, "day_of_week: 'someday' is not a day"),
            ({"repository": "nowhere"}, "There is no repository named nowhere"),
            ({"plugin_configs": ["nothing"]}, "There is no plugin config named nothing"),
            ({"client": " "}, "client must not be empty."),
        ],
    )
    def test_mistakes(self, planned: Harness, options: dict[str, Any], reason: str) -> None:
        assert reason in planned.fails("bbs_plan", **{**DAILY, **options})

    def test_what_creation_needs(self, host: Harness) -> None:
        assert "give repository and directories" in host.fails("bbs_plan", **DAILY)

    def test_check_mode_of_a_whole_host(self, bbs: Harness, upstream: Upstream) -> None:
        """Nothing is there yet: placeholders and warnings, no failure, nothing sent."""
        result = bbs.ok("bbs_plan", check=True, **DAILY, repository="main", directories=["/etc"])
        assert result["changed"] and "There is no client named web1" in str(result["warnings"])
        assert result["diff"]["after"]["repository"] == "main"
        bbs.ok("bbs_client", name="web1")
        result = bbs.ok("bbs_plan", check=True, **DAILY, repository="main", directories=["/etc"], plugin_configs=["db"])
        assert len(result["warnings"]) == 2
        assert not upstream.plans


class TestPluginConfigs:
    CONFIG: ClassVar[dict[str, str]] = {"user": "x", "password": "first-canary"}

    def test_masks_are_never_written_back(self, host: Harness, upstream: Upstream) -> None:
        host.ok("bbs_plugin_config", **MYSQL, config=self.CONFIG)
        message = host.fails("bbs_plugin_config", **MYSQL, config={"password": MASK})
        assert "how the server hides a secret" in message
        message = host.fails("bbs_plugin_config", **MYSQL, config={"password": ""})
        assert "config.password is empty, and a stored secret cannot be cleared" in message
        assert upstream.configs[0]["config"]["password"] == "first-canary"

    @new_only
    def test_partial_never_wipes(self, host: Harness, upstream: Upstream) -> None:
        host.ok("bbs_plugin_config", **MYSQL, config=self.CONFIG)
        result = host.ok("bbs_plugin_config", **MYSQL, config={"host": "db.example"})
        assert result["diff"]["after"]["config.host"] == "db.example"
        assert upstream.configs[0]["config"] == {**self.CONFIG, "host": "db.example"}
        bodies = [entry[2] for entry in upstream.writes() if entry[0] == "PUT"]
        assert bodies == [{"config": {"host": "db.example"}}]

    @new_only
    def test_replace(self, host: Harness, upstream: Upstream) -> None:
        host.ok("bbs_plugin_config", **MYSQL, config={**self.CONFIG, "host": "db.example"})
        for expected in (True, False):
            result = host.ok("bbs_plugin_config", **MYSQL, config={"user": "x"}, replace=True)
            assert result["changed"] is expected
        assert upstream.configs[0]["config"] == {**self.CONFIG, "host": "localhost"}

    @new_only
    def test_update_secrets(self, host: Harness, upstream: Upstream) -> None:
        host.ok("bbs_plugin_config", **MYSQL, config=self.CONFIG)
        second = {"password": "second-canary"}
        assert not host.ok("bbs_plugin_config", **MYSQL, config=second)["changed"]
        result = host.ok("bbs_plugin_config", **MYSQL, config=second, update_secrets="always")
        assert result["diff"]["after"]["config.password"] == "(changed)"
        assert upstream.configs[0]["config"]["password"] == "second-canary"
        assert "canary" not in str(result)

    @old_only
    def test_too_old_to_change(self, host: Harness) -> None:
        host.ok("bbs_plugin_config", **MYSQL, config=self.CONFIG)
        message = host.fails("bbs_plugin_config", **MYSQL, config={"host": "db.example"})
        assert "differs in config.host" in message and "too old to change it" in message
        assert "too old to remove" in host.fails("bbs_plugin_config", **MYSQL, state="absent")

    def test_empty_config_is_a_list_on_the_wire(self, host: Harness) -> None:
        options = {**MYSQL, "plugin": "shell_hook", "config": {}}
        for expected in (True, False):
            assert host.ok("bbs_plugin_config", **options)["changed"] is expected

    @pytest.mark.parametrize(
        ("plugin", "config", "reason"),
        [
            ("nothing", {}, "no plugin nothing; it has mysql_dump, s3_sync, shell_hook"),
            ("mysql_dump", {"password": "canary", "hots": "x"}, "has no hots; it has"),
            ("mysql_dump", {}, "config needs password"),
            ("mysql_dump", {"password": "canary", "port": "many"}, "config.port: must be a number"),
            ("mysql_dump", {"password": "canary", "host": None}, "config.host is null"),
            ("shell_hook", {"post_script_timing": "never"}, "must be one of 'backup', 'repo_jobs'"),
            ("s3_sync", {"credential_source": "custom"}, "config needs bucket, secret_key"),
        ],
    )
    def test_mistakes(self, host: Harness, plugin: str, config: dict[str, Any], reason: str) -> None:
        message = host.fails("bbs_plugin_config", **{**MYSQL, "plugin": plugin}, config=config)
        assert reason in message
        assert "canary" not in message

    def test_condition_does_not_hold(self, host: Harness) -> None:
        host.ok("bbs_plugin_config", **{**MYSQL, "plugin": "s3_sync"}, config={"credential_source": "global"})

    def test_every_value_is_secret_until_the_schema_is_known(self, host: Harness, upstream: Upstream) -> None:
        upstream.token = "another"
        result = host("bbs_plugin_config", **MYSQL, config={"unheard_of": "canary-value"})
        assert result["failed"]
        assert "canary-value" not in str(result)

    def test_harmless_values_are_shown(self, host: Harness) -> None:
        result = host.ok("bbs_plugin_config", **MYSQL, config={**self.CONFIG, "host": "db.example"})
        assert result["plugin_config"]["config"] == {"user": "x", "host": "db.example", "password": MASK}


class TestTransport:
    """A server that misbehaves between a request and its answer."""

    def breaking(self, bbs: Harness, after: int, failure: Answer | Exception) -> None:
        """Let the first POST reach the server, but answer with a failure, ``after`` times."""
        inner, left = bbs.transport, [after]

        def transport(method: str, path: str, headers: Any, body: bytes) -> Answer:
            reply = inner(method, path, headers, body)
            if method == "POST" and left[0]:
                left[0] -= 1
                if isinstance(failure, Exception):
                    raise failure
                return failure
            return reply

        bbs.transport = transport

    @pytest.mark.parametrize(
        "failure",
        [requests.exceptions.ReadTimeout("slow"), Answer(504, "<html>", "text/html")],
        ids=["timeout", "gateway"],
    )
    def test_no_duplicate_when_the_answer_is_lost(
        self, bbs: Harness, upstream: Upstream, failure: Answer | Exception
    ) -> None:
        self.breaking(bbs, 1, failure)
        client = bbs.ok("bbs_client", name="web1")
        assert client["changed"] and client["api_key"] == "k" * 64
        assert len(upstream.clients) == 1
        self.breaking(bbs, 1, failure)
        repository = bbs.ok("bbs_repository", client="web1", name="main")
        assert len(upstream.repositories) == 1
        assert repository["passphrase"] == upstream.repositories[0]["passphrase"]
        self.breaking(bbs, 1, failure)
        bbs.ok("bbs_plan", **DAILY, repository="main", directories=["/etc"])
        assert len(upstream.plans) == 1
        assert upstream.plans[0]["next_run"]
        self.breaking(bbs, 1, failure)
        job = bbs.ok("bbs_job", client="web1", plan="daily", wait=False)
        assert len(upstream.jobs) == 1
        assert job["changed"] and job["id"] == upstream.jobs[0]["id"]

    @new_only
    @pytest.mark.parametrize("limit", [{"scope": "read"}, {"expires_at": "2090-01-31"}])
    @pytest.mark.parametrize("check", [True, False])
    def test_a_token_is_not_made_with_more_rights_than_asked_for(
        self, bbs: Harness, upstream: Upstream, limit: dict[str, str], check: bool
    ) -> None:
        message = bbs.fails("bbs_token", check=check, name="deploy", **limit)
        assert "may do everything" in message and f"leave out {next(iter(limit))} if" in message
        assert upstream.tokens == []
        assert bbs.ok("bbs_token", name="deploy", scope="admin")["changed"]

    @new_only
    def test_token_whose_answer_is_lost(self, bbs: Harness, upstream: Upstream) -> None:
        self.breaking(bbs, 1, requests.exceptions.ReadTimeout("slow"))
        token = bbs.ok("bbs_token", name="deploy")
        assert len(upstream.tokens) == 1
        assert token["token"].endswith(f"{upstream.tokens[0]['id']:x}")

    def test_throttled_then_served(self, bbs: Harness, upstream: Upstream) -> None:
        inner, left = bbs.transport, [2]

        def transport(method: str, path: str, headers: Any, body: bytes) -> Answer:
            if left[0]:
                left[0] -= 1
                return Answer(429, {"error": "Too many failed attempts. Try again later."})
            return inner(method, path, headers, body)

        bbs.transport = transport
        assert bbs.ok("bbs_client", name="web1")["changed"]

    def test_json_of_something_else(self, bbs: Harness) -> None:
        bbs.transport = lambda *request: Answer(200, {"hello": "world"})
        assert "answered GET /api/v1/clients without clients" in bbs.fails("bbs_client", name="web1")

    def test_html_with_status_200(self, bbs: Harness) -> None:
        """2.26 prints PHP errors this way (admin-api.md §1)."""
        bbs.transport = lambda *request: Answer(200, "<b>Fatal error</b>: canary", "text/html")
        message = bbs.fails("bbs_client", name="web1")
        assert "something that is not JSON" in message and "canary" not in message
