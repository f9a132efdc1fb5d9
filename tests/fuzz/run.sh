#!/usr/bin/env bash
# Builds the fuzz targets and runs them, with stable Rust and a C++ compiler.
#
#   tests/fuzz/run.sh                     every target, short: what tests/run.sh does
#   tests/fuzz/run.sh TARGET SECONDS      one, long; what it learns is kept for the next time
#   tests/fuzz/run.sh TARGET FILE         one input, such as one that made it fail
#
# Further arguments go to libFuzzer (-jobs=4, -help=1 and so on). Inputs that fail, take 10 s or 2 GiB
# end the run and are kept; once mended, such an input belongs into seeds/TARGET, smaller if it can be
# (-minimize_crash=1). Seeds are what the targets begin with: seeds/, and files of the tests.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export RUST_BACKTRACE=1
kept=$CARGO_TARGET_DIR/fuzz
# Each, when all run; together well below 90 s.
short=6
targets=(scanner flow rippled stellar_answers stellar_xdr xrpl_answers evm_answers planetmint_answers cursor checkpoint
  stored config handshake)

build() {
  # Cargo keeps what the wrapper built apart from all else by its name, and does not look inside: after
  # changing it, `cargo clean --release -p ledgercast -p ledgercast-fuzz`.
  RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/instrument.sh \
    cargo build --release --locked --package ledgercast-fuzz
}

# seeds TARGET: its folders.
seeds() {
  local folder folders=("tests/fuzz/seeds/$1")
  case $1 in
    flow | rippled) folders+=("tests/data/$1") ;;
    config) folders+=(config) ;;
    stellar_answers) folders+=(../shared/data/stellar) ;;
  esac
  for folder in "${folders[@]}"; do
    if [[ -d $folder ]]; then echo "$folder"; fi
  done
}

# Longest input, bytes. What matters lies early in short ones, and they run faster.
longest() {
  case $1 in
    stellar_* | *_answers) echo 65536 ;;
    config | flow | rippled) echo 16384 ;;
    *) echo 4096 ;;
  esac
}

# one TARGET FILE [OPTION...]: one input.
one() {
  local target=$1 file=$2
  shift 2
  FUZZ_TARGET=$target "$CARGO_TARGET_DIR/release/ledgercast-fuzz" -timeout=10 -rss_limit_mb=2048 "$@" "$file"
}

# fuzz TARGET SECONDS CORPUS [OPTION...]: one line of figures at the end.
fuzz() {
  local target=$1 seconds=$2 corpus=$3 log code=0 folders scratch failing
  shift 3
  # In memory where there is such a place: saving a checkpoint waits for the disk.
  scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
  mkdir -p "$corpus" "$kept/failed"
  log=$kept/$target.log
  mapfile -t folders < <(seeds "$target")
  TMPDIR=$scratch FUZZ_TARGET=$target "$CARGO_TARGET_DIR/release/ledgercast-fuzz" \
    -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$kept/failed/$target-" "$@" \
    "$corpus" "${folders[@]}" >"$log" 2>&1 || code=$?
  rm -rf "$scratch"
  failing=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  if [[ $code -ne 0 && $failing == */"$target"-timeout-* ]] && one "$target" "$failing" >>"$log" 2>&1; then
    # It is the clock of the wall that libFuzzer looks at, and a shared machine may stand still.
    echo "$target: an input took 10 s, and when it was tried again it did not"
    return
  fi
  if ((code != 0)); then
    grep -v '^#' "$log" | tail -n 60
    # Where nothing but this text is left of the machine, the input can be had from it.
    if [[ -f $failing && $(stat -c %s "$failing") -le 65536 ]]; then
      echo "$(basename "$failing"), by gzip and base64:"
      gzip -9 <"$failing" | base64 -w 0
      echo
    fi
    echo "$target: FAILED with $code; all of it is in $log"
    return 1
  fi
  awk -v target="$target" '
    /inline 8-bit counters/ { edges = $8 + 0; gsub(/[^0-9]/, "", $7); if ($7) edges = $7 }
    / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") covered = $(i + 1); if ($i == "corp:") inputs = $(i + 1) } }
    /stat::number_of_executed_units/ { runs = $2 }
    /stat::average_exec_per_sec/ { rate = $2 }
    /stat::peak_rss_mb/ { memory = $2 }
    END {
      sub("/.*", "", inputs)
      printf "%-16s %9d executions (%d/s), %d edges covered, %d inputs kept, %d MiB at most\n",
        target ":", runs, rate, covered, inputs, memory
    }' "$log"
}

is_target() {
  local target
  for target in "${targets[@]}"; do
    if [[ $target == "$1" ]]; then return; fi
  done
  echo "no target \`$1\`; there is ${targets[*]}" >&2
  return 1
}

if (($# == 0)); then
  build
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  failed=0
  for target in "${targets[@]}"; do
    # From the seeds alone, so that it depends on nothing that was run before.
    fuzz "$target" "$short" "$work/$target" || failed=1
  done
  exit "$failed"
fi

is_target "$1"
target=$1
what=${2:-60}
shift $(($# > 1 ? 2 : 1))
build
if [[ -e $what ]]; then
  one "$target" "$what" "$@"
  exit
fi
fuzz "$target" "$what" "$kept/corpus/$target" "$@"
