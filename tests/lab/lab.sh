#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Disposable hosts for tests: systemd as PID 1, a real sshd, real packages. Needs root; see README.md.
set -euo pipefail

: "${LAB_NAME:=lab}" "${LAB_CACHE:=/var/cache/borgfleet-lab}" "${LAB_RUN:=/var/tmp/borgfleet-$LAB_NAME}"
export LAB_CACHE
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
network=10.99.0
controller=$LAB_NAME-ctl switch=$LAB_NAME-sw

usage() {
  cat <<TEXT
usage: lab.sh COMMAND

  base               build what hosts start from, unless it is there
  run COMMAND...     make the network, run the command on the controller ($network.1), then remove everything
  create HOST...     make hosts; returns when each one's sshd answers
  list               the hosts as JSON, in the form of molecule's instance configuration
  login HOST [COMMAND...]
                     a shell, or the command, on a host
  cut HOST           pull the host's network plug
  plug HOST          put it back
  destroy            power the hosts off and remove them
  clean              the same, and the network; the base stays

  LAB_NAME=$LAB_NAME  keeps labs apart that exist at the same time; at most 7 letters or digits
  LAB_CACHE=$LAB_CACHE  where the base is kept from run to run
  LAB_RUN=$LAB_RUN  where the hosts live
TEXT
}

die() {
  printf 'lab: %s\n' "$*" >&2
  exit 1
}

check() {
  [[ $LAB_NAME =~ ^[a-z0-9]{1,7}$ ]] || die "LAB_NAME is at most 7 small letters or digits, not '$LAB_NAME': interface names are short"
  [ "$(id -u)" = 0 ] || die "needs root, for name spaces and mounts"
  local program
  for program in mmdebstrap systemd-nspawn ip nsenter ssh-keygen; do
    command -v "$program" >/dev/null || die "$program is missing; tests/packages.sh installs what is needed"
  done
}

# ------------------------------------------------------------------------------------------ network

exists() { [ -e "/run/netns/$1" ]; }

connect() { # namespace number: a port on the switch
  ip netns add "$1"
  ip -n "$1" link set lo up
  ip -n "$1" link add eth0 type veth peer name "port$2" netns "$switch"
  ip -n "$switch" link set "port$2" master br0 up
  ip -n "$1" addr add "$(address "$2")/24" dev eth0
  ip -n "$1" link set eth0 up
}

address() { # number: the controller is 0
  if [ "$1" = 0 ]; then echo "$network.1"; else echo "$network.$((10 + $1))"; fi
}

make_network() {
  exists "$switch" && return
  ip netns add "$switch"
  ip -n "$switch" link add br0 type bridge
  ip -n "$switch" link set br0 up
  connect "$controller" 0
}

remove_network() {
  local name
  for name in $(ip netns list | awk '{ print $1 }' | grep "^$LAB_NAME-"); do ip netns del "$name"; done
}

on_controller() { nsenter --net="/run/netns/$controller" "$@"; }

# -------------------------------------------------------------------------------------------- hosts

create() {
  [ $# -gt 0 ] || die "name at least one host"
  local host number=0 started=() process
  mapfile -t layers < <("$here/base.sh")
  [ ${#layers[@]} = 2 ] || die "the base system could not be built; the reason stands above"
  make_network
  mkdir -p "$LAB_RUN"
  [ ! -s "$LAB_RUN/hosts" ] || die "there are hosts already: $(awk '{ print $1 }' "$LAB_RUN/hosts" | xargs); destroy them first"
  [ -e "$LAB_RUN/key" ] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$LAB_RUN/key"
  for host; do
    [[ $host =~ ^[a-z][a-z0-9]{0,30}$ ]] || die "a host's name consists of small letters and digits, not '$host'"
    number=$((number + 1))
    echo "$host $(address "$number")" >>"$LAB_RUN/hosts"
  done
  number=0
  for host; do
    number=$((number + 1))
    create_host "$host" "$number" &
    started+=($!)
  done
  for process in "${started[@]}"; do wait "$process" || die "not every host came up"; done
}

create_host() { # name number
  local directory=$LAB_RUN/$1 root=$LAB_RUN/$1/root
  mkdir -p "$directory"/{upper,work,root}
  connect "$LAB_NAME-$1" "$2"
  mount -t overlay overlay -o "lowerdir=${layers[0]},upperdir=$directory/upper,workdir=$directory/work" "$root"
  echo "$1" >"$root/etc/hostname"
  { echo "127.0.0.1 localhost" && awk '{ print $2, $1 }' "$LAB_RUN/hosts"; } >"$root/etc/hosts"
  install -d -m 700 "$root/root/.ssh"
  install -m 600 "$LAB_RUN/key.pub" "$root/root/.ssh/authorized_keys"
  ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$root/etc/ssh/ssh_host_ed25519_key"
  printf '%s %s\n' "$(address "$2")" "$(cut -d ' ' -f 1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")" >>"$LAB_RUN/known_hosts"
  setsid "$here/lab.sh" _boot "$1" "${layers[1]}" </dev/null >"$directory/console.log" 2>&1 &
  echo $! >"$directory/pid"
  wait_for_sshd "$1" "$(address "$2")"
}

wait_for_sshd() { # name address
  local attempt
  for ((attempt = 0; attempt < 600; attempt++)); do
    on_controller bash -c "exec 3<>/dev/tcp/$2/22" 2>/dev/null && return
    kill -0 "$(cat "$LAB_RUN/$1/pid")" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$LAB_RUN/$1/console.log" >&2
  die "$1 did not come up; see $LAB_RUN/$1/console.log"
}

# Runs until the host powers off. Each host has its own control group, else systemd in one ends what runs in another.
boot() { # name wheelhouse
  local controllers status
  for controllers in systemd unified .; do
    if [ -e "/sys/fs/cgroup/$controllers/cgroup.procs" ]; then
      mkdir -p "/sys/fs/cgroup/$controllers/$LAB_NAME-$1"
      echo $$ >"/sys/fs/cgroup/$controllers/$LAB_NAME-$1/cgroup.procs"
    fi
  done
  export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
  while :; do
    status=0
    systemd-nspawn --quiet --directory="$LAB_RUN/$1/root" --machine="$LAB_NAME-$1" --hostname="$1" --boot --register=no \
      --keep-unit --resolv-conf=off --timezone=off --link-journal=no --console=pipe --bind-ro="$2:/opt/wheelhouse" \
      --network-namespace-path="/run/netns/$LAB_NAME-$1" || status=$?
    [ "$status" = 133 ] || break # it asked for a reboot
  done
}

known() { # host: its address
  local found
  found=$(awk -v host="$1" '$1 == host { print $2 }' "$LAB_RUN/hosts" 2>/dev/null)
  [ -n "$found" ] || die "there is no host '$1'; see lab.sh list"
  echo "$found"
}

list() {
  local host separator='['
  [ -s "$LAB_RUN/hosts" ] || { echo '[]' && return; }
  while read -r host ip; do
    printf '%s{"instance": "%s", "address": "%s", "user": "root", "port": 22, "identity_file": "%s"}' \
      "$separator" "$host" "$ip" "$LAB_RUN/key"
    separator=', '
  done <"$LAB_RUN/hosts"
  echo ']'
}

login() { # host command...
  local ip
  ip=$(known "$1")
  shift
  on_controller ssh -q -i "$LAB_RUN/key" -o UserKnownHostsFile="$LAB_RUN/known_hosts" -o IdentitiesOnly=yes "root@$ip" "$@"
}

network_of() { # host up|down
  known "$1" >/dev/null
  ip -n "$LAB_NAME-$1" link set eth0 "$2"
}

# PID 1 of a host: the child of nspawn, which is the child of the process that was noted.
first_process() { # host
  local pid
  pid=$(cat "$LAB_RUN/$1/pid" 2>/dev/null) || return 0
  pid=$(cut -d ' ' -f 1 "/proc/$pid/task/$pid/children" 2>/dev/null) || return 0
  [ -z "$pid" ] || cut -d ' ' -f 1 "/proc/$pid/task/$pid/children" 2>/dev/null || true
}

destroy() {
  local host pid attempt
  for host in $(hosts); do
    pid=$(first_process "$host")
    # SIGRTMIN+4 asks systemd to power off.
    [ -z "$pid" ] || kill -RTMIN+4 "$pid" 2>/dev/null || true
  done
  for host in $(hosts); do
    pid=$(cat "$LAB_RUN/$host/pid" 2>/dev/null || true)
    for ((attempt = 0; attempt < 150; attempt++)); do
      kill -0 "${pid:-none}" 2>/dev/null || break
      sleep 0.1
    done
    [ -z "$pid" ] || kill -KILL -- "-$pid" 2>/dev/null || true
    umount -l "$LAB_RUN/$host/root" 2>/dev/null || true
    exists "$LAB_NAME-$host" && ip netns del "$LAB_NAME-$host"
  done
  remove_control_groups
  rm -rf "$LAB_RUN"
}

remove_control_groups() {
  local group
  for group in /sys/fs/cgroup/{systemd,unified,.}/"$LAB_NAME"-*; do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

hosts() { awk '{ print $1 }' "$LAB_RUN/hosts" 2>/dev/null || true; }

clean() {
  destroy
  remove_network
}

run() {
  [ $# -gt 0 ] || die "name a command"
  # Now, as the controller reaches nothing to download from.
  "$here/base.sh" >/dev/null
  make_network
  trap clean EXIT
  on_controller "$@"
}

command=${1:-help}
[ $# = 0 ] || shift
case $command in
  help | --help | -h) usage ;;
  base) check && "$here/base.sh" >/dev/null ;;
  run | create | destroy | clean) check && "$command" "$@" ;;
  list) list ;;
  login) [ $# -gt 0 ] || die "name a host"; login "$@" ;;
  cut) network_of "${1:?name a host}" down ;;
  plug) network_of "${1:?name a host}" up ;;
  _boot) boot "$@" ;;
  *) die "there is no command '$command'; see lab.sh --help" ;;
esac
