# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Python, borg and ssh, from the distribution where they are missing.

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7 python3.6; do
    # sys.executable, since a shim may mean another Python in another directory.
    PYTHON=$("$name" -c 'import ssl, sys; sys.version_info < (3, 6) and sys.exit(1); print(sys.executable)' \
      2>/dev/null) && [ -n "$PYTHON" ] && return
  done
  PYTHON=''
  return 1
}

have() { command -v "$1" >/dev/null 2>&1; }

have_borg() { [ -x /usr/local/bin/borg ] || have borg; }

requirements_met() { find_python && have_borg && have ssh; }

require_programs() {
  requirements_met && return
  if [ -n "$PREFIX" ]; then
    find_python || die "Python 3.6 or newer is missing; install it, --prefix installs no packages"
    have_borg || die "borg is missing; install the package borgbackup, --prefix installs no packages"
    die "ssh is missing; install the package openssh-client, --prefix installs no packages"
  fi
  say "installing borg, Python and ssh from the distribution's packages"
  install_packages >"$TEMP/packages.log" 2>&1 || {
    tail -n 10 "$TEMP/packages.log" >&2
    die "the packages could not be installed; install borg, python3 and ssh by hand and run this again"
  }
  find_python || die "there is no Python 3.6 or newer after installing the packages"
  have_borg || die "there is no borg after installing the packages; put one into /usr/local/bin"
  have ssh || die "there is no ssh after installing the packages"
}

install_packages() {
  if have apt-get; then
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
      borgbackup python3 openssh-client ca-certificates
  elif have dnf; then
    install_rpm dnf
  elif have yum; then
    install_rpm yum
  elif have zypper; then
    zypper --non-interactive install borgbackup python3 openssh
  elif have apk; then
    apk add --no-progress borgbackup python3 openssh-client ca-certificates
  elif have pacman; then
    pacman -Sy --noconfirm --needed borg python openssh
  else
    echo "no known package manager" >&2
    return 1
  fi
}

install_rpm() {
  # RHEL and its rebuilds have borg in EPEL only, Fedora has it itself.
  if ! "$1" -y install borgbackup python3 openssh-clients; then
    "$1" -y install epel-release
    "$1" -y install borgbackup python3 openssh-clients
  fi
}
