"""Prints the verdict of each test in a JUnit file of CPython's test runner, as lines `NAME VERDICT`."""

import sys
import xml.etree.ElementTree as tree

worst = {}
ORDER = ["ok", "skipped", "failed", "error"]
for case in tree.parse(sys.argv[1]).iter("testcase"):
    verdict = "ok"
    for child in case:
        verdict = {"failure": "failed", "error": "error", "skipped": "skipped"}.get(child.tag, verdict)
    name = case.get("name").split(" at 0x")[0].replace(" ", "_")
    worst[name] = max(worst.get(name, "ok"), verdict, key=ORDER.index)
for name, verdict in sorted(worst.items()):
    print(name, verdict)
