#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds what all hosts of a lab start from, once; lab.sh calls it. Prints the two folders.
#
#   base/       a bare Debian: systemd, sshd, Python, sudo, and in /opt/mirror the packages that roles install
#   wheelhouse/ the Python packages that the server needs
#
# Hosts reach no network. So that roles install for real, apt and pip on a host know these two places, and only these.
set -euo pipefail
cd "$(dirname "$0")"

: "${LAB_CACHE:=/var/cache/borgfleet-lab}" "${PYTHON:=python3}"
suite=bookworm
bare=systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,sudo,curl,ca-certificates,iproute2
mirrored=(borgbackup openssh-client python3-venv nginx-light openssl postgresql)
project=../../server/pyproject.toml
# What the server that the scenario upgrade starts from needs, whatever this one does.
older='gunicorn>=22'

say() { printf 'lab: %s\n' "$*" >&2; }

digest() { sha256sum | cut -c 1-12; }

# What one builds depends on this, so that a change of it builds anew.
base=$LAB_CACHE/base-$(cat base.sh | digest)
wheelhouse=$LAB_CACHE/wheelhouse-$(digest <"$project")

# The machine's own package sources, whatever they are, in one of apt's two notations.
own_sources() {
  local folder=/etc/apt/sources.list.d
  if compgen -G "$folder/*.sources" >/dev/null; then
    # Files do not have to end with the empty line that separates sources.
    awk 'FNR == 1 { print "" } { print }' "$folder"/*.sources
  else
    find /etc/apt/sources.list "$folder" -name '*.list' -exec cat {} +
  fi
}

build_base() {
  local new=$base.new
  say "building the base system, once: about two minutes, most of it downloads"
  rm -rf "$new"
  own_sources | mmdebstrap --quiet --mode=root --format=directory --variant=minbase --include="$bare" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --skip=cleanup/apt/lists "$suite" "$new" -
  build_mirror "$new"
  configure "$new"
  mv "$new" "$base"
}

build_mirror() { # root
  local root=$1 deb
  mkdir -p "$root/opt/mirror/partial"
  chroot "$root" apt-get -qq -y --no-install-recommends --download-only \
    -o Dir::Cache::archives=/opt/mirror -o APT::Sandbox::User=root install "${mirrored[@]}" >/dev/null
  rm -rf "$root/opt/mirror/partial" "$root/opt/mirror/lock" "$root/var/lib/apt/lists" "$root/var/cache/apt"/*.bin
  (
    cd "$root/opt/mirror"
    for deb in *.deb; do
      dpkg-deb --field "$deb"
      printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
    done >Packages
  )
  rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
  echo 'deb [trusted=yes] file:/opt/mirror ./' >"$root/etc/apt/sources.list.d/mirror.list"
  chroot "$root" apt-get -qq update
}

configure() { # root
  local root=$1 unit
  mkdir -p "$root/opt/wheelhouse" "$root/etc/systemd/journald.conf.d"
  printf '[global]\nno-index = true\nfind-links = /opt/wheelhouse\ndisable-pip-version-check = true\n' >"$root/etc/pip.conf"
  : >"$root/etc/machine-id"
  rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*
  printf 'UseDNS no\nPermitRootLogin prohibit-password\n' >"$root/etc/ssh/sshd_config.d/lab.conf"
  for unit in systemd-networkd systemd-resolved systemd-timesyncd console-getty getty@tty1 \
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer; do
    chroot "$root" systemctl --quiet mask "$unit" 2>/dev/null
  done
  chroot "$root" systemctl --quiet enable ssh
}

# The wheels for the hosts' Python, which may not be the one that runs this.
build_wheelhouse() {
  local new=$wheelhouse.new version
  say "downloading the server's Python packages"
  rm -rf "$new"
  version=$(chroot "$base" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  "$PYTHON" - "$project" "$older" <<'PYTHON' >"$LAB_CACHE/requirements.txt"
import itertools
import pathlib
import sys
import tomllib

project = tomllib.loads(pathlib.Path(sys.argv[1]).read_text())
extras = project["project"].get("optional-dependencies", {}).values()
wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"], *itertools.chain(*extras)]
print("wheel", sys.argv[2], *wanted, sep="\n")
PYTHON
  "$PYTHON" -m pip download -q --disable-pip-version-check --only-binary :all: --python-version "$version" \
    -d "$new" -r "$LAB_CACHE/requirements.txt" >&2
  mv "$new" "$wheelhouse"
}

mkdir -p "$LAB_CACHE"
exec 9>"$LAB_CACHE/lock"
flock 9
[ -d "$base" ] || build_base
[ -d "$wheelhouse" ] || build_wheelhouse
touch "$base" "$wheelhouse"
# Not at once: hosts of another checkout may run on them.
find "$LAB_CACHE" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf {} +
printf '%s\n' "$base" "$wheelhouse"
