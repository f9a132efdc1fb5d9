#!/usr/bin/env bash
# Flow's guide for curl, with its very headers (its key has 13 bytes and not 16): the handshake is
# accepted and the welcome comes. curl stays connected, so its time is limited and its code is 28.
set -euo pipefail

url=${FLOW_URL:-ws://127.0.0.1:8080/ws}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
code=0
curl --silent --max-time 2 --output "$answer" \
  --include \
  --no-buffer \
  --header "Connection: Upgrade" \
  --header "Upgrade: websocket" \
  --header "Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==" \
  --header "Sec-WebSocket-Version: 13" \
  "http${url#ws}" || code=$?

for expected in 'HTTP/1.1 101 Switching Protocols' 'sec-websocket-accept: qGEgH3En71di5rrssAZTmtRTyFk=' '"type":"welcome"'; do
  grep --text --quiet --fixed-strings --ignore-case "$expected" "$answer" || {
    echo "not in the answer (curl ended with $code): $expected" >&2
    cat -v "$answer" >&2
    exit 1
  }
done
echo "accepted, and welcomed"
