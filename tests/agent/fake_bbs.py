# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A double for the server: scripted tasks and replies, every request recorded."""

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bbs_server.agent_artifact import installer

PACKAGE = Path(__file__).resolve().parents[2] / "server" / "bbs_agent"
KEY = "a" * 63 + "1"


def build_zipapp(**changes):
    """The agent as the server hands it out; `loop=("old", "new")` changes a text in its loop.py."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", "from bbs_agent.__main__ import main\n\nmain()\n")
        for path in sorted(PACKAGE.rglob("*.py")):
            text = path.read_text()
            old, new = changes.get(path.stem.strip("_") if path.parent == PACKAGE else "", ("", ""))
            assert old in text
            archive.writestr(str(path.relative_to(PACKAGE.parent)), text.replace(old, new) if old else text)
    return target.getvalue()


class FakeBbs:
    """`tasks` are delivered until their first progress, as the contract says (§5.2)."""

    def __init__(self):
        self.requests = []
        self.tasks = []
        self.check_jobs = []
        self.cancelled = set()
        self.heartbeat_extra = {}
        self.register_reply = {}
        self.ssh_key_reply = {}
        self.poll_interval = 0.05
        self.key = KEY
        # What the agent gets when it asks for a key of its own; an upstream server has none.
        self.own_key = None
        self.downloads = {"install.sh": installer()}
        self.down = threading.Event()
        # Endpoints whose next reply is lost on its way.
        self.lost_replies = set()
        self.deliver_always = False
        # path -> callable(body) -> (status, object or bytes), to answer differently
        self.overrides = {}
        self._started = set()
        self._changed = threading.Condition()
        self._server = None
        self.port = 0
        self.start()

    # life ----------------------------------------------------------------------------------

    def start(self):
        bbs = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_args):
                """Quiet."""

            def do_GET(self):
                bbs._answer(self, None)

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                bbs._answer(self, json.loads(self.rfile.read(length) or b"{}"))

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        return "http://127.0.0.1:{}".format(self.port)

    def offer_agent(self, agent=None):
        """Put an agent (the present one) and its digest on offer."""
        agent = agent or build_zipapp()
        digest = hashlib.sha256(agent).hexdigest()
        self.downloads["bbs-agent.pyz"] = agent
        self.downloads["bbs-agent.pyz.sha256"] = "{}  bbs-agent.pyz\n".format(digest).encode()

    # what tests ask ------------------------------------------------------------------------

    def bodies(self, name):
        """The JSON bodies sent to one endpoint, in order."""
        return [body for path, body in list(self.requests) if path == "/api/agent/" + name]

    def wait(self, condition, timeout=120):
        """Wait until `condition()` holds after some request."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), "the agent did not do it in time"

    def wait_for_status(self, job_id, timeout=120):
        """The final report of a job."""

        def found():
            return [body for body in self.bodies("status") if body["job_id"] == job_id]

        self.wait(found, timeout)
        return found()[-1]

    def in_full_swing(self):
        """Whether a backup has been seen to advance."""
        return any(body.get("bytes_processed", 0) > 0 for body in self.bodies("progress"))

    # answering -----------------------------------------------------------------------------

    def _answer(self, handler, body):
        parts = urlsplit(handler.path)
        if self.down.is_set():
            handler.close_connection = True
            return
        with self._changed:
            self.requests.append((parts.path, body))
            status, reply = self._reply(handler, parts, body)
            self._changed.notify_all()
            name = parts.path.rsplit("/", 1)[1]
            if name in self.lost_replies:
                self.lost_replies.remove(name)
                handler.close_connection = True
                return
        raw = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        handler.send_response(status)
        kind = "application/octet-stream" if isinstance(reply, bytes) else "application/json"
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    def _reply(self, handler, parts, body):
        if parts.path in self.overrides:
            return self.overrides[parts.path](body)
        if parts.path == "/api/agent/download":
            content = self.downloads.get(parse_qs(parts.query)["file"][0])
            return (200, content) if content is not None else (404, b"Not found")
        key = (handler.headers.get("Authorization") or "").partition("Bearer ")[2]
        if key not in (self.key, self.own_key):
            return 401, {"error": "Invalid API key"}
        # The old key works until the new one is used.
        self.key = key
        assert handler.headers["User-Agent"].startswith("BBS-Agent/")
        endpoint = getattr(self, "_" + parts.path.rsplit("/", 1)[1].replace("-", "_"), None)
        return endpoint(body) if endpoint else (404, {"error": "Not found"})

    def _register(self, body):
        reply = {"status": "ok", "agent_id": 1, "name": "web01", "poll_interval": self.poll_interval}
        if self.own_key is not None and self.own_key != self.key and body.get("exchange_key"):
            reply["agent_key"] = self.own_key
        return 200, dict(reply, **self.register_reply)

    def _ssh_key(self, _body):
        if not self.ssh_key_reply:
            return 404, {"error": "SSH key not provisioned"}
        return 200, dict(self.ssh_key_reply, status="ok")

    def _tasks(self, _body):
        waiting = [task for task in self.tasks if self.deliver_always or task["job_id"] not in self._started]
        reply = {"status": "ok", "tasks": waiting, "poll_interval": self.poll_interval}
        if self.check_jobs:
            reply["check_jobs"] = self.check_jobs
            self.check_jobs = []
        return 200, reply

    def _progress(self, body):
        self._started.add(body["job_id"])
        return 200, {"status": "ok", "cancel": body["job_id"] in self.cancelled}

    def _status(self, body):
        self._started.add(body["job_id"])
        return 200, {"status": "ok", "archive_id": None}

    def _heartbeat(self, _body):
        return 200, dict({"status": "ok", "agent_id": 1, "server_time": "2026-11-23 09:40:22"}, **self.heartbeat_extra)
