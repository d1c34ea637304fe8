#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of a run of scripts/gpu.sh: results.md, and README's table of GPU results from the newest results.json.

usage: gpu_tables.py RESULTS-FOLDER README     rewrites what stands between the two marks in README
"""

import json
import math
import pathlib
import statistics
import sys

BEGIN, END = "<!-- GPU results: begin -->", "<!-- GPU results: end -->"
LIBRARIES = ("cudnn", "cublaslt")  # techniques of a benchmark that are not ours
FUSED = "-bias-relu"
LARGE_BYTES = 64e6  # far from the latency of a launch, and beyond the cache when sets are rotated
DEVICES = ("cuda", "emulated")


def table(header, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def section(title, header, rows):
    rows = list(rows)
    return [f"## {title}", "", table(header, rows), ""] if rows else []


def is_ceiling(case):
    return case["program"] == "bench_ceiling"


def is_library(case):
    return case["technique"].startswith(LIBRARIES)


def network_of(step):
    return step["benchmark"].removeprefix("step/") if "benchmark" in step else step.get("workload", "").removeprefix("step/")


def geometric_mean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios)))


# ---------------------------------------------------------------- training steps


def steps(result):
    """{(network, batch, dtype): {"ours" | "pytorch" | "jax": [(us, variant)], fastest first}} on the device."""
    found = {}
    for step in result["step"]:
        if step["device"] in DEVICES:
            key = (network_of(step), step["batch"], step.get("dtype", "f32"))
            found.setdefault(key, {}).setdefault("ours", []).append((step["step_us"], step["form"]))
    for peer in result["peers"]:
        if "batch" in peer and "us" in peer and network_of(peer):
            key = (network_of(peer), peer["batch"], peer["dtype"])
            found.setdefault(key, {}).setdefault(peer["peer"], []).append((peer["us"], peer["variant"]))
    return {key: {side: sorted(times) for side, times in sides.items()} for key, sides in found.items()}


def step_rows(result):
    """A row a network, batch and precision: ours, and the best of each peer with its ratio."""
    for (network, batch, dtype), sides in steps(result).items():
        cells = []
        for side in ("ours", "pytorch", "jax"):
            if side not in sides:
                cells.append("")
                continue
            us, variant = sides[side][0]
            ratio = f", {us / sides['ours'][0][0]:.1f}x" if side != "ours" and "ours" in sides else ""
            cells.append(f"{us:.1f} ({variant}{ratio})")
        images = f"{1e6 * batch / sides['ours'][0][0]:,.0f}" if "ours" in sides else ""
        yield [network, batch, dtype, *cells, images]


def all_step_rows(result):
    for step in result["step"]:
        yield [network_of(step), step["device"], step["form"], step.get("dtype", "f32"), step["batch"],
               f"{step['step_us']:.1f}", f"{step['images_per_second']:,.0f}", step.get("launches", "")]
    for peer in result["peers"]:
        if "batch" in peer and "us" in peer:
            yield [network_of(peer), peer["device"], f"{peer['peer']} {peer['variant']}", peer["dtype"], peer["batch"],
                   f"{peer['us']:.1f}", f"{1e6 * peer['batch'] / peer['us']:,.0f}", ""]


# ---------------------------------------------------------------- kernels


def kernels(result):
    """{(op, shape, dtype): {"reference" | "cpu" | "device" | "library": the fastest case}}. What a case has fused counts as
    another op, so that like meets like."""
    rows = {}
    for case in result["cases"]:
        if is_ceiling(case):
            continue
        op = case["op"] + (" + bias + relu" if case["technique"].endswith(FUSED) else "")
        row = rows.setdefault((op, case["shape"], case["dtype"]), {})
        if case["device"] in DEVICES:
            column = "library" if is_library(case) else "device"
        else:
            column = "reference" if case["technique"] == "reference" else "cpu"
        if column not in row or case["us"] < row[column]["us"]:
            row[column] = case
    return rows


def peer_calls(result):
    """{(workload, shape, dtype): [(us, who)], fastest first} of the peers' single calls."""
    found = {}
    for peer in result["peers"]:
        if "shape" in peer and "us" in peer:
            key = (peer["workload"], peer["shape"], peer["dtype"])
            found.setdefault(key, []).append((peer["us"], f"{peer['peer']} {peer['variant']}"))
    return {key: sorted(times) for key, times in found.items()}


# The benchmark's op of a peer's workload.
OPS = {"lookup": "nearest_codebook", "latent": "gaussian_latent"}


def calls(result):
    """(workload, shape, dtype, the peers' times, our case or none): ours of the same type, else in f32."""
    ours = kernels(result)
    for (workload, shape, dtype), times in peer_calls(result).items():
        rows = [ours.get((OPS.get(workload, workload), shape, own), {}) for own in (dtype, "f32")]
        yield workload, shape, dtype, times, rows[0].get("device") or rows[1].get("device")


def call_rows(result):
    """A row a peer's workload, shape and type: our kernel, the best peer, the ratio."""
    for workload, shape, dtype, times, device in calls(result):
        mine = f"{device['us']:.1f} in {device['dtype']}" if device else ""
        ratio = f"{times[0][0] / device['us']:.1f}x" if device else ""
        yield [workload, shape, dtype, mine, f"{times[0][0]:.1f}", times[0][1], ratio]


def kernel_rows(result):
    cell = lambda row, name: f"{row[name]['us']:.1f}" if name in row else ""
    for (op, shape, dtype), row in kernels(result).items():
        device = row.get("device", {})
        share = f"{device['roofline_%']:.0f}% {device['of'].split(';')[0]}" if "roofline_%" in device else ""
        spread = ", ".join(f"{device[name]:.0f}%" for name in ("spread_%", "aa_%") if name in device)
        # After the semicolon stands which of the library's algorithms won.
        library = f"{row['library']['us']:.1f}{row['library']['of'].partition(';')[2]}" if "library" in row else ""
        ratio = f"{row['library']['us'] / device['us']:.2f}x" if "library" in row and device else ""
        technique = device.get("technique", "").removesuffix(FUSED)
        yield [op, shape, dtype, cell(row, "reference"), cell(row, "cpu"), cell(row, "device"), technique, share, spread,
               library, ratio]


def ceiling_rows(result):
    for case in filter(is_ceiling, result["cases"]):
        known = {"roofline_%", "spread_%", "aa_%", "us", "op", "technique", "shape", "dtype", "device", "of", "program"}
        rates = ", ".join(f"{value:,.4g} {unit}" for unit, value in case.items() if unit not in known)
        yield [case["op"], case["technique"], case["shape"], case["dtype"], case["device"], f"{case['us']:.3g}", rates]


# ---------------------------------------------------------------- headlines


def library_headlines(result):
    """Ours beside the library: the geometric mean over all shapes that both ran."""
    ratios = {}
    for (op, _, dtype), row in kernels(result).items():
        if "library" in row and "device" in row:
            name = row["library"]["technique"].split("-")[0]
            ratios.setdefault((op, dtype, name), []).append(row["library"]["us"] / row["device"]["us"])
    for (op, dtype, name), values in sorted(ratios.items()):
        yield [f"{op}, {dtype}, geometric mean of {len(values)} shapes", "", f"{geometric_mean(values):.2f}x {name}'s speed"]


def call_headlines(result):
    ratios = {}
    for workload, _, dtype, times, device in calls(result):
        if device:
            ratios.setdefault((workload, device["dtype"], dtype), []).append(times[0][0] / device["us"])
    for (workload, own, dtype), values in sorted(ratios.items()):
        what = f"{workload}, geometric mean of {len(values)} shapes"
        yield [what, f"in {own}", f"{geometric_mean(values):.2f}x the speed of the best peer in {dtype}"]


def bandwidth_headline(result):
    shares = [(row["device"]["roofline_%"], op) for (op, _, _), row in kernels(result).items()
              if row.get("device", {}).get("of", "").startswith("of copy") and
              1e3 * row["device"].get("GB/s", 0) * row["device"]["us"] >= LARGE_BYTES]
    if shares:
        median, (least, op) = statistics.median(share for share, _ in shares), min(shares)
        yield [f"memory-bound kernels, share of a copy's bandwidth, {len(shares)} cases of 64 MB and more",
               f"median {median:.0f}%, least {least:.0f}% ({op})", ""]


def headlines(result):
    """Rows (what, Hourglass, the best rival), for results.md and README."""
    for (network, batch, dtype), sides in steps(result).items():
        if "ours" in sides:
            us, form = sides["ours"][0]
            rivals = [f"{times[0][0]:.1f} us, {peer} {times[0][1]} ({times[0][0] / us:.1f}x)"
                      for peer, times in sides.items() if peer != "ours"]
            yield [f"training step of {network}, batch {batch}, {dtype}", f"{us:.1f} us, {form}", "; ".join(rivals)]
    for run in result["runs"]:
        summary = run.get("summary", {})
        if summary.get("step", 0) >= 100000:
            bound = "; bound {iwae_bound:.2f}".format(**result["bound"]) if "iwae_bound" in result["bound"] else ""
            yield [f"{run['name']}, {summary['step']:,} steps", f"{summary['train_seconds']:.1f} s{bound}", ""]
    yield from bandwidth_headline(result)
    yield from library_headlines(result)
    yield from call_headlines(result)
    if result["determinism"]:
        examined = [model for model in result["determinism"] if model.get("failed") != "out of time"]
        good, late = sum(bool(model.get("ok")) for model in examined), len(result["determinism"]) - len(examined)
        yield ["models whose runs all have one hash, captured or eager, and follow the CPU's curve",
               f"{good} of {len(examined)}" + (f"; {late} not reached" if late else ""), ""]


HEADLINE = ["what", "Hourglass", "the best rival"]


# ---------------------------------------------------------------- results.md


def result_of(summary):
    for key in ("test_neg_elbo", "test_mse"):
        if key in summary:
            return f"{key[5:]} {summary[key]:.5g}"
    return ""


def training_parts(result):
    rows = [[run["name"], s["step"], f"{s['train_seconds']:.2f}", f"{s['images_per_second']:,.0f}",
             s.get("launches_per_step", ""), result_of(s)] for run in result["runs"] if (s := run.get("summary"))]
    yield from section("Trainings", ["run", "steps", "seconds", "images/s", "launches a step", "result"], rows)
    if "iwae_bound" in result["bound"]:
        line = "Bound of vae-2506.07687 with {iwae_samples} importance samples: {iwae_bound:.2f}."
        yield from [line.format(**result["bound"]), ""]
    for run in result["runs"]:
        if profile := run.get("profile"):
            rows = [[e["name"], " x ".join(map(str, e["shape"])), f"{e['forward_us']:.1f}", f"{e['backward_us']:.1f}",
                     f"{100 * (e['forward_us'] + e['backward_us']) / profile['microseconds']:.1f}%"]
                    for e in profile["entries"]]
            header = ["entry", "output", "forward us", "backward us", "share"]
            yield from section(f"A step of {run['name']}, eager: {profile['microseconds']:.0f} us", header, rows)


def stage_parts(result):
    summary = {}
    for stage in result["stages"]:
        counts = summary.setdefault(stage["stage"], {"passed": 0, "failed": 0, "timeout": 0, "skipped": 0, "seconds": 0})
        counts[stage["status"]] += 1
        counts["seconds"] += stage["seconds"]
    header = ["stage", "passed", "failed", "timeout", "skipped", "seconds"]
    yield from [table(header, [[name, *counts.values()] for name, counts in summary.items()]), ""]
    bad = [f"* {stage['stage']} {stage['command']}: {stage['status']}" for stage in result["stages"]
           if stage["status"] != "passed"]
    yield from [*bad, ""] if bad else []
    if result["tests"]:
        yield from ["Tests: {tests} run, {failures} failed, {skipped} skipped.".format(**result["tests"]), ""]


def determinism_rows(result):
    for model in result["determinism"]:
        yield [model["model"], model["precision"], model.get("runs", ""), model.get("hashes", ""),
               model.get("eager_equals_captured", ""), f"{model.get('curve_max_relative_difference', math.nan):.1e}",
               model.get("tolerance", ""), "yes" if model.get("ok") else f"NO {model.get('failed', '')}"]


def markdown(result):
    parts = ["# GPU run", "", "    " + result["machine"].strip().replace("\n", "\n    "), ""]
    if result["emulated"]:
        parts += ["**Emulated: a dry run without a GPU. No time of the device means anything.**", ""]
    parts += section("Headlines", HEADLINE, headlines(result))
    parts += ["## Stages", "", *stage_parts(result)]
    header = ["model", "precision", "runs", "hashes", "eager = captured", "from the CPU's curve", "allowed", "good"]
    parts += section("Determinism", header, determinism_rows(result))
    header = ["network", "batch", "dtype", "Hourglass us", "PyTorch us", "JAX us", "our images/s"]
    parts += section("Training step, the best of each", header, step_rows(result))
    header = ["network", "device", "form", "dtype", "batch", "us a step", "images/s", "launches"]
    parts += section("Training step, all forms", header, all_step_rows(result))
    failed = [f"* {p['peer']} {p.get('variant', '')}, {p.get('workload', '')} {p.get('batch') or p.get('shape', '')}: "
              f"{p['failed']}" for p in result["peers"] if "failed" in p]
    parts += ["Peers that could not run:", "", *failed, ""] if failed else []
    parts += training_parts(result)
    parts += section("Ceilings", ["ceiling", "by", "bytes or shape", "dtype", "device", "us", "rate"], ceiling_rows(result))
    parts += section("Beside the peers' calls",
                     ["call", "shape", "dtype", "device us", "the best peer's us", "by", "ratio"], call_rows(result))
    header = ["op", "shape", "dtype", "CPU reference us", "CPU us", "device us", "by", "of the ceiling", "spread, A/A",
              "library us", "ratio"]
    parts += section("Kernels", header, kernel_rows(result))
    rows = [[case["op"], case["technique"], case["shape"], case["dtype"], case["failed"]]
            for case in result["cases_without_result"]]
    parts += section("Cases that could not run here", ["op", "by", "shape", "dtype", "why"], rows)
    rows = [[d["benchmark"].removeprefix("data/"), d["threads"], f"{d['images_per_second']:,.0f}"] for d in result["data"]]
    parts += section("Images on their way to a step", ["source", "CPU threads", "images/s"], rows)
    return "\n".join(parts)


# ---------------------------------------------------------------- README


def newest(folder):
    """The results.json measured last on a card, or none."""
    found = [(path.parent.name[-10:], path) for path in folder.glob("*/results.json")]
    for _, path in sorted(found, reverse=True):
        result = json.loads(path.read_text())
        if not result["emulated"]:
            return path, result
    return None


def readme_part(folder):
    found = newest(folder)
    if not found:
        return "No GPU run yet: every figure of a GPU is not yet measured. `scripts/gpu.sh` makes the table."
    path, result = found
    lines = dict(line.split(": ", 1) for line in result["machine"].splitlines() if ": " in line)
    where = f"{lines.get('device', '').split(',')[0]}, commit {lines.get('commit', '')}: [all of it]({path.parent.as_posix()}/results.md)."
    return "\n".join([table(HEADLINE, headlines(result)), "", where])


def main():
    folder, readme = map(pathlib.Path, sys.argv[1:3])
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{readme_part(folder)}\n{END}{after}")


if __name__ == "__main__":
    main()
