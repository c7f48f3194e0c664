"""Records JDKs in a chroot and looks at the reports; see scripts/jdks. Argument: the chroot, then numbers of JDKs."""

import os
import re
import shutil
import subprocess
import sys

root, wanted = sys.argv[1], sys.argv[2:]
SOURCE = "examples/deflater/DeflaterLeak.java"
LINE = next(n for n, text in enumerate(open(SOURCE), 1) if "new Deflater()" in text)


def leakscope(*arguments):
    command = ["chroot", root, "/work/leakscope", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def record(java, options, program):
    """Records a program; what is wrong with how it ended, and the report."""
    shutil.rmtree(f"{root}/work/out", ignore_errors=True)
    run = leakscope("run", "-o", "/work/out", "--interval", "1s", *options, "--", java, "-cp", "/work", *program)
    if run.returncode != 0:
        return [f"{' '.join(program)} {options} ended with {run.returncode}: {run.stderr[-2000:]}"], {}
    return [], leakscope("report", "/work/out").stdout


def leaks(java, options):
    """Complaints about a recording of the leak."""
    wrong, report = record(java, options, ["-Xmx64m", "DeflaterLeak", "6", "200"])
    if wrong:
        return wrong
    largest = re.search(r"^1  \S.* live · .*\n((?:  .*\n)+?)    freed by: (.*)", report, re.MULTILINE)
    stack, freed_by = (largest[1], largest[2]) if largest else (report, "")
    if not re.search(rf"^  > DeflaterLeak\$ExceptionLogger.compress +DeflaterLeak.java:{LINE}$", stack, re.MULTILINE):
        wrong.append(f"{options} the line is not named: {stack}")
    if not re.fullmatch(r"the garbage collector \([\d,]+ sampled frees\)", freed_by):
        wrong.append(f"{options} freed by: {freed_by}")
    return wrong


def main():
    for source, target in [("/proc", "proc"), ("/dev", "dev")]:
        subprocess.run(["mount", "--rbind", source, f"{root}/{target}"], check=True)
    folders = os.listdir(f"{root}/usr/lib/jvm")
    found = sorted(int(m[1]) for m in (re.fullmatch(r"java-(\d+)-openjdk-amd64", f) for f in folders) if m)
    failed = False
    for release in [int(n) for n in wanted] or found:
        home = f"/usr/lib/jvm/java-{release}-openjdk-amd64"
        java = next(f"{home}/{part}bin/java" for part in ("jre/", "") if os.path.exists(f"{root}{home}/{part}bin/java"))
        version = subprocess.run(["chroot", root, java, "-version"], capture_output=True, text=True).stderr
        wrong = leaks(java, ["--sample", "64k"]) + leaks(java, ["--sample", "1"])
        for options in [[], ["--sample", "1"]] * 10:
            wrong += record(java, options, ["Hello"])[0]
        failed |= bool(wrong)
        print(f"JDK {release}: {version.splitlines()[0]}: {'as it should be' if not wrong else '; '.join(wrong)}", flush=True)
    sys.exit(failed)


main()
