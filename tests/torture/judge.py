"""Compares the runs of a case in each mode with its plain runs."""

import collections
import dataclasses

# What a test's verdict may be without a word being said.
GOOD = ("ok", "skipped")


@dataclasses.dataclass
class Row:
    """One line of the table."""

    name: str
    mode: str
    verdict: str
    bad: bool
    seconds: float
    slower: float
    processes: int
    losses: dict


def verdicts(output):
    """Lines `NAME VERDICT` as a mapping."""
    pairs = (line.rsplit(" ", 1) for line in output.splitlines() if " " in line)
    return {name: verdict for name, verdict in pairs}


def tests(plain, seen):
    """What differs between test results and all plain runs: only what no plain run showed counts."""
    told = [verdicts(outcome["output"]) for outcome in plain]
    here = verdicts(seen["output"])
    expected = set().union(*told)
    failed = sorted(
        name for name, verdict in here.items() if verdict not in GOOD and verdict not in {t.get(name) for t in told}
    )
    missing = sorted(name for name in expected if name not in here and all(name in t for t in told))
    return failed + [f"{name} not run" for name in missing]


def differences(case, plain, seen):
    """Sentences about what differs from the plain runs; none is a pass."""
    found = []
    if seen["hung"]:
        return ["hung"]
    if seen["crashes"] and not any(run["crashes"] for run in plain):
        found.append("crashed: " + ", ".join(seen["crashes"]))
    if case.compare == "tests":
        found += tests(plain, seen)
    elif seen["code"] not in {run["code"] for run in plain}:
        found.append(f"exit {seen['code']}, plain {plain[0]['code']}")
    if case.compare == "exact" and seen["output"] not in {run["output"] for run in plain}:
        found.append("other output")
    unreadable = [process["unreadable"] for process in seen["processes"] if "unreadable" in process]
    return found + [f"unreadable recording: {reason}" for reason in unreadable[:1]]


def losses(processes):
    """The sum of the losses of all recorded processes."""
    total = collections.Counter()
    for process in processes:
        total.update(process.get("losses", {}))
    return dict(total)


def rows(case, outcomes):
    """The table's lines for a case: one for the plain runs, one for each mode."""
    plain = outcomes.get("plain", [])
    if not plain:
        return []
    seconds = sum(run["seconds"] for run in plain) / len(plain)
    hung = any(run["hung"] for run in plain)
    bad_plain = hung or (case.compare != "tests" and any(run["code"] for run in plain))
    verdict = "hung" if hung else f"exit {plain[0]['code']}"
    found = [Row(case.name, "plain", verdict, bad_plain, seconds, 1.0, 0, {})]
    for mode, runs in outcomes.items():
        for seen in runs if mode != "plain" else []:
            said = differences(case, plain, seen)
            if not seen["processes"]:
                said.append("nothing recorded")
            found.append(
                Row(
                    name=case.name,
                    mode=mode,
                    verdict="; ".join(said[:6]) + (f" (and {len(said) - 6} more)" if len(said) > 6 else "") or "same",
                    bad=bool(said),
                    seconds=seen["seconds"],
                    slower=seen["seconds"] / seconds if seconds else 0.0,
                    processes=len(seen["processes"]),
                    losses=losses(seen["processes"]),
                )
            )
    return found
