# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""bbs_fleet for a thousand hosts that are as they shall be."""

from __future__ import annotations

import functools
import importlib
import time

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from inventory import HOST, HOSTS, NAMES, PLAY, describe, store
from lab import Lab
from report import Row

from bbs_server.models import Client, Plan, PlanPlugin, PluginConfig, Repository

ROW = Row(f"bbs_fleet: {HOSTS} hosts with a repository, a plugin config and a plan, unchanged", "s", ("<=", 10))


def measure(lab: Lab) -> tuple[float, dict[str, float]]:
    """Seconds of the whole ``ansible-playbook``, and of the module alone with the requests that upstream knows."""
    store(lab, Client, Repository, PluginConfig, Plan, PlanPlugin)
    describe(lab, **HOST)
    cost = lab.play(PLAY, NAMES, forks=5)
    assert "changed=0" in cost.output, cost.output[-2000:]
    module, one_by_one = seconds_of_module(lab, bulk=True), seconds_of_module(lab, bulk=False)
    return cost.seconds, {
        "module_alone_seconds": module,
        "module_with_upstreams_requests_seconds": one_by_one,
        "processor_seconds": cost.processor,
    }


def seconds_of_module(lab: Lab, *, bulk: bool) -> float:
    """What the module takes without Ansible around it.

    :param bulk: ask for all lists at once, as only this server answers it
    """
    utils = "ansible_collections.borgfleet.bbs.plugins.module_utils"
    fleet, run = importlib.import_module(f"{utils}.fleet"), importlib.import_module(f"{utils}._run")
    hosts = [{**HOST, "name": name} for name in NAMES]
    written = {"url": lab.server.url, "token": lab.token, "hosts": hosts}
    options = ArgumentSpecValidator(fleet.MODULE.argument_spec).validate(written).validated_parameters
    params = {name: options.get(name) for name in fleet.MODULE.argument_spec}
    task = run.Task(params=params, given=frozenset(written), written=written)
    started, api = time.perf_counter(), fleet.RememberingApi
    try:
        fleet.RememberingApi = api if bulk else functools.partial(api, lists=())
        result = run.perform(fleet.MODULE, task)
    finally:
        fleet.RememberingApi = api
    assert result["summary"]["plans"]["unchanged"] == HOSTS and not result["changed"], result.get("msg")
    return time.perf_counter() - started
