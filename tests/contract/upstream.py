# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small upstream server in memory: the quirks of two releases, as recorded (admin-api.md §5, §9, §10).

Only what the modules use, and no rule that upstream does not have: names are not unique, nulls are ignored,
lists leave out what the recordings leave out.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any

OLD = "2.26.4"
NEW = "2.91.1"
MASK = "********"
SCHEDULE = ("frequency", "times", "day_of_week", "day_of_month", "timezone")
RETENTION = {
    "prune_minutes": 0,
    "prune_hours": 0,
    "prune_days": 7,
    "prune_weeks": 4,
    "prune_months": 6,
    "prune_years": 0,
}
SCHEMAS = {
    "mysql_dump": {
        "name": "MySQL",
        "fields": {
            "host": {"type": "text", "default": "localhost"},
            "port": {"type": "number", "default": 3306},
            "user": {"type": "text", "default": "bbs_backup", "required": True},
            "password": {"type": "text", "required": True, "sensitive": True},
            "databases": {"type": "text", "default": "*"},
            "compress": {"type": "checkbox", "default": True},
            "exclude_databases": {"type": "tags", "default": ["information_schema", "sys"]},
        },
    },
    "shell_hook": {
        "name": "Hooks",
        "fields": {
            "pre_script": {"type": "text"},
            "post_script": {"type": "text"},
            "timeout": {"type": "number", "default": 300},
            "post_script_timing": {
                "type": "select",
                "default": "backup",
                "options": {"backup": "", "repo_jobs": ""},
            },
        },
    },
    "s3_sync": {
        "name": "S3",
        "fields": {
            "credential_source": {
                "type": "select",
                "options": {"global": "", "custom": ""},
                "default": "global",
            },
            "bucket": {"type": "text", "required": True, "show_when": {"credential_source": "custom"}},
            "secret_key": {
                "type": "text",
                "required": True,
                "sensitive": True,
                "show_when": {"credential_source": "custom"},
            },
        },
    },
}


@dataclass
class Answer:
    status: int
    body: Any = None
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        if self.content_type == "application/json" and self.status != 204:
            return json.dumps(self.body).encode()
        return str(self.body or "").encode()


def error(status: int, text: str, **more: Any) -> Answer:
    return Answer(status, {"error": text, **more})


NO_ROUTE = Answer(404, "404 Not Found", "text/html; charset=UTF-8")


@dataclass
class Upstream:
    """State and behaviour of one server; ``handle`` answers one request."""

    version: str = NEW
    token: str = "bbs_tok_test"
    init_fails: bool = False
    clients: list[dict[str, Any]] = field(default_factory=list)
    repositories: list[dict[str, Any]] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    log: list[tuple[str, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)

    def handle(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> Answer:
        path, _mark, query = path.removeprefix("/api/v1").partition("?")
        body = json.loads(raw) if raw else {}
        self.log.append((method, path, body))
        if path == "/auth/discover":
            return Answer(200, {"product": "bbs", "version": NEW}) if self.version == NEW else NO_ROUTE
        if headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, "Invalid API token")
        for verb, pattern, name, since in ROUTES:
            match = re.fullmatch(pattern, path)
            if verb == method and match and not (since == NEW and self.version == OLD):
                known = body if isinstance(body, dict) else {}
                answer: Answer = getattr(self, name)(known, query, *map(int, match.groups()))
                return answer
        return NO_ROUTE

    def writes(self) -> list[tuple[str, str, Any]]:
        return [entry for entry in self.log if entry[0] != "GET"]

    def _one(self, rows: list[dict[str, Any]], number: int) -> dict[str, Any] | None:
        return next((row for row in rows if row["id"] == number), None)

    # Clients

    def list_clients(self, body: dict[str, Any], query: str) -> Answer:
        hidden = ("api_key",)
        rows = [{k: v for k, v in row.items() if k not in hidden} for row in self.clients]
        return Answer(200, {"clients": sorted(rows, key=lambda row: str(row["name"]))})

    def create_client(self, body: dict[str, Any], query: str) -> Answer:
        name = str(body.get("name") or "").strip()
        if not name:
            return error(400, "Client name is required")
        row = {"id": next(self._ids), "name": name, "status": "setup", "hostname": None, "api_key": "k" * 64}
        self.clients.append(row)
        command = f"curl -s https://bbs.example/get-agent | sudo bash -s -- --key {row['api_key']}"
        return Answer(201, {**row, "install_command": command})

    def get_client(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.clients, number)
        return Answer(200, row) if row else error(404, "Client not found")

    def put_client(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.clients, number)
        if row is None:
            return error(404, "Client not found")
        if body.get("name") is None:
            return error(400, "No fields to update")
        row["name"] = body["name"].strip()
        return Answer(200, {"status": "ok", "message": "Client updated"})

    def delete_client(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.clients, number)
        if row is None:
            return error(404, "Client not found")
        self.clients.remove(row)
        return Answer(200, {"status": "ok", "message": "Client deleted"})

    def install(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.clients, number)
        if row is None:
            return error(404, "Client not found")
        return Answer(200, {"command": "curl … --key " + row["api_key"], "api_key": row["api_key"]})

    # Repositories

    def list_repositories(self, body: dict[str, Any], query: str, client: int) -> Answer:
        if not self._one(self.clients, client):
            return error(404, "Client not found")
        hidden = ("client", "passphrase")
        rows = [r for r in self.repositories if r["client"] == client]
        return Answer(200, {"repositories": [{k: v for k, v in r.items() if k not in hidden} for r in rows]})

    def create_repository(self, body: dict[str, Any], query: str, client: int) -> Answer:
        slug = re.sub("-+", "-", re.sub("[^a-z0-9_-]+", "-", body["name"].lower())).strip("-") or "repo"
        if any(r["client"] == client and r["name"] == slug for r in self.repositories):
            return error(409, "A repository already exists at that path. Try a different name.")
        row = {
            "id": next(self._ids),
            "client": client,
            "name": slug,
            "path": f"ssh://bbs-{client}@bbs.example/./{slug}",
            "encryption": body.get("encryption") or "repokey-blake2",
            "storage_type": body.get("storage_type", "local"),
            "passphrase": body.get("passphrase") or "AAAA-BBBB-CCCC-DDDD-EEEE",
        }
        self.repositories.append(row)
        shown = {k: v for k, v in row.items() if k != "client"}
        if row["encryption"] == "none":
            shown.pop("passphrase")
        warning = {"warning": "Repository created in database but borg init failed: no borg"}
        return Answer(201, {**shown, **(warning if self.init_fails else {})})

    def put_repository(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.repositories, number)
        if row is None:
            return error(404, "Repository not found")
        if row["name"] == body["name"]:
            return error(500, "Rename failed: target directory already exists")
        row["name"] = body["name"]
        return Answer(200, {"status": "ok", "name": row["name"], "path": row["path"]})

    def delete_repository(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.repositories, number)
        if row is None:
            return error(404, "Repository not found")
        plans = [{"id": p["id"], "name": p["name"]} for p in self.plans if p["repository_id"] == number]
        if plans and self.version == NEW:
            return error(409, f"In use by {len(plans)} backup plan(s)", reason="plans_attached", plans=plans)
        if plans:
            return error(409, f"In use by {len(plans)} backup plan(s)")
        self.repositories.remove(row)
        return Answer(200, {"status": "ok", "message": "Repository deleted"})

    def storage(self, body: dict[str, Any], query: str) -> Answer:
        return Answer(
            200,
            {
                "local": [{"id": 1, "name": "Default", "path": "/var/bbs", "is_default": 1}],
                "remote_ssh": [{"id": 7, "name": "offsite", "remote_host": "remote.example"}],
            },
        )

    # Plans

    def list_plans(self, body: dict[str, Any], query: str, client: int) -> Answer:
        if not self._one(self.clients, client):
            return error(404, "Client not found")
        hidden = {"client", "timezone", "next_run", "schedule_enabled", "plugins"}
        if self.version == OLD:
            hidden |= set(RETENTION)
        rows = [
            {**{k: v for k, v in p.items() if k not in hidden}, "repository_name": self._repository_name(p)}
            for p in self.plans
            if p["client"] == client
        ]
        return Answer(200, {"plans": rows})

    def _repository_name(self, plan: dict[str, Any]) -> str:
        row = self._one(self.repositories, plan["repository_id"])
        return str(row["name"]) if row else ""

    def create_plan(self, body: dict[str, Any], query: str, client: int) -> Answer:
        if isinstance(body.get("directories"), list) or isinstance(body.get("excludes"), list):
            return Answer(500, "", "text/html")
        if not body.get("name") or not body.get("repository_id") or not body.get("directories"):
            return error(400, "name, repository_id and directories are required")
        frequency = body.get("frequency", "daily")
        if frequency not in ("hourly", "daily", "weekly", "monthly", "manual"):
            return error(400, "Invalid frequency")
        row = {
            "id": next(self._ids),
            "client": client,
            "name": body["name"],
            "repository_id": body["repository_id"],
            "directories": body["directories"],
            "excludes": body.get("excludes") or None,
            "advanced_options": body.get("advanced_options", "--compression lz4 --exclude-caches --noatime"),
            "enabled": True if self.version == NEW else 1,
            "frequency": frequency,
            "times": body.get("times", "02:00"),
            "day_of_week": body.get("day_of_week"),
            "day_of_month": body.get("day_of_month"),
            **{key: int(body.get(key, default)) for key, default in RETENTION.items()},
            "timezone": "UTC",
            "next_run": None,
            "schedule_enabled": frequency != "manual",
            "plugins": [item["plugin_config_id"] for item in body.get("plugins", [])],
        }
        self.plans.append(row)
        answer = {key: row[key] for key in ("id", "name", "repository_id", "directories", "frequency")}
        return Answer(201, {**answer, "schedule_id": row["id"], "plugins_attached": len(row["plugins"])})

    def put_plan(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.plans, number)
        if row is None:
            return error(404, "Plan not found")
        for key, value in body.items():
            if value is None or key not in row:
                continue
            if key == "plugins":
                row["plugins"] = [item["plugin_config_id"] for item in value]
            elif key in ("excludes", "advanced_options"):
                row[key] = value.strip() or None
            else:
                row[key] = value
        if "frequency" in body:
            row["schedule_enabled"] = body["frequency"] != "manual"
            row["next_run"] = None if body["frequency"] == "manual" else "2026-11-24 02:00:00"
        return Answer(200, {"status": "ok", "message": "Plan updated"})

    def delete_plan(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.plans, number)
        if row is None:
            return error(404, "Plan not found")
        self.plans.remove(row)
        return Answer(200, {"status": "ok", "message": "Plan deleted"})

    def pause(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        return self._enable(number, False)

    def resume(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        return self._enable(number, True)

    def _enable(self, number: int, enabled: bool) -> Answer:
        row = self._one(self.plans, number)
        if row is None:
            return error(404, "Plan not found")
        row["schedule_enabled"] = enabled
        return Answer(200, {"status": "ok", "message": "done"})

    def schedules(self, body: dict[str, Any], query: str) -> Answer:
        keys = ("frequency", "times", "timezone", "next_run", "schedule_enabled")
        return Answer(200, {"schedules": [{"plan_id": p["id"], **{k: p[k] for k in keys}} for p in self.plans]})

    # Plugin configs

    def schema(self, body: dict[str, Any], query: str) -> Answer:
        return Answer(200, {"schemas": SCHEMAS})

    def list_configs(self, body: dict[str, Any], query: str, client: int) -> Answer:
        if not self._one(self.clients, client):
            return error(404, "Client not found")
        rows = []
        for row in self.configs:
            if row["client"] == client:
                secret = ("password", "secret_key", "access_key")
                shown = {k: MASK if k in secret and v else v for k, v in row["config"].items()}
                rows.append({"id": row["id"], "name": row["name"], "slug": row["slug"], "config": shown or []})
        return Answer(200, {"plugin_configs": rows})

    def create_config(self, body: dict[str, Any], query: str, client: int) -> Answer:
        if body["plugin"] not in SCHEMAS:
            return error(404, f"Unknown plugin: {body['plugin']}")
        if any((r["client"], r["slug"], r["name"]) == (client, body["plugin"], body["name"]) for r in self.configs):
            return error(409, "A config of that name already exists for this plugin")
        row = {
            "id": next(self._ids),
            "client": client,
            "slug": body["plugin"],
            "name": body["name"],
            "config": dict(body.get("config") or {}),
        }
        self.configs.append(row)
        return Answer(201, {"id": row["id"], "plugin": row["slug"], "name": row["name"]})

    def put_config(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.configs, number)
        if row is None:
            return error(404, "Plugin configuration not found for this client")
        row["config"].update(body.get("config") or {})
        return Answer(200, {"config": {"id": number, "name": row["name"]}})

    def delete_config(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.configs, number)
        if row is None:
            return error(404, "Plugin configuration not found for this client")
        self.configs.remove(row)
        return Answer(204)

    # Jobs

    def add_job(self, client: int, plan: dict[str, Any], status: str = "queued") -> dict[str, Any]:
        row = {
            "id": next(self._ids),
            "client": client,
            "plan_id": plan["id"],
            "plan_name": plan["name"],
            "status": status,
            "task_type": "backup",
            "error_log": None,
            "status_message": None,
        }
        self.jobs.append(row)
        return row

    def trigger(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        plan = self._one(self.plans, number)
        if plan is None:
            return error(404, "Plan not found")
        if any(j["plan_id"] == number and j["status"] in ("queued", "sent", "running") for j in self.jobs):
            return error(409, "A backup is already queued or running for this plan")
        return Answer(200, {"status": "ok", "job_id": self.add_job(client, plan)["id"], "message": "queued"})

    def list_jobs(self, body: dict[str, Any], query: str, client: int) -> Answer:
        match = re.search(r"status=([a-z%2C,]+)", query)
        wanted = match[1].replace("%2C", ",") if match else ""
        statuses = wanted.split(",") if self.version == NEW else [wanted]
        rows = [j for j in self.jobs if j["client"] == client and (not wanted or j["status"] in statuses)]
        given = re.search(r"limit=(\d+)", query)
        limit = int(given[1]) if given else 50
        return Answer(200, {"jobs": rows[::-1][:limit], "total": len(rows), "limit": limit, "offset": 0})

    def get_job(self, body: dict[str, Any], query: str, client: int, number: int) -> Answer:
        row = self._one(self.jobs, number)
        return Answer(200, dict(row)) if row else error(404, "Job not found")

    def cancel(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.jobs, number)
        if row is None:
            return error(404, "Job not found")
        if row["status"] not in ("queued", "sent", "running"):
            return error(409, f"Job cannot be cancelled (status: {row['status']})")
        row["status"] = "cancelled"
        return Answer(200, {"status": "ok", "message": "Job cancelled"})

    def retry(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.jobs, number)
        if row is None:
            return error(404, "Job not found")
        if row["status"] != "failed":
            return error(409, "Only failed jobs can be retried")
        again = {**row, "id": next(self._ids), "status": "queued"}
        self.jobs.append(again)
        return Answer(200, {"status": "ok", "job_id": again["id"], "message": "queued"})

    def queue(self, body: dict[str, Any], query: str) -> Answer:
        active = [j for j in self.jobs if j["status"] in ("queued", "sent", "running")]
        return Answer(200, {"queue": [{**j, "client_id": j["client"]} for j in active], "count": len(active)})

    # Tokens

    def list_tokens(self, body: dict[str, Any], query: str) -> Answer:
        return Answer(200, {"tokens": self.tokens})

    def create_token(self, body: dict[str, Any], query: str) -> Answer:
        if any(row["name"] == body["name"] for row in self.tokens):
            return error(409, "A token with that name already exists")
        row = {
            "id": next(self._ids),
            "name": body["name"],
            "can_read_secrets": bool(body.get("can_read_secrets")),
            "expires_at": None,
        }
        self.tokens.append(row)
        return Answer(201, {"id": row["id"], "token": f"bbs_tok_{row['id']:048x}"})

    def delete_token(self, body: dict[str, Any], query: str, number: int) -> Answer:
        row = self._one(self.tokens, number)
        if row is None:
            return error(404, "Token not found")
        self.tokens.remove(row)
        return Answer(204)


_C = r"/clients/(\d+)"
ROUTES = (
    ("GET", "/clients", "list_clients", OLD),
    ("POST", "/clients", "create_client", OLD),
    ("GET", _C, "get_client", OLD),
    ("PUT", _C, "put_client", OLD),
    ("DELETE", _C, "delete_client", OLD),
    ("GET", _C + "/install", "install", NEW),
    ("GET", _C + "/repositories", "list_repositories", OLD),
    ("POST", _C + "/repositories", "create_repository", OLD),
    ("PUT", _C + r"/repositories/(\d+)", "put_repository", OLD),
    ("DELETE", _C + r"/repositories/(\d+)", "delete_repository", OLD),
    ("GET", "/storage", "storage", OLD),
    ("GET", _C + "/plans", "list_plans", OLD),
    ("POST", _C + "/plans", "create_plan", OLD),
    ("PUT", _C + r"/plans/(\d+)", "put_plan", OLD),
    ("DELETE", _C + r"/plans/(\d+)", "delete_plan", OLD),
    ("POST", _C + r"/plans/(\d+)/pause", "pause", OLD),
    ("POST", _C + r"/plans/(\d+)/resume", "resume", OLD),
    ("POST", _C + r"/plans/(\d+)/trigger", "trigger", OLD),
    ("GET", "/schedules", "schedules", NEW),
    ("GET", "/plugins/schema", "schema", OLD),
    ("GET", _C + "/plugin-configs", "list_configs", OLD),
    ("POST", _C + "/plugin-configs", "create_config", OLD),
    ("PUT", _C + r"/plugin-configs/(\d+)", "put_config", NEW),
    ("DELETE", _C + r"/plugin-configs/(\d+)", "delete_config", NEW),
    ("GET", _C + "/jobs", "list_jobs", OLD),
    ("GET", _C + r"/jobs/(\d+)", "get_job", OLD),
    ("POST", r"/queue/(\d+)/cancel", "cancel", NEW),
    ("POST", r"/queue/(\d+)/retry", "retry", NEW),
    ("GET", "/queue", "queue", OLD),
    ("GET", "/tokens", "list_tokens", NEW),
    ("POST", "/tokens", "create_token", NEW),
    ("DELETE", r"/tokens/(\d+)", "delete_token", NEW),
)
