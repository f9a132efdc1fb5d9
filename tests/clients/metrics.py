"""Reads the operators' endpoints of a demo that clients have come to as Prometheus does: /metrics must be OpenMetrics to
the letter, with the metrics that dashboards need, and the answers under /debug/ must be JSON.
ADMIN_URL tells where."""

import json
import os
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

base = os.environ["ADMIN_URL"]


def get(path):
    with urllib.request.urlopen(base + path, timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


kind, text = get("metrics")
assert kind.startswith("application/openmetrics-text; version=1.0.0"), kind
families = {family.name: family for family in text_string_to_metric_families(text)}
for name, metric in [
    ("ledgercast_sessions_open", "gauge"),
    ("ledgercast_sessions_closed", "counter"),
    ("ledgercast_sessions_behind", "gauge"),
    ("ledgercast_events", "counter"),
    ("ledgercast_frames_queued", "counter"),
    ("ledgercast_outbox_bytes", "gauge"),
    ("ledgercast_source_last_ledger_age_seconds", "gauge"),
    ("ledgercast_source_close_age_seconds", "gauge"),
    ("ledgercast_source_behind_ledgers", "gauge"),
    ("ledgercast_history_bytes", "gauge"),
    ("ledgercast_build", "info"),
    ("process_resident_memory_bytes", "gauge"),
]:
    assert families[name].type == metric, (name, families[name].type)
    assert families[name].samples, name
print(f"{len(families)} metrics")

sources = json.loads(get("debug/sources")[1])["sources"]
assert sources and all(source["ready"] for source in sources), sources
sessions = json.loads(get("debug/sessions?sort=lag&limit=10")[1])
assert sessions["workers"] and not sessions["not_answering"], sessions
ledgers = json.loads(get("debug/ledgers")[1])
assert any(ledger["routed_nanos"] for ledger in ledgers[sources[0]["name"]]), ledgers
try:
    get("debug/sessions?sort=speed")
    raise AssertionError("an unknown order was taken")
except urllib.error.HTTPError as refused:
    assert refused.code == 400 and "lag" in json.load(refused)["error"]
print("the answers under /debug/ are whole")
