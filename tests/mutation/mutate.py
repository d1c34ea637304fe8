#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants small faults in the libraries, one at a time, and sees whether a test notices: docs/mutation.md.

    tests/mutation/mutate.py run [--count 217] [--share 0/2]   draws, builds, tests; goes on where it was stopped
    tests/mutation/mutate.py run --only ID...                  these once more, with the tests of now
    tests/mutation/mutate.py report                            writes results.tsv, and prints the score

All work is done in a copy of the tree under build/mutation; the tree itself is only read. Needs g++, ninja, lld and,
for speed, ccache.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import nearest
import sites

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
SEED = 20261121
# Mutants that compile. Headers are those of kernels/; .cuh counts as CUDA.
STRATA = {"kernels-cpu": 60, "kernels-cuda": 49, "kernels-headers": 20, "engine": 52, "models": 36}
# Not compiled in the build of the mutants, which has CUDA and not oneDNN.
LEFT_OUT = ("kernels/gemm_onednn.cpp", "kernels/base/cuda_absent.cpp")
# Tests of other things: the tree's text, the emulator, the benchmarks; trainings to the end.
OTHER_TESTS = ("lint", "simt", "simt_runtime", "planted", "benchmark_harness", "learning")
# A test program under a condition of its own.
VARIANTS = {f"test_{op}_cuda by cublaslt": {"HOURGLASS_SIMT_CUBLASLT": "1", "GTEST_FILTER": "*Library*"}
            for op in ("gemm", "linear")}  # fmt: skip
VARIANTS["test_gemm_cuda by incomplete cublaslt"] = {"HOURGLASS_SIMT_CUBLASLT": "incomplete",
                                                     "GTEST_FILTER": "*Library*"}  # fmt: skip
CONFIGURATION = [
    "-DCMAKE_BUILD_TYPE=Release", "-DHOURGLASS_TESTS=ON", "-DHOURGLASS_CUDA=EMULATED", "-DHOURGLASS_ONEDNN=OFF",
    "-DHOURGLASS_BENCHMARKS=OFF", "-DHOURGLASS_INSTALL=OFF",
    "-DCMAKE_CXX_FLAGS=-DHOURGLASS_NO_CLONES", "-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld",
    "-DCMAKE_GTEST_DISCOVER_TESTS_DISCOVERY_MODE=PRE_TEST",
]  # fmt: skip
LONGEST_PROGRAM = 25.0  # seconds of the processor; longer ones are not asked
LONGEST_FAR, MOST_FAR = 2.0, 12  # the same, and how many at most, of those that are far from what was changed
# A header on which more compiled files depend has that much less chance, or none: each costs up to ten seconds.
DEPENDANTS, MOST_DEPENDANTS = 6, 12


def stratum_of(path):
    layer = path.split("/")[0]
    if layer != "kernels":
        return layer
    if path.endswith((".cu", ".cuh")):
        return "kernels-cuda"
    return "kernels-cpu" if path.endswith(".cpp") else "kernels-headers"


def sources(root):
    paths = [p for layer in ("kernels", "engine", "models") for p in pathlib.Path(root, layer).rglob("*")]
    names = (str(p.relative_to(root)) for p in paths if p.suffix in nearest.SOURCES)
    return sorted(name for name in names if name not in LEFT_OUT)


def draw(root, wanted):
    """{stratum: `wanted[stratum]` sites in the order of their draw}: a file by its size, a class of faults, a site."""
    near, result, dependants = nearest.Nearest(root), {}, {}
    files = {stratum: [] for stratum in STRATA}
    for path in sources(root):
        text = pathlib.Path(root, path).read_text()
        dependants[path] = len(near.dependants(path)) if path.endswith((".h", ".cuh")) else 1
        found = sites.find(path, text)
        if found and dependants[path]:
            chance = sites.code_lines(text) * min(1.0, DEPENDANTS / dependants[path])
            files[stratum_of(path)].append((path, chance, found))
    for stratum, entries in files.items():
        chosen, lines = [], set()
        generator = random.Random(f"{SEED} {stratum}")
        for _ in range(100 * wanted[stratum]):  # there may not be as many
            if len(chosen) == wanted[stratum]:
                break
            path, _, found = generator.choices(entries, [chance for _, chance, _ in entries])[0]
            kind = generator.choice(sites.CLASSES)
            of_kind = [site for site in found if site.kind == kind]
            site = generator.choice(of_kind) if of_kind else None
            if site and (path, site.line) not in lines and dependants[path] <= MOST_DEPENDANTS:
                lines.add((path, site.line))
                chosen.append(site)
        result[stratum] = chosen
    return result


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Scratch:
    """A copy of the tree with a build of its own."""

    def __init__(self, folder):
        self.folder, self.tree, self.build = folder, folder / "tree", folder / "build"
        self.mutated = None

    def sync(self):
        """Makes the copy equal to the working tree; what is equal keeps its time."""
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                                capture_output=True).stdout.decode().split("\0")  # fmt: skip
        wanted = {name for name in listed if name and (ROOT / name).is_file()}
        for name in wanted:
            source, target = ROOT / name, self.tree / name
            if not target.is_file() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
        for path in self.tree.rglob("*"):
            if path.is_file() and str(path.relative_to(self.tree)) not in wanted:
                path.unlink()

    def ninja(self, *targets, keep=False, jobs=1):
        """Whether it built. What a mutant changes is not kept in ccache; what it puts back comes from there."""
        environment = dict(os.environ) if keep else {**os.environ, "CCACHE_READONLY": "1"}
        with open(self.folder / "build.log", "w") as log:
            done = subprocess.run(["ninja", "-C", self.build, f"-j{jobs}", *targets], stdout=log,
                                  stderr=subprocess.STDOUT, env=environment)  # fmt: skip
        return done.returncode == 0

    def prepare(self, jobs, keep):
        if not keep:
            self.sync()
        if not (self.build / "build.ninja").exists():
            subprocess.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", *CONFIGURATION], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        if not self.ninja("tests_and_program", keep=True, jobs=jobs):
            sys.exit(f"the tree does not build: {self.folder}/build.log")
        self.fingerprint = self.libraries()
        self.programs = {p.name: digest(p) for p in (self.build / "tests").glob("test_*") if p.is_file()}

    def libraries(self, layers=("kernels", "engine", "models")):
        paths = {layer: self.build / layer / f"libhourglass_{layer}.a" for layer in layers}
        return {layer: digest(path) for layer, path in paths.items()}

    def is_as_before(self, program):
        """Whether the linker left out what was changed: then the program has nothing to tell."""
        return digest(self.build / "tests" / program) == self.programs.get(program)

    def mutate(self, site):
        self.restore()
        path = self.tree / site.path
        self.mutated = (path, path.read_text())
        path.write_text(site.apply(self.mutated[1]))

    def restore(self):
        if self.mutated:
            self.mutated[0].write_text(self.mutated[1])
        self.mutated = None


def run_program(scratch, program, seconds):
    """(what noticed or None, seconds of the processor): the first failing case, a signal, or a hang."""
    limit = int(5 * seconds + 10)

    def limits():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.setsid()

    environment = {**os.environ, "GTEST_FAIL_FAST": "1", **VARIANTS.get(program, {})}
    with tempfile.TemporaryDirectory(dir=scratch.folder) as home, tempfile.TemporaryFile() as out:
        environment["TMPDIR"] = home
        path = scratch.build / "tests" / program.split()[0]
        process = subprocess.Popen([path], cwd=home, env=environment, stdout=out, stderr=subprocess.STDOUT,
                                   preexec_fn=limits)  # fmt: skip
        deadline = time.monotonic() + 60 + 20 * limit
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read(1 << 24).decode(errors="replace")
    used = usage.ru_utime + usage.ru_stime
    if process.returncode == 0:
        return None, used
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"{program}: hangs", used
    case = re.search(r"\[  FAILED  \] ([\w/.]+)", text)
    started = re.findall(r"\[ RUN      \] ([\w/.]+)", text)
    name = case.group(1) if case else started[-1] if started else ""
    crash = f" ({signal.Signals(-process.returncode).name})" if process.returncode < 0 else ""
    return f"{program}: {name}{crash}", used


def durations(scratch):
    """{program: seconds of the processor} of all programs that pass and are short; measured once."""
    path = scratch.folder / "seconds.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    names = [p.name for p in (scratch.build / "tests").glob("test_*") if p.is_file() and os.access(p, os.X_OK)]
    for program in sorted(names + list(VARIANTS)):
        if program.removeprefix("test_") in OTHER_TESTS or program in known:
            continue
        failure, used = run_program(scratch, program, 30)
        known[program] = 1e9 if failure else round(used, 2)
        print(f"{program}: {failure or round(used, 2)}", flush=True)
        path.write_text(json.dumps(known, indent=0))
    return {program: seconds for program, seconds in known.items() if seconds <= LONGEST_PROGRAM}


def examine(scratch, near, site, seconds, most_far):
    """{outcome, by, programs}: killed, survived, or why it is no mutant."""
    scratch.mutate(site)
    layers = {name.split("/")[0] for name in near.dependants(site.path)} | {site.path.split("/")[0]}
    if not scratch.ninja(*(f"hourglass_{layer}" for layer in sorted(layers))):
        return {"outcome": "does not compile"}
    if scratch.libraries(layers).items() <= scratch.fingerprint.items():
        return {"outcome": "same code"}
    function = sites.function_around(scratch.mutated[1], site.start)
    count = far = 0
    for program, distance in near.order(site.path, function, seconds):
        if distance >= nearest.FAR:
            if seconds[program] > LONGEST_FAR or far == most_far:
                continue
            far += 1
        if not scratch.ninja(program.split()[0]):
            return {"outcome": "does not compile"}
        if scratch.is_as_before(program.split()[0]):
            continue
        noticed, _ = run_program(scratch, program, seconds[program])
        count += 1
        if noticed:
            return {"outcome": "killed", "by": noticed, "programs": count}
    return {"outcome": "survived", "programs": count}


def records(folder):
    """{id: its records, those of `--only` last}."""
    result = {}
    lines = [line for path in sorted(folder.glob("results*.jsonl")) for line in path.read_text().splitlines()]
    for record in sorted(map(json.loads, lines), key=lambda record: record.get("again", False)):
        result.setdefault(record["id"], []).append(record)
    return result


COUNTED = ("killed", "survived")


def drawn(folder, count):
    """The draw, kept from the first start on: sources may be mended while it runs."""
    path = folder / "draw.json"
    if not path.exists():
        wanted = {stratum: 3 * share * count // sum(STRATA.values()) for stratum, share in STRATA.items()}
        path.write_text(json.dumps({s: [site.id for site in found] for s, found in draw(ROOT, wanted).items()}))
    return json.loads(path.read_text())


def next_of(folder, identities, share, shares, count):
    """The next one of this share's draws that has no record, of the stratum that lacks most; None at the end."""
    known, best = records(folder), None
    for stratum, order in identities.items():
        mine = order[share::shares]
        quota = STRATA[stratum] * count / sum(STRATA.values()) / shares
        done = sum(1 for i in mine if i in known and known[i][0]["outcome"] in COUNTED)
        left = [i for i in mine if i not in known]
        if done < quota and left and (best is None or done / quota < best[0]):
            best = (done / quota, left[0])
    return best and best[1]


def run(options):
    folder = ROOT / "build" / "mutation"
    share, shares = (int(part) for part in options.share.split("/"))
    scratch = Scratch(folder / (options.scratch or f"w{share}"))
    scratch.tree.mkdir(parents=True, exist_ok=True)
    identities = drawn(folder, options.count)
    scratch.prepare(options.jobs, options.keep)
    seconds, near = durations(scratch), nearest.Nearest(scratch.tree)
    everything = {site.id: site for path in sources(ROOT) for site in sites.find(path, (ROOT / path).read_text())}
    queue, most_far = list(options.only), 10 * MOST_FAR if options.only else MOST_FAR
    if unknown := [identity for identity in queue if identity not in everything]:
        sys.exit(f"no such mutant: {unknown[0]}")

    def following():
        if options.only:
            return queue.pop(0) if queue else None
        return next_of(folder, identities, share, shares, options.count)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    while identity := following():
        site, started = everything.get(identity), time.monotonic()
        try:
            record = examine(scratch, near, site, seconds, most_far) if site else {"outcome": "gone"}
        except SystemExit:
            scratch.restore()
            raise
        if site:
            record |= {"id": identity, "stratum": stratum_of(site.path), "kind": site.kind, "path": site.path,
                       "line": site.line, "before": site.before, "after": site.after}  # fmt: skip
        record |= {"id": identity, "again": bool(options.only), "seconds": round(time.monotonic() - started, 1)}
        with open(folder / f"results-{share}.jsonl", "a") as out:
            out.write(json.dumps(record) + "\n")
        place = f"{site.path}:{site.line}" if site else ""
        print(f"{identity} {record['outcome']:16} {record['seconds']:6} s  {place}  {record.get('by', '')}", flush=True)
    scratch.restore()


OUTCOMES = ("killed", "killed by a new test", "killed by a sanitizer", "equivalent", "open")


def judged(found, verdict):
    """(outcome, by or why) of a mutant's records and its line in verdicts.tsv: outcome, why. One that `--only` killed
    was killed by a new test, unless the verdict is that an older one had been passed over."""
    first, last = found[0], found[-1]
    if last["outcome"] == "killed":
        is_new = first["outcome"] != "killed" and not verdict
        return OUTCOMES[is_new], last["by"]
    return verdict or ("open", "")


def report(_):
    """results.tsv: every mutant that was built, what noticed it, or why nothing can."""
    lines = [line.split("\t") for line in (FOLDER / "verdicts.tsv").read_text().splitlines()[1:]]
    verdicts = {identity: rest for identity, *rest in lines}
    rows, score = [], {stratum: dict.fromkeys(OUTCOMES, 0) for stratum in STRATA}
    for identity, found in records(ROOT / "build" / "mutation").items():
        first = found[0]
        if first["outcome"] not in COUNTED or found[-1]["outcome"] not in COUNTED:
            continue
        outcome, why = judged(found, verdicts.get(identity))
        score[first["stratum"]][outcome] += 1
        place = f"{first['path']}:{first['line']}"
        rows.append((first["stratum"], place, identity, first["kind"], first["before"], first["after"], outcome, why))
    rows.sort(key=lambda row: (list(STRATA).index(row[0]), row[1].split(":")[0], int(row[1].split(":")[1])))
    with open(FOLDER / "results.tsv", "w") as out:
        out.write("part\tplace\tid\tfault\tline\tbecomes\toutcome\tby or why\n")
        out.writelines("\t".join(row) + "\n" for row in rows)
    print(f"{'':16}" + "".join(f"{name:>24}" for name in OUTCOMES))
    for stratum, counts in score.items():
        print(f"{stratum:16}" + "".join(f"{count:24}" for count in counts.values()))
    print(f"{len(rows)} mutants")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run")
    command.add_argument("--count", type=int, default=sum(STRATA.values()), help="mutants that compile")
    command.add_argument("--share", default="0/1", help="i/n: one of n runs beside each other")
    command.add_argument("--scratch", help="the folder of the copy under build/mutation")
    command.add_argument("--jobs", type=int, default=2, help="compilers at once for the first build")
    command.add_argument("--keep", action="store_true", help="leave the copy as it is")
    command.add_argument("--only", nargs="*", default=[], metavar="ID")
    command.set_defaults(run=run)
    commands.add_parser("report").set_defaults(run=report)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
