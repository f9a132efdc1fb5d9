"""Runs a command that prints Flow messages without end, checks what it prints, and ends it."""

import json
import os
import selectors
import signal
import subprocess
import time

from flow_checks import WELCOME, Stream, check_registered

ENOUGH = 40
PATIENCE = 30


def lines(process):
    """What a process prints, line by line, for as long as we are patient."""
    deadline = time.monotonic() + PATIENCE
    descriptor = process.stdout.fileno()
    ready = selectors.DefaultSelector()
    ready.register(descriptor, selectors.EVENT_READ)
    rest = b""
    while ready.select(max(0, deadline - time.monotonic())):
        piece = os.read(descriptor, 65536)
        if not piece:
            raise AssertionError(f"ended by itself with {process.wait()}")
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    raise AssertionError(f"nothing more within {PATIENCE} s")


def check_stream(command):
    """`command`, a list, must print the welcome, the answer to a register without filters, and events."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        printed = (json.loads(line) for line in lines(process))
        welcome = next(printed)
        assert welcome == WELCOME, welcome
        check_registered(next(printed))
        stream = Stream()
        while stream.events < ENOUGH:
            stream.take(next(printed))
        return stream.events
    finally:
        # The whole group that we started: a shell may have children.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def check_lines(command, count):
    """`command`, a list, must print so many lines, none of them empty."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        printed = lines(process)
        for _ in range(count):
            line = next(printed)
            assert line.strip(), "an empty line"
            print(line.decode(), flush=True)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
