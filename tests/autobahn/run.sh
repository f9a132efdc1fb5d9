#!/usr/bin/env bash
# Lets the Autobahn suite judge the echo example: sections 1 to 7, 9 and 10.
#
# The suite is Python 2.7 code. Where no such Python is, or the suite cannot be installed for it, the
# same cases are driven by kosoku, which carries them for today's Python; AUTOBAHN_SUBSTITUTE=1 asks
# for that.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} PYTHONDONTWRITEBYTECODE=1
tools=$CARGO_TARGET_DIR/clients
suite=$tools/autobahn-python2.7
report=$tools/autobahn-report
sections=(1 2 3 4 5 6 7 9 10)
# Far more than it takes: a suite that waits for ever must not hold up everything else.
patience=1500
work=$(mktemp -d)
echo_server=

clean_up() {
  if [[ -n $echo_server ]]; then kill "$echo_server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap clean_up EXIT

# A Python 2.7 that can install: on the path, or one of pyenv's, whose wrapper on the path only
# works once the version has been chosen.
find_python2() {
  local candidate
  for candidate in python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python2.7; do
    if "$candidate" -m pip --version >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# install_suite PYTHON
install_suite() {
  [[ -x $suite/bin/wstest ]] && return
  mkdir -p "$tools"
  "$1" -m pip install --quiet --disable-pip-version-check --target "$suite" autobahntestsuite==25.10.1 \
    >"$work/pip.log" 2>&1 || {
    tail -n 5 "$work/pip.log"
    return 1
  }
}

start_echo() {
  local tries
  cargo build --quiet --release --locked --example echo
  "$CARGO_TARGET_DIR/release/examples/echo" >"$work/echo" 2>"$work/echo.log" </dev/null &
  echo_server=$!
  for ((tries = 0; tries < 100; tries++)); do
    if grep -q '^ws://' "$work/echo"; then return; fi
    sleep 0.1
  done
  echo "the echo example does not say where it listens:"
  tail -n 5 "$work/echo.log"
  return 1
}

# original PYTHON ADDRESS
original() {
  local cases
  cases=$(printf '"%s.*",' "${sections[@]}")
  printf '{"servers": [{"agent": "ledgercast", "url": "%s"}], "outdir": "%s", "cases": [%s], %s}' \
    "$2" "$report" "${cases%,}" '"exclude-cases": [], "exclude-agent-cases": {}' >"$work/spec.json"
  # Not by PYTHONPATH, which does not read the path files that some of its libraries need.
  timeout "$patience" "$1" -c "import site; site.addsitedir('$suite'); from autobahntestsuite.wstest import run; run()" \
    --mode fuzzingclient --spec "$work/spec.json" >"$work/suite.log" 2>&1
}

# substitute ADDRESS
substitute() {
  [[ -x $tools/python/bin/pip ]] || python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet --disable-pip-version-check kosoku==0.1.0
  local cases=() section
  for section in "${sections[@]}"; do cases+=(--include "$section.*"); done
  timeout "$patience" "$tools/python/bin/kosoku" --mode fuzzingclient "${cases[@]}" --outdir "$report" \
    "${1#ws://}" >"$work/suite.log" 2>&1
}

start_echo
address=$(sed -n 's#^\(ws://[^/]*\)/$#\1#p' "$work/echo")
rm -rf "$report"
code=0
if [[ -z ${AUTOBAHN_SUBSTITUTE:-} ]] && python2=$(find_python2) && install_suite "$python2"; then
  echo "autobahntestsuite 25.10.1 on $("$python2" --version 2>&1)"
  original "$python2" "$address" || code=$?
else
  echo "no Python 2.7 that can hold autobahntestsuite: its cases by kosoku 0.1.0"
  substitute "$address" || code=$?
fi
if [[ ! -f $report/index.json ]]; then
  echo "no report; the suite ended with $code:"
  tail -n 20 "$work/suite.log"
  exit 1
fi
python3 tests/autobahn/check.py "$report/index.json"
kill -INT "$echo_server"
wait "$echo_server"
echo_server=
