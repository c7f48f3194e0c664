"""Builds, prints and forgets objects, all through malloc (PYTHONMALLOC=malloc); prints the milliseconds of
a turn, then the KiB that were resident at most."""

import json
import resource
import sys
import time

turns = int(sys.argv[1])
start = time.perf_counter()
for turn in range(turns):
    record = {str(key): [turn, key, {"name": "x" * (key % 50)}] for key in range(200)}
    assert json.loads(json.dumps(record))["7"][1] == 7
print((time.perf_counter() - start) * 1e3 / turns)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
