#!/usr/bin/env bash
# Real clients over wss:// with access tokens: a server with a certificate of its own making, and the
# embedded ledger beside it. Everything ends with this script.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
running=()
clean_up() {
  for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
cd "$work"

# wait_for FILE PATTERN: prints what the pattern finds, once it is there.
wait_for() {
  local tries
  for ((tries = 0; tries < 300; tries++)); do
    if grep -oPm 1 "$2" "$1"; then return; fi
    sleep 0.1
  done
  echo "not found in $1: $2" >&2
  cat "$1" >&2
  return 1
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>openssl.log || {
  cat openssl.log
  exit 1
}
TOKEN=$(openssl rand -hex 32)
OTHER=$(openssl rand -hex 32)
printf '%s # one\n%s # other\n' "$TOKEN" "$OTHER" >tokens

ledgercast devnet --listen 127.0.0.1:0 --rate 4 >devnet &
running+=($!)
rpc=$(wait_for devnet 'http://\S+')
cat >settings.yaml <<YAML
sources:
  devnet:
    type: stellar_rpc
    config: { rpc_url: '$rpc', poll_interval: 100ms }
listeners:
  - bind: 127.0.0.1:0
    tls: { cert_file: cert.pem, key_file: key.pem }
    mounts:
      - dialect: flow
        path: /ws
        sources: [devnet]
        tokens_file: tokens
admin: { bind: 127.0.0.1:0 }
log: { format: json }
YAML
ledgercast serve --config settings.yaml 2>log &
server=$!
running+=("$server")
port=$(wait_for log '(?<="clients":"\[127.0.0.1:)\d+')

export CERTIFICATE=$work/cert.pem TOKEN SECURE_HOST=localhost:$port
page=$(curl --silent --show-error --fail --cacert cert.pem "https://localhost:$port/")
[[ $page == *'<title>'* ]]
python3 "$here/secure_client.py"
node "$here/secure_client.js"

# The token is taken back: a client with it is told and closed, one with the other token is not.
OTHER=$OTHER SERVER=$server python3 "$here/secure_client.py" revoke
if grep -qF -e "$TOKEN" -e "$OTHER" log; then
  echo "a token stands in the log"
  exit 1
fi
kill -TERM "$server"
wait "$server"
