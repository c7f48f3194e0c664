"""A long run of a JVM in which everything comes and goes, beside a plain twin: the runner behind scripts/soak.

Every few seconds it reads /proc/PID/smaps of both. What leakscope adds is known in two ways: directly, by the mappings
that are leakscope's (the session, the shim), and by the difference between the twins, which also holds what the JVM
itself takes on our behalf (method ids, JVMTI), and the noise of two JVMs. After a warm-up both must stay flat, and below
the bound. It also prints what the recording took on disk.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
MIB = 1 << 20
BOUND = 24 * MIB
# A fixed heap, touched from the start, and few arenas: what is left to differ is small.
JVM = ["-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:MaxDirectMemorySize=64m", "-Xlog:disable"]
HELPER_STACK = 256 << 10
OURS = re.compile(r"memfd:leakscope|libleakscope")


def seconds(text):
    """90, 90s, 10m, 1h."""
    number, unit = re.fullmatch(r"(\d+)([smh]?)", text).groups()
    return int(number) * {"": 1, "s": 1, "m": 60, "h": 3600}[unit]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.splitlines()[0])
    parser.add_argument("duration", type=seconds, nargs="?", default="1h", help="90s, 10m, 1h (default)")
    parser.add_argument("--jdk", default="17", choices=["11", "17", "21", "25"])
    parser.add_argument("--sample", default="512k")
    parser.add_argument("--turns", type=int, default=20, help="turns a second; an hour's churn in minutes")
    parser.add_argument("--leakscope", default=TOP / "target" / "release" / "leakscope", type=pathlib.Path)
    parser.add_argument("--store", default=TOP / "target" / "soak", type=pathlib.Path)
    return parser.parse_args()


def build(folder):
    """Compiles the program and its library."""
    subprocess.run(["javac", "--release", "11", "-d", folder, HERE / "Soak.java"], check=True)
    subprocess.run(["cc", "-O1", "-g", "-shared", "-fPIC", "-o", folder / "library.so", HERE / "library.c"], check=True)


def start(options, folder, prefix):
    """Starts one twin; it has its own directory."""
    folder.mkdir(parents=True)
    shutil.copy(folder.parent / "library.so", folder)
    java = TOP / "target" / "jre" / options.jdk / "bin" / "java"
    command = [*prefix, java, *JVM, f"-Dturns={options.turns}", "-cp", folder.parent, "Soak", folder]
    out, err = (open(folder / name, "wb") for name in ("out", "err"))
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    return subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment)


def java_below(pid):
    """The JVM among a process and its children."""
    if os.readlink(f"/proc/{pid}/exe").endswith("/java"):
        return pid
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            if os.readlink(f"/proc/{child}/exe").endswith("/java"):
                return int(child)
    return None


def resident(pid):
    """Resident bytes of a process: all of it, and what is leakscope's; its session; its threads."""
    total = ours = session = 0
    end, is_ours, is_session = "", False, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("Rss:"):
                size = int(line.split()[1]) << 10
                total += size
                ours += size if is_ours else 0
                session += size if is_session else 0
            elif "-" in line.split(" ", 1)[0]:
                fields = line.split(maxsplit=5)
                path = fields[5] if len(fields) > 5 else ""
                start, _, new_end = fields[0].partition("-")
                # The shim's zero-initialised data lies behind it and has no name.
                is_ours = bool(OURS.search(path)) or (is_ours and not is_session and not path and start == end)
                is_session = "memfd:leakscope" in path
                end = new_end
    return {"rss": total, "ours": ours + HELPER_STACK if ours else 0, "session": session}


def watch(options, twins):
    """Both twins' figures over time."""
    every = max(2, options.duration / 240)
    begin = time.monotonic()
    points = []
    while time.monotonic() - begin < options.duration:
        time.sleep(every)
        point = {"t": round(time.monotonic() - begin)}
        for name, twin in twins.items():
            if twin.poll() is not None:
                sys.exit(f"soak: the {name} twin has ended with {twin.returncode}")
            point[name] = resident(java_below(twin.pid))
        collector = pathlib.Path(f"/proc/{twins['recorded'].pid}/statm").read_text().split()
        point["collector"] = int(collector[1]) * 4096
        points.append(point)
    return points


def finish(name, twin, folder):
    """Ends a twin; how many turns it made."""
    twin.stdin.write(b"x\n")
    twin.stdin.flush()
    if twin.wait(timeout=120) != 0:
        sys.exit(f"soak: the {name} twin has ended with {twin.returncode}")
    return int(re.search(r"turns: (\d+)", (folder / "out").read_text()).group(1))


def judge(points):
    """Prints the figures; whether they are within bounds."""
    warm = points[len(points) // 6 :]
    part = max(1, len(warm) // 4)
    print(f"{'':28}{'first':>10}{'middle':>10}{'last':>10}{'highest':>10}   MiB, after a warm-up of a sixth")

    def line(name, value):
        values = [value(point) / MIB for point in warm]
        middle = len(values) // 2 - part // 2
        medians = [statistics.median(v) for v in (values[:part], values[middle : middle + part], values[-part:])]
        print(f"{name:28}" + "".join(f"{v:10.2f}" for v in (*medians, max(values))))
        return [m * MIB for m in medians], max(values) * MIB

    line("plain twin, RSS", lambda p: p["plain"]["rss"])
    line("recorded twin, RSS", lambda p: p["recorded"]["rss"])
    twins, _ = line("difference", lambda p: p["recorded"]["rss"] - p["plain"]["rss"])
    own, most = line("session, shim and helper", lambda p: p["recorded"]["ours"])
    line("of it the session", lambda p: p["recorded"]["session"])
    line("leakscope itself", lambda p: p["collector"])
    good = most <= BOUND and own[2] - own[0] <= BOUND / 4 and twins[2] <= BOUND
    print(f"bound {BOUND // MIB} MiB: {'held' if good else 'NOT HELD'}")
    return good


def main():
    options = arguments()
    folder = options.store / f"jdk{options.jdk}-{options.sample}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    build(folder)
    recording = folder / "recording"
    record = [options.leakscope, "run", "-o", recording, "--sample", options.sample, "--"]
    twins = {"plain": start(options, folder / "plain", []), "recorded": start(options, folder / "recorded", record)}
    try:
        points = watch(options, twins)
        turns = {name: finish(name, twin, folder / name) for name, twin in twins.items()}
    finally:
        for twin in twins.values():
            if twin.poll() is None:
                twin.terminate()
    (folder / "points.json").write_text(json.dumps(points))
    print(f"JDK {options.jdk}, --sample {options.sample}, {options.duration} s, {options.turns} turns a second: {turns}")
    good = judge(points)
    written = sum(path.stat().st_size for path in recording.rglob("*") if path.is_file())
    print(f"written: {written / MIB:.2f} MiB, {written / MIB * 3600 / options.duration:.2f} MiB an hour")
    report = subprocess.run([options.leakscope, "report", "--json", recording], capture_output=True, check=True)
    print("losses:", json.dumps(json.loads(report.stdout)["losses"]))
    sys.exit(not good)


if __name__ == "__main__":
    main()
