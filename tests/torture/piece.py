"""A piece of other people's software: a bash script in pieces/ which uses it, with a header that says how.

The header is lines `#: key: value`: `title`; `modes` (of modes.py); `jdks` (one case for each); `plain` (number of plain
runs, for programs that flake); `seconds` (after which a run counts as hung); `compare: exact` (the output must be the
same), `compare: tests` (lines `NAME VERDICT`, compared with all plain runs) or `compare: exit`.

The script is given $RUN, the words to put before the command under test (none in a plain run), $WORK (an empty directory,
its own), $STORE (kept between runs, for what was installed), $HERE (this folder), $JAVA and $JDK (where it has `jdks`),
$WHOLE (1 for the longer form). What it writes to the standard output is what is compared.
"""

import dataclasses
import pathlib


@dataclasses.dataclass
class Case:
    """A piece in one of its variants."""

    name: str
    title: str
    script: pathlib.Path
    modes: list
    plain: int
    seconds: int
    compare: str
    java: pathlib.Path | None


def header(script):
    """The keys and values at the top of a piece."""
    lines = [line[2:].strip() for line in script.read_text().splitlines() if line.startswith("#:")]
    return {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines)}


def cases(folder, jres, wanted):
    """All cases, or those whose names begin with one of `wanted`."""
    found = []
    for script in sorted(folder.glob("*.sh")):
        said = header(script)
        for jdk in said.get("jdks", "").split() or [None]:
            name = script.stem + (f"-{jdk}" if jdk else "")
            if wanted and not any(name.startswith(start) for start in wanted):
                continue
            found.append(
                Case(
                    name=name,
                    title=said["title"],
                    script=script,
                    modes=said.get("modes", "default exact").split(),
                    plain=int(said.get("plain", "1")),
                    seconds=int(said.get("seconds", "300")),
                    compare=said.get("compare", "exact"),
                    java=jres / jdk if jdk else None,
                )
            )
    return found
