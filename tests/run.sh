#!/usr/bin/env bash
# Installs what the tests need and runs all of them: format, lints, documentation, the tests of the
# crate, the Autobahn suite, the fuzz targets for a short time, real clients against the demo, and the
# README on a fresh clone.
#
# Needs a Debian machine with Rust by rustup. Everything is built with the release profile into one
# target folder; what the clients need goes below it. The last line says `N passed, N failed`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
tools=$CARGO_TARGET_DIR/clients
work=$(mktemp -d)
# Where Debian puts the sources of Go libraries, and the one that the guide's Go sample uses.
gocode=/usr/share/gocode
gorilla=$gocode/src/github.com/gorilla/websocket
export PATH=$tools/python/bin:$CARGO_TARGET_DIR/release:$PATH:$HOME/.cargo/bin
export NODE_PATH=$tools/node_modules PYTHONDONTWRITEBYTECODE=1

passed=0
failed=()
demo=

# Ends what this run started, and nothing else.
clean_up() {
  if [[ -n $demo ]]; then kill "$demo" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap clean_up EXIT

# step NAME COMMAND...: runs it in a subshell and counts how it ended.
step() {
  local name=$1 started=$SECONDS code
  shift
  printf '\n== %s (at %d s)\n' "$name" "$started"
  # `set -e` holds in the subshell only where nobody asks for its code on the same line.
  set +e
  (
    set -e
    "$@"
  ) 2>&1 | tee "$work/said"
  code=${PIPESTATUS[0]}
  set -e
  if ((code == 0)); then
    passed=$((passed + 1))
    printf -- '-- %s: passed, %d s\n' "$name" $((SECONDS - started))
  else
    failed+=("$name")
    printf -- '-- %s: FAILED with %d, %d s\n' "$name" "$code" $((SECONDS - started))
    # Once more at the end, where whoever has no more than that finds it.
    printf '\n== %s, its last lines\n' "$name" >>"$work/failures"
    tail -n 100 "$work/said" | cut -c 1-20000 >>"$work/failures"
  fi
}

system_packages() {
  local missing=() as_root=()
  # The C++ compiler is for libFuzzer.
  command -v cc >/dev/null && command -v c++ >/dev/null || missing+=(build-essential)
  command -v curl >/dev/null || missing+=(curl)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v git >/dev/null || missing+=(git)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  command -v chromium >/dev/null || missing+=(chromium)
  command -v go >/dev/null || missing+=(golang-go)
  [[ -d $gorilla ]] || missing+=(golang-github-gorilla-websocket-dev)
  # A library that sets the clock of a process, for tests of clocks that are set.
  compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(faketime)
  # The tests start a cluster of their own.
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
  if ((${#missing[@]} == 0)); then
    echo "all there"
    return
  fi
  if ((EUID != 0)); then as_root=(sudo); fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 || {
    tail -n 30 "$work/apt.log"
    return 1
  }
  echo "installed: ${missing[*]}"
}

client_libraries() {
  mkdir -p "$tools"
  [[ -x $tools/python/bin/pip ]] || python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
  # Its library wants an older one of `websockets`.
  [[ -x $tools/xrpl/bin/pip ]] || python3 -m venv "$tools/xrpl"
  "$tools/xrpl/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements-xrpl.txt
  if ! cmp -s tests/clients/package.json "$tools/package.json" || [[ ! -d $tools/node_modules/ws ]]; then
    cp tests/clients/package.json "$tools/package.json"
    (cd "$tools" && npm install --no-audit --no-fund --no-package-lock --loglevel=error)
  fi
  "$tools/python/bin/pip" list --format=freeze --disable-pip-version-check | grep -i websocket
  (cd "$tools" && npm ls --loglevel=error)
}

documentation() {
  RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
}

# wait_for_banner FILE PID: until the demo has said all of its banner.
wait_for_banner() {
  local tries
  for ((tries = 0; tries < 6000; tries++)); do
    if grep -q '^For a real ledger' "$1"; then return; fi
    if ! kill -0 "$2" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "no banner; what it said:"
  tail -n 30 "$1" "$1.log"
  return 1
}

# start_demo FILE COMMAND...: sets `demo` to its process, and the addresses from its banner. Not in a
# subshell, which could not wait for its end.
start_demo() {
  local file=$1
  shift
  "$@" >"$file" 2>"$file.log" </dev/null &
  demo=$!
  wait_for_banner "$file" "$demo" || return 1
  export FLOW_URL XRPL_URL VIGIL_URL VIGIL_KEY PAGE_URL ADMIN_URL
  FLOW_URL=$(grep -o 'ws://[^ ]*/ws' "$file" | head -n 1)
  XRPL_URL=$(grep -o 'ws://[^ ]*/xrpl' "$file" | head -n 1)
  VIGIL_URL=$(grep -o 'ws://[^ ]*/vigil/ws' "$file" | head -n 1)
  VIGIL_KEY=$(sed -n 's/.*(MaticVigil, with the key \([^ )]*\)).*/\1/p' "$file")
  PAGE_URL=$(sed -n 's/^ *Browser *//p' "$file")
  ADMIN_URL=$(sed -n 's/^ *Operators *\(.*\)readyz and .*/\1/p' "$file")
}

# stop_demo: as Ctrl-C does. The code is the demo's.
stop_demo() {
  local process=$demo
  demo=
  kill -INT "$process"
  wait "$process"
}

operators() {
  curl --silent --show-error --fail --max-time 5 "${ADMIN_URL}livez" && echo
  curl --silent --show-error --fail --max-time 5 "${ADMIN_URL}readyz" | grep '"ready":true'
  curl --silent --show-error --fail --max-time 5 "${ADMIN_URL}metrics" | grep '^ledgercast_frames_queued_total'
}

# Built from Debian's sources, so that nothing is fetched.
go_client() {
  env GO111MODULE=off GOPATH="$gocode" GOFLAGS= GOTOOLCHAIN=local GOCACHE="$tools/go-cache" \
    go build -o "$tools/gorilla_guide" tests/clients/go/main.go
  "$tools/gorilla_guide"
}

is_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The README on a machine that has nothing of us yet, except for dependencies built before.
fresh_clone() {
  local arguments=() file=$work/fresh
  trap 'if [[ -n $demo ]]; then kill "$demo" 2>/dev/null || true; fi' EXIT
  git clone --quiet "$root" "$work/clone"
  git -C "$work/clone" checkout --quiet --detach "$(git rev-parse HEAD)"
  if [[ -n $(git status --porcelain) ]]; then
    echo "note: what is not committed is not in the clone"
  fi
  cd "$work/clone"
  grep -qx 'cargo run --release' README.md || {
    echo "the README does not show: cargo run --release"
    return 1
  }
  if is_taken 8080 || is_taken 9090; then
    echo "note: a default port is taken, so free ones are asked for"
    arguments=(-- serve --bind 127.0.0.1:0 --admin 127.0.0.1:0)
  fi
  start_demo "$file" cargo run --release "${arguments[@]}"
  echo "up after $SECONDS s of this run"
  local clients=${FLOW_URL#ws://} operators=${ADMIN_URL#http://}
  python3 tests/readme.py README.md "${clients%/ws}" "${operators%/}"
  stop_demo
  echo "ended with code 0"
}

step "Debian packages" system_packages
step "client libraries" client_libraries
step "cargo fmt" cargo fmt --all --check
step "cargo clippy" cargo clippy --release --locked --workspace --all-targets -- -D warnings
step "cargo doc" documentation
# Cargo keeps what is compiled by a wrapper apart, so that both steps have it.
export RUSTC_WORKSPACE_WRAPPER=$root/tests/quick.sh
step "cargo build" cargo build --release --locked
# The tests of the real program mostly wait: four at a time leave two cores with time to spare.
step "cargo test" env RUST_TEST_THREADS=4 cargo test --release --locked --no-fail-fast
step "Autobahn suite" bash tests/autobahn/run.sh
unset RUSTC_WORKSPACE_WRAPPER
step "fuzz" bash tests/fuzz/run.sh

CHROMIUM=$(command -v chromium || true)
export CHROMIUM
if start_demo "$work/demo" ledgercast serve --bind 127.0.0.1:0 --admin 127.0.0.1:0 --devnet-rate 4; then
  step "client: websockets (Python)" python3 tests/clients/websockets_client.py
  step "client: websocket-client (Python), the guide's flow" python3 tests/clients/websocket_client_guide.py
  step "client: ws (Node), the guide's flow" node tests/clients/ws_guide.js
  step "client: gorilla/websocket (Go), the guide's flow" go_client
  step "client: curl, the guide's handshake" bash tests/clients/guide_handshake.sh
  step "client: Chromium, the guide's flow and our page" node tests/clients/browser.js
  step "client: xrpl.js" node tests/clients/xrpl_client.js
  step "client: xrpl-py" "$tools/xrpl/bin/python" tests/clients/xrpl_client.py
  step "client: Chromium, the tutorial \"Monitor Incoming Payments\"" node tests/clients/xrpl_tutorial.js
  step "client: the MaticVigil guide's in Python" python3 tests/clients/vigil_client.py
  step "client: Chromium, the MaticVigil guide's" node tests/clients/vigil_browser.js
  step "the banner's commands" python3 tests/clients/banner_commands.py "$work/demo"
  step "the operators' endpoints" operators
  step "the metrics, read by Prometheus's parser" python3 tests/clients/metrics.py
  stop_demo || failed+=("the end of the demo")
else
  failed+=("the start of the demo")
fi
step "clients over TLS with tokens" bash tests/clients/secure.sh
step "README on a fresh clone" fresh_clone

if [[ -f $work/failures ]]; then cat "$work/failures"; fi
printf '\n'
for name in "${failed[@]}"; do printf 'failed: %s\n' "$name"; done
printf '%d passed, %d failed\n' "$passed" "${#failed[@]}"
((${#failed[@]} == 0))
