"""Judges a report of the Autobahn suite: `check.py REPORT/index.json`.

Good is: every case of the sections that concern us ran, none failed, every close had a right code.
What the suite calls non-strict or informational is listed by name.
"""

import collections
import json
import sys

# Cases of each section: a suite that left some out has shown nothing. Section 8 does not exist, 11 is
# not written, 12 and 13 are about compression, which is not offered.
CASES = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}
BEHAVIOURS = {"OK", "NON-STRICT", "INFORMATIONAL"}
CLOSES = {"OK", "INFORMATIONAL"}


def order(case):
    return [int(part) for part in case.split(".")]


def main(path):
    with open(path, encoding="utf-8") as file:
        (report,) = json.load(file).values()
    wrong = []
    ran = collections.Counter(case.split(".")[0] for case in report)
    for section, count in CASES.items():
        if ran[section] != count:
            wrong.append(f"section {section}: {ran[section]} of {count} cases ran")
    noted = collections.defaultdict(list)
    for case in sorted(report, key=order):
        behaviour, close = report[case]["behavior"], report[case]["behaviorClose"]
        if behaviour not in BEHAVIOURS or close not in CLOSES:
            code = report[case].get("remoteCloseCode")
            wrong.append(f"{case}: {behaviour}, close {close} (code {code}), see {report[case]['reportfile']}")
        if behaviour != "OK":
            noted[behaviour].append(case)
    for of, key in [("behaviour", "behavior"), ("close", "behaviorClose")]:
        counts = collections.Counter(result[key] for result in report.values())
        print(f"{len(report)} cases by {of}:", ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    for behaviour, cases in noted.items():
        print(f"{behaviour}:", " ".join(cases))
    for line in wrong:
        print("wrong:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
