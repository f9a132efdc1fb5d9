#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of the fuzz build: adds the coverage that libFuzzer reads, and the checks of
# the dev profile, to our own crates. Dependencies stay as every other build has them; what is generic
# in them is instrumented all the same, since it is compiled where it is used.
#
# Stable Rust passes LLVM's own switches through. The first argument is the compiler.
case " $* " in
  *" --crate-name ledgercast "* | *" --crate-name ledgercast_fuzz "*)
    # Without LTO, which would run the pass over what it has instrumented already.
    exec "$@" -Clto=off -Cpasses=sancov-module \
      -Cllvm-args=-sanitizer-coverage-level=4 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table \
      -Cllvm-args=-sanitizer-coverage-trace-compares \
      -Cdebug-assertions=on -Coverflow-checks=on -Cdebuginfo=line-tables-only -Cstrip=none
    ;;
  *) exec "$@" ;;
esac
