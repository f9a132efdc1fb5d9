"""Copies the commands out of the demo's banner, as a person would, and runs them. Argument: the file
with the banner."""

import re
import sys

from streaming import check_stream

banner = open(sys.argv[1], encoding="utf-8").read()
for name in ["Python", "Node"]:
    found = re.search(rf"^# {name}, after: .*\n((?:.+\n)+)", banner, re.MULTILINE)
    assert found, f"no command for {name} in the banner:\n{banner}"
    events = check_stream(["bash", "-c", found[1]])
    print(f"{name}: {events} events")
