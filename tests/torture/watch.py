"""Runs one case in one mode and says what was seen: exit code, output, time, memory, cores, and what leakscope lost.

A run has a process group of its own, which is killed by its id when the time is over. Core files are looked for in the
run's directory (the piece's working directory) and JVM error files with them.
"""

import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

import modes


def unlimited_core():
    """Lets a crash leave a core file, whatever the shell's limit."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def run(case, mode, place, options):
    """The outcome of one run, as plain data for JSON."""
    shutil.rmtree(place, ignore_errors=True)
    work = place / "work"
    work.mkdir(parents=True)
    work = work.resolve()  # compilers write down where they are
    recording = place / "recording"
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    environment.update(
        RUN=modes.words(mode, options.leakscope.resolve(), recording),
        WORK=str(work),
        STORE=str(place.parent.parent),
        HERE=str(case.script.parent.parent),
        WHOLE="1" if options.whole else "",
        LC_ALL="C.UTF-8",
    )
    if case.java:
        environment.update(JAVA=str(case.java / "bin" / "java"), JAVA_HOME=str(case.java), JDK=case.java.name)
    started = time.monotonic()
    with open(place / "out", "wb") as out, open(place / "err", "wb") as err:
        child = subprocess.Popen(
            ["bash", "-euo", "pipefail", str(case.script)],
            cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True, preexec_fn=unlimited_core,
        )  # fmt: skip
        hung = False
        try:
            code = child.wait(case.seconds * (6 if options.whole else 1))
        except subprocess.TimeoutExpired:
            hung, code = True, None
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    outcome = {
        "code": code,
        "hung": hung,
        "seconds": round(time.monotonic() - started, 1),
        "output": (place / "out").read_text(errors="replace"),
        "crashes": crashes(work),
        "processes": [process(file.parent, options.leakscope) for file in sorted(recording.rglob("session.json"))],
    }
    if not (hung or outcome["crashes"] or code):
        shutil.rmtree(work, ignore_errors=True)
    return outcome


def crashes(work):
    """Core files and JVM error files that a run left, by path within its directory."""
    # os.walk passes over folders that a process still ending removes meanwhile.
    names = [
        pathlib.Path(folder, name)
        for folder, _, files in os.walk(work)
        for name in files
        if name == "core" or name.startswith(("core.", "hs_err"))
    ]
    return sorted(str(path.relative_to(work)) for path in names if path.is_file() and core_or_error(path))


def core_or_error(path):
    """Whether a file is what its name says (a Python package may hold a `core`, too)."""
    with open(path, "rb") as file:
        start = file.read(18)
    return path.name.startswith("hs_err") or (start[:4] == b"\x7fELF" and start[16:18] == b"\x04\x00")


def process(folder, leakscope):
    """What one recorded process's recording says."""
    about = json.loads((folder / "session.json").read_text())
    found = {"name": about["name"], "jvm": about["jvm"], "end": (about.get("end") or {}).get("how", "?")}
    if about["snapshots"]:
        last = folder / about["snapshots"][-1]["file"]
        told = subprocess.run([leakscope, "report", "--json", last], capture_output=True, timeout=120)
        if told.returncode == 0:
            found["losses"] = json.loads(told.stdout)["losses"]
        else:
            found["unreadable"] = told.stderr.decode(errors="replace")[-300:]
    return found
