#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes results.json and results.md of what the stages of scripts/gpu.sh left so far; whatever is missing is left out."""

import argparse
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import gpu_tables  # noqa: E402

NAME = re.compile(r"^(?P<op>[^/]+)/(?P<technique>[^/]+)/(?P<shape>[^/]+)/(?P<dtype>[^/]+)/(?P<device>[^/]+)")
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
TIMING = {"iterations", "real_time", "cpu_time", "repetitions", "repetition_index", "threads", "family_index",
          "per_family_instance_index", "median_us"}


def text(path):
    return path.read_text() if path.exists() else ""


def lines_of_json(path):
    for line in text(path).splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # what else a program printed; the last line of one that ran out of time
            pass


def numbers_of(case):
    """The counters of a case, whatever they are called, but not Google Benchmark's own numbers."""
    return {key: value for key, value in case.items() if isinstance(value, (int, float)) and key not in TIMING}


def whole_cases(written):
    """The objects of the list "benchmarks", but for one that a program was stopped at."""
    decoder = json.JSONDecoder()
    _, _, rest = written.partition('"benchmarks": [')
    while (rest := rest.lstrip(" \n,")).startswith("{"):
        try:
            case, end = decoder.raw_decode(rest)
        except ValueError:
            return
        yield case
        rest = rest[end:]


def cases(folder):
    """Every benchmark case, flat; one that could not run has `failed`, and no time."""
    for path in sorted(folder.glob("bench_*.json")):
        for case in whole_cases(path.read_text()):
            match = NAME.match(case["name"])
            if not match:
                continue
            if "error_message" in case:
                yield match.groupdict() | {"failed": case["error_message"]}
                continue
            time = case.get("median_us") or case["real_time"] * MICROSECONDS[case["time_unit"]]
            program = path.name.partition(".")[0]
            yield match.groupdict() | {"program": program, "us": time, "of": case.get("label", "")} | numbers_of(case)


def runs(folder):
    """What `hourglass train --profile` left: summary and profile of each run folder."""
    for path in sorted(folder.glob("runs/*")):
        found = {"name": path.name}
        for part in ("summary", "profile"):
            try:
                found[part] = json.loads(text(path / f"{part}.json"))
            except ValueError:  # a run that did not end
                pass
        yield found


def junit(path):
    match = re.search(r"<testsuite\b[^>]*>", text(path))
    if not match:
        return None
    return {name: int(value) for name, value in re.findall(r'\b(tests|failures|skipped)="(\d+)"', match.group())}


def collect(folder):
    found = list(cases(folder))
    stages = [line.split("\t") for line in text(folder / "stages.tsv").splitlines()]
    machine = text(folder / "machine.txt")
    return {
        "machine": machine,
        "emulated": "device: emulated" in machine,
        "stages": [dict(zip(("stage", "command", "status"), line)) | {"seconds": int(line[3])} for line in stages],
        "tests": junit(folder / "tests.xml"),
        "determinism": list(lines_of_json(folder / "determinism.jsonl")),
        "step": list(lines_of_json(folder / "step.jsonl")),
        "peers": [line for path in sorted(folder.glob("peers*.jsonl")) for line in lines_of_json(path)],
        "data": list(lines_of_json(folder / "data.jsonl")),
        "cases": [case for case in found if "failed" not in case],
        "cases_without_result": [case for case in found if "failed" in case],
        "runs": list(runs(folder)),
        "bound": next(lines_of_json(folder / "bound.json"), {}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    result = collect(options.results)
    (options.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "results.md").write_text(gpu_tables.markdown(result))


if __name__ == "__main__":
    main()
