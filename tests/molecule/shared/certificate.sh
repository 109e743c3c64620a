#!/usr/bin/env bash
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A certificate as a company's own authority gives it: a root, an intermediate authority, and what a server presents.
# Made anew each time it is called, but for the root.
#
#   certificate.sh FOLDER ADDRESS
set -euo pipefail
mkdir -p "$1"
cd "$1"

certificate() { # name subject, then options
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 -subj "/CN=$2" \
    -keyout "$1.key" -out "$1.crt" "${@:3}" 2>/dev/null
}

authority=(-addext "keyUsage=critical,keyCertSign" -addext)
[ -e root.crt ] || certificate root "Root" "${authority[@]}" "basicConstraints=critical,CA:TRUE"
certificate issuer "Issuer" -CA root.crt -CAkey root.key "${authority[@]}" "basicConstraints=critical,CA:TRUE,pathlen:0"
certificate server "$2" -CA issuer.crt -CAkey issuer.key -addext "subjectAltName=IP:$2" \
  -addext "basicConstraints=critical,CA:FALSE" -addext "extendedKeyUsage=serverAuth"
cat server.crt issuer.crt >server.pem
