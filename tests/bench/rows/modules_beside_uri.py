# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of the collection beside tasks of ansible.builtin.uri that ask for the same objects."""

from __future__ import annotations

from lab import Lab
from report import Row

HOSTS = 50
FORKS = 20
ROW = Row(
    f"{HOSTS} hosts x 4 tasks, forks {FORKS}: modules beside the same work in `uri` tasks",
    "times faster",
    (">=", 8),
)

MODULES = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/borgfleet.bbs.bbs:
      url: "{{ bbs_url }}"
      token: "{{ bbs_token }}"
  tasks:
    - borgfleet.bbs.bbs_client:
        name: "{{ inventory_hostname }}"
    - borgfleet.bbs.bbs_repository:
        client: "{{ inventory_hostname }}"
        name: main
    - borgfleet.bbs.bbs_plugin_config:
        client: "{{ inventory_hostname }}"
        plugin: shell_hook
        name: hooks
        config:
          timeout: 60
    - borgfleet.bbs.bbs_plan:
        client: "{{ inventory_hostname }}"
        name: nightly
        repository: main
        directories: [/etc]
        plugin_configs: [hooks]
"""

# One request each, which is less than the modules make: they also look up what the names stand for.
URI = """
- hosts: all
  gather_facts: false
  module_defaults:
    ansible.builtin.uri:
      headers:
        Authorization: "Bearer {{ bbs_token }}"
  vars:
    api: "{{ bbs_url }}/api/v1"
    host: "{{ api }}/clients/{{ client.json.clients[0].id }}"
  tasks:
    - ansible.builtin.uri:
        url: "{{ api }}/clients?name={{ inventory_hostname }}"
      register: client
    - ansible.builtin.uri:
        url: "{{ host }}/repositories?name=main"
      register: repository
      failed_when: repository.json.repositories | length != 1
    - ansible.builtin.uri:
        url: "{{ host }}/plugin-configs?name=hooks"
      register: config
      failed_when: config.json.plugin_configs[0].config.timeout != 60
    - ansible.builtin.uri:
        url: "{{ host }}/plans?name=nightly"
      register: plan
      failed_when: plan.json.plans[0].directories != "/etc"
"""


def measure(lab: Lab) -> tuple[float, dict[str, float]]:
    """How many times faster the modules are in a run that finds everything as it shall be."""
    hosts = [f"host{number:02}" for number in range(HOSTS)]
    for host in hosts:
        client = f"/clients/{lab.call('POST', '/clients', {'name': host})['id']}"
        lab.call("POST", f"{client}/repositories", {"name": "main", "encryption": "none"})
    created = lab.play(MODULES, hosts, FORKS)
    modules = lab.play(MODULES, hosts, FORKS)
    uri = lab.play(URI, hosts, FORKS)
    return uri.seconds / modules.seconds, {
        "modules_seconds": modules.seconds,
        "uri_seconds": uri.seconds,
        "modules_first_run_seconds": created.seconds,
        # What does not depend on what else the machine does.
        "modules_processor_seconds": modules.processor,
        "uri_processor_seconds": uri.processor,
    }
