#!/usr/bin/python
# Copyright (c) 2026 borgfleet.bbs contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bbs_plan
short_description: Manage the backup plans of a client
version_added: 0.1.0
description:
  - Creates, changes, pauses and removes plans on a Borg Backup Server. A plan says what is backed up, into
    which repository, when, and how long archives are kept.
  - A new plan runs by itself from then on, also on servers where creating one over the API leaves it
    asleep.
  - Options that are left out keep their value. New plans get the server's defaults for them.
author:
  - borgfleet.bbs contributors (@borgfleet)
extends_documentation_fragment:
  - borgfleet.bbs.attributes
  - borgfleet.bbs.connection
options:
  client:
    description:
      - The client, by name. A number that is no client's name is taken as an id.
    type: str
    required: true
  name:
    description:
      - Name of the plan, unique for the client.
    type: str
    required: true
  new_name:
    description:
      - A new name for the plan O(name). Nothing happens when a plan of this name exists and O(name) does
        not.
    type: str
  repository:
    description:
      - The repository of the same client that archives go into, by name or id. Needed to create a plan.
    type: str
  directories:
    description:
      - What is backed up, as absolute paths on the client. Needed to create a plan.
    type: list
    elements: str
  excludes:
    description:
      - Patterns of what is left out, in borg's notation. Null or an empty list clears them.
    type: list
    elements: str
  advanced_options:
    description:
      - More options for C(borg create). Null or an empty text clears them.
      - The server of this collection refuses what borg would refuse when the backup runs, such as an unknown
        compression; upstream stores it.
    type: str
  frequency:
    description:
      - How often the plan runs. V(manual) means only when it is triggered, for example by
        M(borgfleet.bbs.bbs_job).
    type: str
    choices: [10min, 15min, 30min, hourly, daily, weekly, monthly, manual]
  times:
    description:
      - At which times of the day a daily, weekly or monthly plan runs, as C(HH:MM) in the plan's
        O(timezone).
      - Quote them, since YAML takes C(12:30) for a number.
    type: list
    elements: str
  day_of_week:
    description:
      - On which day a weekly plan runs, as C(sunday) to C(saturday), their first three letters, or C(0) to
        C(6).
      - The server of this collection takes several days; upstream takes one.
    type: list
    elements: str
  day_of_month:
    description:
      - On which days a monthly plan runs, as C(1) to C(31) or C(last).
    type: list
    elements: str
  timezone:
    description:
      - The time zone of O(times), such as V(Europe/Berlin). The server's default is UTC.
    type: str
  splay_minutes:
    description:
      - Over how many minutes after O(times) the runs of different clients are spread, each by an amount that
        stays the same for a client. Null clears it; then the server's settings decide.
      - Only the server of this collection has this.
    type: int
  maximum_age_hours:
    description:
      - From which age of its latest good backup the plan counts as stale, in the server's health and metrics.
        Null clears it; then the schedule decides.
      - Only the server of this collection has this.
    type: int
  retry_limit:
    description:
      - How often a backup whose agent fell silent is tried again. The server's default is 3.
      - Only the server of this collection has this.
    type: int
  prune_minutes:
    description:
      - For how many minutes to keep the last archive of each. V(-1) keeps it for all minutes, V(0) for none.
    type: int
  prune_hours:
    description:
      - For how many hours to keep the last archive of each. V(-1) keeps it for all hours, V(0) for none.
    type: int
  prune_days:
    description:
      - For how many days to keep the last archive of each. V(-1) keeps it for all days, V(0) for none.
      - The server's default is 7.
    type: int
  prune_weeks:
    description:
      - For how many weeks to keep the last archive of each. V(-1) keeps it for all weeks, V(0) for none.
      - The server's default is 4.
    type: int
  prune_months:
    description:
      - For how many months to keep the last archive of each. V(-1) keeps it for all months, V(0) for none.
      - The server's default is 6.
    type: int
  prune_years:
    description:
      - For how many years to keep the last archive of each. V(-1) keeps it for all years, V(0) for none.
    type: int
  plugin_configs:
    description:
      - The plugin configs that the plan uses, by name, in the order in which they run. An empty list
        detaches all.
      - Where two plugins have configs of the same name, write C(plugin/name).
    type: list
    elements: str
  state:
    description:
      - V(present) makes sure that the plan exists and follows its schedule, also if it was paused or
        switched off on the server's web pages.
      - V(paused) makes sure that the plan exists and does not run by itself.
      - V(absent) removes the plan. Its archives stay.
    type: str
    choices: [present, paused, absent]
    default: present
  update_unreadable:
    description:
      - Send options that the server does not read back on every run, which then always counts as a change.
      - Otherwise such options are sent only when the plan is created or other parts of its schedule change,
        and a warning names them. The server of this collection reads everything back. Upstream does not
        tell the attached plugin configs, and its older releases neither time zone nor retention, nor whether a plan
        is paused; to pause or resume a plan that exists there, set this.
    type: bool
    default: false
seealso:
  - module: borgfleet.bbs.bbs_client
  - module: borgfleet.bbs.bbs_repository
  - module: borgfleet.bbs.bbs_plugin_config
  - module: borgfleet.bbs.bbs_job
  - module: borgfleet.bbs.bbs_info
  - name: The API by example
    description: Every request of the server, with its answer.
    link: https://github.com/borgfleet/ansible-collection-bbs/blob/main/docs/api.md
"""

EXAMPLES = r"""
---
- name: Back up the usual places every night, with a database dump
  borgfleet.bbs.bbs_plan:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: nightly
    repository: main
    directories:
      - /etc
      - /home
      - /srv
    excludes:
      - "*.tmp"
    frequency: daily
    times: ["02:30"]
    timezone: Europe/Berlin
    prune_days: 14
    prune_weeks: 8
    plugin_configs:
      - production

- name: Back the mail up on weekday evenings and keep it for a year
  borgfleet.bbs.bbs_plan:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: mail
    repository: main
    directories: /var/mail
    frequency: weekly
    day_of_week: [monday, tuesday, wednesday, thursday, friday]
    times: ["18:00"]
    splay_minutes: 30
    maximum_age_hours: 96
    prune_weeks: 52

- name: Pause it during a migration
  borgfleet.bbs.bbs_plan:
    url: https://backup.example.com
    token_file: ~/.config/bbs/token
    client: "{{ inventory_hostname }}"
    name: nightly
    state: paused
"""

RETURN = r"""
---
plan:
  description:
    - The plan as the server describes it. Null after it has been removed.
  returned: success
  type: dict
  contains:
    id:
      description: The plan's id.
      type: int
    name:
      description: Its name.
      type: str
    repository_id:
      description: The id of the repository that archives go into.
      type: int
    repository_name:
      description: Its name.
      type: str
    directories:
      description: What is backed up, one path per line.
      type: str
    excludes:
      description: What is left out, one pattern per line. Null for nothing.
      type: str
    frequency:
      description: How often the plan runs.
      type: str
    times:
      description: At which times of the day, with commas between them.
      type: str
    advanced_options:
      description: More options for C(borg create).
      type: str
    enabled:
      description: Whether the plan is switched on.
      type: bool
    day_of_week:
      description: A number from C(0) for Sunday, several as text with commas between them. Null for none.
      type: raw
    day_of_month:
      description: The days with commas between them. Null for none.
      type: str
    prune_minutes:
      description: For how many minutes archives are kept. Not told by older servers.
      type: int
    prune_hours:
      description: For how many hours archives are kept. Not told by older servers.
      type: int
    prune_days:
      description: For how many days archives are kept. Not told by older servers.
      type: int
    prune_weeks:
      description: For how many weeks archives are kept. Not told by older servers.
      type: int
    prune_months:
      description: For how many months archives are kept. Not told by older servers.
      type: int
    prune_years:
      description: For how many years archives are kept. Not told by older servers.
      type: int
    paused:
      description: Whether its schedule is paused. Not told by older servers.
      type: bool
    timezone:
      description: The time zone of the times. Not told by older servers.
      type: str
    next_run:
      description: When it runs next by itself, in UTC; null if it does not. Not told by older servers.
      type: str
    last_run:
      description: When it last ran by itself, in UTC; null for never. Not told by older servers.
      type: str
    splay_minutes:
      description: The same as the option. Only told by the server of this collection.
      type: int
    maximum_age_hours:
      description: The same as the option. Only told by the server of this collection.
      type: int
    retry_limit:
      description: The same as the option. Only told by the server of this collection.
      type: int
    last_success:
      description: When a backup last succeeded, in UTC. Only told by the server of this collection.
      type: str
    never_backed_up:
      description: Whether no backup has succeeded yet. Only told by the server of this collection.
      type: bool
    stale:
      description: Whether its latest good backup is too old. Only told by the server of this collection.
      type: bool
    plugins:
      description: The attached plugin configs in order. Only told by the server of this collection.
      type: list
      elements: dict
  sample:
    id: 9
    name: nightly
    repository_id: 3
    repository_name: main
    directories: "/etc\n/home\n/srv"
    frequency: daily
    times: "02:30"
    timezone: Europe/Berlin
    paused: false
    next_run: "2026-11-24 01:30:00"
id:
  description: The plan's id. Null in check mode when it would be created.
  returned: success
  type: int
  sample: 9
"""

from ansible_collections.borgfleet.bbs.plugins.module_utils._run import run_module
from ansible_collections.borgfleet.bbs.plugins.module_utils.plans import MODULE


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
