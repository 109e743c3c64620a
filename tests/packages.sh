#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs the distribution's packages that the tests run for real, where they are missing.
set -euo pipefail

missing=()
[ -x /usr/bin/borg ] || missing+=(borgbackup)
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
[ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server)
[ -x /usr/sbin/nginx ] || missing+=(nginx)
[ -x /usr/bin/wrk ] || missing+=(wrk)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
if [ "$(id -u)" = 0 ]; then
  # The lab of disposable hosts (lab/README.md).
  [ -x /usr/bin/mmdebstrap ] || missing+=(mmdebstrap)
  [ -x /usr/bin/systemd-nspawn ] || missing+=(systemd-container)
  [ -x /usr/sbin/ip ] || missing+=(iproute2)
  [ -x /usr/bin/openssl ] || missing+=(openssl)
fi
[ ${#missing[@]} = 0 ] && exit 0

echo "Installing ${missing[*]}"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -q
# The tests start what they need themselves. A policy that is there already stays.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  "${as_root[@]}" chmod +x /usr/sbin/policy-rc.d
  trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
