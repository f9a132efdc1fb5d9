"""Runs what README.md shows. A block after the comment `<!-- test -->` must end well: sh with exit
code 0, yaml as a settings file that `check-config` takes. A block after `<!-- test: stream -->` must
print Flow messages until it is ended, one after `<!-- test: lines 3 -->` that many lines.

Arguments: README.md, the address of a running demo's clients, and that of its operators; they stand in
for the default ones, and a free port for the devnet's. `ledgercast` and what the README tells to
install are found on the PATH."""

import pathlib
import re
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "clients"))
from streaming import check_lines, check_stream  # noqa: E402

readme, clients, operators = sys.argv[1:]
text = pathlib.Path(readme).read_text(encoding="utf-8")
text = text.replace("127.0.0.1:8080", clients).replace("127.0.0.1:9090", operators)
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    text = text.replace("127.0.0.1:8000", "127.0.0.1:%d" % free.getsockname()[1])
blocks = re.findall(r"^<!-- test(: stream|: lines \d+)? -->\n```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
marks = text.count("<!-- test")
assert blocks and len(blocks) == marks, f"{marks} marks, but {len(blocks)} blocks follow one directly"

with tempfile.TemporaryDirectory() as folder:
    for number, (stream, language, block) in enumerate(blocks, 1):
        print(f"block {number} ({language}): {block.splitlines()[0]}", flush=True)
        if language == "yaml":
            file = pathlib.Path(folder, "settings.yaml")
            file.write_text(block, encoding="utf-8")
            subprocess.run(["ledgercast", "check-config", str(file)], check=True, cwd=folder, timeout=60)
        elif stream == ": stream":
            check_stream(["bash", "-c", block])
        elif stream:
            check_lines(["bash", "-c", block], int(stream.split()[-1]))
        else:
            command = ["bash", "-euo", "pipefail", "-c", block]
            subprocess.run(command, check=True, cwd=folder, timeout=60, stdout=subprocess.DEVNULL)
print(f"{len(blocks)} blocks")
