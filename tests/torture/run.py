"""Other people's software, plain and under leakscope: the runner behind scripts/torture.

For each piece (a script in pieces/, see piece.py) and each of its variants (JDKs): the plain run first, as often as the
piece asks, then one run in each mode (modes.py). What a run showed (watch.py) is kept in target/torture/done as JSON, so
that an interrupted series goes on where it stopped. judge.py compares, table.py prints.
"""

import argparse
import json
import os
import pathlib
import sys

import judge
import modes
import piece
import table
import watch

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
STORE = TOP / "target" / "torture"


def arguments():
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help="names, or starts of names (default: all)")
    parser.add_argument("--list", action="store_true", help="name the pieces and stop")
    parser.add_argument("--table", action="store_true", help="print the results so far and stop")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results of the pieces named")
    parser.add_argument("--whole", action="store_true", help="the longer form of pieces that have one")
    parser.add_argument("--modes", help="comma separated, of: " + ", ".join(modes.ALL))
    parser.add_argument("--leakscope", default=TOP / "target" / "release" / "leakscope", type=pathlib.Path)
    return parser.parse_args()


def once(case, mode, number, options):
    """One run's outcome, from an earlier series or now."""
    name = f"{case.name}.{mode}" + (f".{number}" if mode == "plain" else "") + (".whole" if options.whole else "")
    done = STORE / "done" / f"{name}.json"
    if options.fresh:
        done.unlink(missing_ok=True)
    if not done.exists():
        print(f"torture: {name}", file=sys.stderr, flush=True)
        outcome = watch.run(case, mode, STORE / "runs" / name, options)
        done.parent.mkdir(parents=True, exist_ok=True)
        part = done.with_suffix(".part")
        part.write_text(json.dumps(outcome, indent=1))
        os.replace(part, done)
    return json.loads(done.read_text())


def known(case, options):
    """The outcomes of earlier runs of a case, by mode."""
    found = {}
    for file in sorted((STORE / "done").glob(f"{case.name}.*.json")):
        rest = file.name[len(case.name) + 1 :].split(".")
        if ("whole" in rest) == options.whole:
            found.setdefault(rest[0], []).append(json.loads(file.read_text()))
    return found


def main():
    options = arguments()
    wanted = options.modes.split(",") if options.modes else modes.ALL
    unknown = [mode for mode in wanted if mode not in modes.ALL]
    cases = piece.cases(HERE / "pieces", TOP / "target" / "jre", options.pieces)
    if unknown or not cases:
        sys.exit(f"torture: no such {'mode: ' + unknown[0] if unknown else 'piece'}")
    if options.list:
        for case in cases:
            print(f"{case.name:24} {','.join(case.modes):44} {case.title}")
        return
    rows = []
    for case in cases:
        if options.table:
            outcomes = known(case, options)
        else:
            outcomes = {"plain": [once(case, "plain", n, options) for n in range(case.plain)]}
            for mode in case.modes:
                if mode in wanted:
                    outcomes[mode] = [once(case, mode, 0, options)]
        rows += judge.rows(case, outcomes)
    print(table.draw(rows))
    sys.exit(any(row.bad for row in rows))


if __name__ == "__main__":
    main()
