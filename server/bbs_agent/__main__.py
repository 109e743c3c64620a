# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the agent."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Callable, Dict, List, NoReturn, Optional

from . import VERSION, service
from .api import Api, ApiError
from .config import Config, ConfigError, Layout, config_path, load_config, merge_config
from .doctor import examine
from .logs import LOG, set_up_logging
from .own_key import key_in_use
from .probation import Probation
from .redact import Redactor
from .signals import on_termination
from .state import AlreadyRunning, PidFile
from .system import in_container
from .timing import Timing

if TYPE_CHECKING:
    from .loop import Agent

KEY_VARIABLE = "BBS_AGENT_KEY"
Command = Callable[[argparse.Namespace], int]


def main(argv: Optional[List[str]] = None) -> NoReturn:
    """Run one command and exit: 0 done, 1 failed with a sentence on stderr, 2 wrong usage.

    It exits by itself because the entry point of a zipapp ignores what a function returns.
    """
    arguments = _parser().parse_args(argv)
    try:
        sys.exit(COMMANDS[arguments.command](arguments))
    except (ApiError, ConfigError, AlreadyRunning, service.ServiceError, OSError) as error:
        sys.exit("bbs-agent: error: {}".format(error))


def _run(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    redactor = Redactor()
    redactor.learn(config.api_key)
    if arguments.trial:
        _agent(config, redactor).try_out()
        return 0
    set_up_logging(config.layout.log, redactor, arguments.quiet)
    pid_file = PidFile(config.layout.pid)
    probation = Probation(config.layout)
    try:
        agent = _agent(config, redactor)
        # Who waits for the lock to be taken takes that for a good start.
        pid_file.take()
        restarts = probation.begins() or _work(agent)
    except AlreadyRunning:
        raise
    except Exception:
        LOG.exception("The agent ends with an error")
        restarts = probation.failed()
        if not restarts:
            raise
    finally:
        pid_file.release()
    if restarts:
        LOG.info("Starting another agent in this one's place")
        # The same process number: a service manager sees its service go on.
        os.execv(sys.executable, service.own_command() + sys.argv[1:])
    probation.paused()
    return 0


def _work(agent: "Agent") -> bool:
    """Be the agent; whether its file was replaced and wants to be started."""
    on_termination(agent.stop)
    agent.run()
    return agent.replaced


def _agent(config: Config, redactor: Redactor) -> "Agent":
    # The other commands are called often, by installers above all, and need none of its modules.
    from .loop import Agent

    return Agent(config, Api(config.url, config.api_key, config.ca_file), Timing(), redactor)


def _verify(arguments: argparse.Namespace) -> int:
    Api(arguments.server, _key_in_use(arguments), arguments.ca_file).heartbeat()
    print("the server knows this key")
    return 0


def _configure(arguments: argparse.Namespace) -> int:
    key = _key_in_use(arguments)
    changed = merge_config(_path(arguments), arguments.server.rstrip("/"), key, arguments.ca_file)
    print("changed" if changed else "unchanged")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    findings = examine(_path(arguments), os.environ)
    for finding in findings:
        print(finding.line)
    return 1 if any(finding.advice for finding in findings) else 0


def _start(arguments: argparse.Namespace) -> int:
    print("bbs-agent: " + service.start(_config(arguments).layout))
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    print("bbs-agent: " + service.stop(_layout(arguments)))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    found = service.status(_layout(arguments), arguments.wait)
    print("bbs-agent: " + found.text)
    return 0 if found.online else 1


def _version(_arguments: argparse.Namespace) -> int:
    print(VERSION)
    return 0


COMMANDS: Dict[str, Command] = {
    "run": _run,
    "start": _start,
    "stop": _stop,
    "status": _status,
    "doctor": _doctor,
    "verify": _verify,
    "configure": _configure,
    "version": _version,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bbs-agent", description="The agent of a Borg Backup Server: it backs up this machine."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    # Not an argument of add_subparsers before Python 3.7.
    commands.required = True

    def _command(name: str, text: str, config: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if config:
            command.add_argument(
                "--config",
                metavar="FILE",
                help="config.ini (default: $BBS_AGENT_CONFIG, then /etc/bbs-agent/)",
            )
        return command

    run = _command("run", "Work in the foreground until SIGTERM; what a service manager starts.")
    run.add_argument("--quiet", action="store_true", help="log to the log file only")
    run.add_argument("--trial", action="store_true", help="only see whether it would work: read, ask, end")
    _command("start", "Start the agent in the background.")
    _command("stop", "Stop the agent that `start` started; a running backup is reported failed.")
    status = _command("status", "Say whether the agent is online; exit code 1 when it is not.")
    status.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait so long for it to come online")
    _command("doctor", "Examine configuration, network, key, ssh and borg, and say what to do.")
    for name, text in (
        ("verify", "Ask a server whether it knows an agent key."),
        ("configure", "Write server and key into config.ini, leaving everything else in it alone."),
    ):
        command = _command(name, text)
        command.epilog = (
            "The key comes from ${} or standard input. Where the agent has traded that very key for one of its "
            "own, its own counts.".format(KEY_VARIABLE)
        )
        command.add_argument("--server", required=True, metavar="URL", help="such as https://backup.example.com")
        command.add_argument("--ca-file", metavar="FILE", help="trust this certificate authority (PEM)")
    _command("version", "Print the version.", config=False)
    return parser


def _path(arguments: argparse.Namespace) -> str:
    return config_path(arguments.config, os.environ)


def _layout(arguments: argparse.Namespace) -> Layout:
    return Layout.beside(_path(arguments), os.environ)


def _config(arguments: argparse.Namespace) -> Config:
    return load_config(_path(arguments), os.environ, in_container())


def _key() -> str:
    """The agent key, never from an argument: those are for everybody on the machine to read."""
    key = (os.environ.get(KEY_VARIABLE) or sys.stdin.readline()).strip()
    if not key:
        raise ConfigError("no key: set {} or write it to standard input".format(KEY_VARIABLE))
    return key


def _key_in_use(arguments: argparse.Namespace) -> str:
    return key_in_use(_path(arguments), arguments.server, _key(), arguments.ca_file)


if __name__ == "__main__":
    main()
