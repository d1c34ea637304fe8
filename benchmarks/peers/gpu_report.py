#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes results.json and results.md of what the stages of scripts/gpu.sh left so far; whatever is missing is left out."""

import argparse
import json
import pathlib
import re

NAME = re.compile(r"^(?P<op>[^/]+)/(?P<technique>[^/]+)/(?P<shape>[^/]+)/(?P<dtype>[^/]+)/(?P<device>[^/]+)")
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}


def text(path):
    return path.read_text() if path.exists() else ""


def lines_of_json(path):
    for line in text(path).splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # the last line of a command that ran out of time
            pass


def cases(folder):
    """Every benchmark case, flat."""
    for path in sorted(folder.glob("bench_*.json")):
        try:
            found = json.loads(path.read_text())["benchmarks"]
        except (ValueError, KeyError):  # a program that was stopped
            continue
        for case in found:
            match = NAME.match(case["name"])
            if not match or "error_message" in case:
                continue
            time = case.get("median_us") or case["real_time"] * MICROSECONDS[case["time_unit"]]
            numbers = {key: case[key] for key in ("GB/s", "GFLOP/s", "roofline_%", "spread_%") if key in case}
            yield match.groupdict() | {"us": time, "of": case.get("label", "")} | numbers


def is_ceiling(case):
    return case["op"] in ("copy", "multiply_add")


def table(header, rows):
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def kernel_rows(found):
    """A row for each op, shape and dtype: the best time of each column."""
    rows = {}
    for case in filter(lambda case: not is_ceiling(case), found):
        row = rows.setdefault((case["op"], case["shape"], case["dtype"]), {})
        if case["device"] in ("cuda", "emulated"):
            column = "device"
        else:
            column = "reference" if case["technique"] == "reference" else "cpu"
        if column not in row or case["us"] < row[column]["us"]:
            row[column] = case
    for key, row in rows.items():
        cell = lambda name: f"{row[name]['us']:.1f}" if name in row else ""
        device = row.get("device", {})
        share = f"{device['roofline_%']:.0f}% {device['of']}" if "roofline_%" in device else ""
        spread = f"{device['spread_%']:.0f}%" if "spread_%" in device else ""
        yield [*key, cell("reference"), cell("cpu"), cell("device"), share, spread]


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


def result_of(summary):
    for key in ("test_neg_elbo", "test_mse"):
        if key in summary:
            return f"{key[5:]} {summary[key]:.5g}"
    return ""


def training_parts(result):
    rows = [[run["name"], s["step"], f"{s['train_seconds']:.2f}", f"{s['images_per_second']:,.0f}",
             s.get("launches_per_step", ""), result_of(s)] for run in result["runs"] if (s := run.get("summary"))]
    if rows:
        header = ["run", "steps", "seconds", "images/s", "launches a step", "result"]
        yield from ["## Trainings", "", table(header, rows), ""]
    bound = result["bound"]
    if "iwae_bound" in bound:
        yield from ["Bound of vae-2506.07687 with {iwae_samples} importance samples: {iwae_bound:.2f}.".format(**bound), ""]
    for run in result["runs"]:
        if profile := run.get("profile"):
            rows = [[e["name"], " x ".join(map(str, e["shape"])), f"{e['forward_us']:.1f}", f"{e['backward_us']:.1f}",
                     f"{100 * (e['forward_us'] + e['backward_us']) / profile['microseconds']:.1f}%"]
                    for e in profile["entries"]]
            header = ["entry", "output", "forward us", "backward us", "share"]
            yield from [f"## A step of {run['name']}, eager: {profile['microseconds']:.0f} us", "", table(header, rows), ""]


def markdown(result):
    parts = ["# GPU run", "", "    " + result["machine"].strip().replace("\n", "\n    "), ""]
    if result["emulated"]:
        parts += ["**Emulated: a dry run without a GPU. No time of the device means anything.**", ""]
    summary = {}
    for stage in result["stages"]:
        counts = summary.setdefault(stage["stage"], {"passed": 0, "failed": 0, "timeout": 0, "skipped": 0, "seconds": 0})
        counts[stage["status"]] += 1
        counts["seconds"] += stage["seconds"]
    header = ["stage", "passed", "failed", "timeout", "skipped", "seconds"]
    parts += [table(header, [[name, *counts.values()] for name, counts in summary.items()]), ""]
    bad = [f"* {stage['stage']} {stage['command']}: {stage['status']}" for stage in result["stages"]
           if stage["status"] != "passed"]
    parts += [*bad, ""] if bad else []
    if result["tests"]:
        parts += ["Tests: {tests} run, {failures} failed, {skipped} skipped.".format(**result["tests"]), ""]
    steps = [[s["benchmark"].removeprefix("step/"), s["device"], s["form"], s["batch"], f"{s['step_us']:.1f}",
              f"{s['images_per_second']:,.0f}", s.get("launches", "")] for s in result["step"]]
    steps += [["vae-784-400-20", p["device"], "PyTorch " + p["variant"], p["batch"], f"{p['step_us']:.1f}",
               f"{1e6 * p['batch'] / p['step_us']:,.0f}", ""] for p in result["peers"] if "step_us" in p]
    if steps:
        header = ["network", "device", "form", "batch", "us a step", "images/s", "launches"]
        parts += ["## Training step", "", table(header, steps), ""]
    parts += [f"* PyTorch {p['variant']}, batch {p['batch']}: {p['failed']}" for p in result["peers"] if "failed" in p]
    parts += training_parts(result)
    ceilings = [[c["op"], c["technique"], c["shape"], c["device"], f"{c.get('GB/s', c.get('GFLOP/s', 0)):,.0f}",
                 "GB/s" if "GB/s" in c else "GFLOP/s"] for c in result["cases"] if is_ceiling(c)]
    if ceilings:
        header = ["ceiling", "by", "bytes or shape", "device", "rate", ""]
        parts += ["## Ceilings", "", table(header, ceilings), ""]
    rows = list(kernel_rows(result["cases"]))
    if rows:
        header = ["op", "shape", "dtype", "CPU reference us", "CPU us", "device us", "device's share", "spread"]
        parts += ["## Kernels", "", table(header, rows), ""]
    return "\n".join(parts) + "\n"


def junit(path):
    match = re.search(r"<testsuite\b[^>]*>", text(path))
    if not match:
        return None
    return {name: int(value) for name, value in re.findall(r'\b(tests|failures|skipped)="(\d+)"', match.group())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    stages = [line.split("\t") for line in text(options.results / "stages.tsv").splitlines()]
    machine = text(options.results / "machine.txt")
    result = {
        "machine": machine,
        "emulated": "device: emulated" in machine,
        "stages": [dict(zip(("stage", "command", "status"), line)) | {"seconds": int(line[3])} for line in stages],
        "tests": junit(options.results / "tests.xml"),
        "step": list(lines_of_json(options.results / "step.jsonl")),
        "peers": list(lines_of_json(options.results / "peers.jsonl")),
        "cases": list(cases(options.results)),
        "runs": list(runs(options.results)),
        "bound": next(lines_of_json(options.results / "bound.json"), {}),
    }
    (options.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "results.md").write_text(markdown(result))


if __name__ == "__main__":
    main()
