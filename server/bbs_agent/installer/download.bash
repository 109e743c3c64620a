# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The agent as the server hands it out, and whether the server knows the key.

# download NAME FILE: get one file of the server, or end with a sentence.
download() {
  "$PYTHON" - "$SERVER/api/agent/download?file=$1" "$2" "$CA_FILE" <<'PYTHON' || exit 1
import http.client
import ssl
import sys
import urllib.error
import urllib.request

address, target, ca_file = sys.argv[1:]


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args, **_kwargs):
        return None


try:
    context = ssl.create_default_context(cafile=ca_file or None)
    opener = urllib.request.build_opener(NoRedirects(), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(address, headers={"User-Agent": "BBS-Agent/installer"})
    with opener.open(request, timeout=60) as response, open(target, "wb") as stream:
        stream.write(response.read())
except urllib.error.HTTPError as error:
    reason = "HTTP {}".format(error.code)
except (OSError, ValueError, http.client.HTTPException) as error:
    reason = str(getattr(error, "reason", error))
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason += " (give --ca-file if the server has a certificate of your own authority)"
else:
    sys.exit(0)
sys.exit("bbs-agent: error: cannot download {}: {}".format(address, reason))
PYTHON
}

digest_of() {
  "$PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"
}

# Leaves the agent that is to be installed in $TEMP/bbs-agent.pyz.
get_agent() {
  local digest rest
  # Kept beside the agent, so that it can be removed without the server.
  download install.sh "$TEMP/install.sh"
  download bbs-agent.pyz.sha256 "$TEMP/sha256"
  read -r digest rest <"$TEMP/sha256" || true
  [[ $digest =~ ^[0-9a-f]{64}$ && $rest = bbs-agent.pyz ]] ||
    die "$SERVER sent no digest of the agent; is it a Borg Backup Server?"
  if [ -f "$PYZ" ] && [ "$(digest_of "$PYZ")" = "$digest" ]; then
    cp "$PYZ" "$TEMP/bbs-agent.pyz"
    return
  fi
  say "downloading the agent from $SERVER"
  download bbs-agent.pyz "$TEMP/bbs-agent.pyz"
  [ "$(digest_of "$TEMP/bbs-agent.pyz")" = "$digest" ] ||
    die "the downloaded agent does not have the digest the server names; try again"
}

verify_key() {
  local ca=()
  [ -z "$CA_FILE" ] || ca=(--ca-file "$CA_FILE")
  # The agent says in one sentence what is wrong.
  BBS_AGENT_KEY=$KEY "$PYTHON" "$TEMP/bbs-agent.pyz" verify --config "$CONFIG" --server "$SERVER" "${ca[@]}" >/dev/null || exit 1
  say "the server knows the key"
}
