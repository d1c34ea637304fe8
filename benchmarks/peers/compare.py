#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hourglass beside PyTorch on the CPU, in one run.

    benchmarks/peers/compare.py --build build/dev [step] [conv-step] [latent] [conv] [codebook]

Each case starts the peer, lets it warm up all its variants, then times ours and the peer in turn (A B A B ...), each on
as many threads. A row of the table is the median of the rounds, for the fastest PyTorch variant, and its ratio; `range`
is the lowest and highest ratio of a round, `spread` (max - min) / median of each side. Believe a ratio only if the
machine was idle: the load and the number of running processes are printed.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent
LAYERS = [f"C{i}" for i in range(1, 19)] + [f"T{i}" for i in range(1, 9)]  # of tests/cases/conv2d.h
CONV_BATCH = 128
CASES = {
    "step": ["128", "4096"],
    "conv-step": ["conv-vae", "conv-ae", "vqvae"],
    "latent": ["128x20", "4096x256", "39063x256"],
    "conv": [f"{layer}-{part}" for layer in LAYERS for part in ("forward", "backward")],
    "codebook": ["16384x64x8192", "16384x8x16384"],
}


def seconds_of_step(build, model, batch, threads, seconds):
    command = [build / "benchmarks/bench_step", "--device", "cpu", "--model", model, "--batch", str(batch)]
    command += ["--threads", str(threads), "--seconds", str(seconds)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return batch / json.loads(output)["images_per_second"]


def ours_step(build, batch, threads, seconds):
    """Seconds per step."""
    return seconds_of_step(build, "vae", int(batch), threads, seconds)


def ours_conv_step(build, network, threads, seconds):
    """Seconds per step."""
    return seconds_of_step(build, network, CONV_BATCH, threads, seconds)


def ours_latent(build, shape, threads, seconds):
    """Seconds for one forward and one backward."""
    device = "cpu" if threads == 1 else f"cpu-{threads}t"
    pattern = f"^gaussian_latent/philox_lanes/{shape}x1/f32/{device}(/|$)"  # x1: one draw a sample
    return microbenchmark(build / "benchmarks/bench_gaussian_latent", pattern, seconds / 2)


def ours_conv(build, case, threads, seconds):
    """Seconds for bias and relu fused forward, or for the three kernels of the backward pass together."""
    device = "cpu" if threads == 1 else f"cpu-{threads}t"
    layer, batch, part = case.split("-")
    names = ["conv2d_forward", "conv2d_backward_input"]
    forward, input_gradient = reversed(names) if is_transposed(layer) else names
    kernels = [f"{forward}/bias-relu"]
    if part == "backward":
        kernels = ["conv2d_backward_epilogue/relu", "conv2d_backward_weight/raw", f"{input_gradient}/raw"]
    program, total = build / "benchmarks/bench_conv2d", 0
    for kernel in kernels:
        pattern = f"^{kernel}/{layer}-{batch}/f32/{device}(/|$)"
        total += microbenchmark(program, pattern, seconds / 2 / len(kernels))
    return total


def ours_codebook(build, shape, threads, seconds):
    """Seconds for the exact indices and distances."""
    device = "cpu" if threads == 1 else f"cpu-{threads}t"
    pattern = f"^nearest_codebook/simd/{shape}/f32/{device}(/|$)"
    return microbenchmark(build / "benchmarks/bench_nearest_codebook", pattern, seconds / 2)


def is_transposed(layer):
    return layer.startswith("T") or layer in ("vae3", "vae4")


def with_batch(build, case):
    """C1-forward as C1-n128-forward, with the batch that our benchmark runs."""
    layer, part = case.split("-")
    command = [build / "benchmarks/bench_conv2d", "--benchmark_list_tests", f"--benchmark_filter=/{layer}-n"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(f"/({layer}-n[0-9]+)/", names)
    if not found:
        raise SystemExit(f"{case}: expected <layer>-forward or <layer>-backward, with a layer of {', '.join(LAYERS)}")
    return f"{found.group(1)}-{part}"


def microbenchmark(program, pattern, seconds):
    """Seconds per call of the one case of a benchmark program that matches."""
    command = [program, f"--benchmark_filter={pattern}", "--benchmark_format=json", f"--benchmark_min_time={seconds}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    (case,) = json.loads(output)["benchmarks"]
    return case["real_time"] * scale[case["time_unit"]]


class Peer:
    """A peer that serves one case."""

    def __init__(self, kind, case, threads, warm_up):
        option = {"step": "--batch", "conv-step": "--network", "conv": "--layer"}.get(kind, "--shape")
        script = FOLDER / f"pytorch_{kind.removeprefix('conv-')}.py"
        command = [sys.executable, script, "--serve", option, case, "--threads", str(threads), "--warm-up", str(warm_up)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.about = self.read()
        while not (line := self.read()).get("ready"):
            print(f"  left out: {line}", file=sys.stderr)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[1]} ended: run it by hand to see why")
        return json.loads(line)

    def seconds(self, seconds):
        """{variant: seconds per call}"""
        print(json.dumps({"seconds": seconds}), file=self.process.stdin, flush=True)
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def compare(kind, case, threads, options):
    ours_of = globals()[f"ours_{kind.replace('-', '_')}"]
    if kind == "conv":
        case = with_batch(options.build, case)
    ours, theirs = [], []
    with Peer(kind, case, threads, options.warm_up) as peer:
        about = peer.about
        for _ in range(options.rounds):
            ours.append(ours_of(options.build, case, threads, options.seconds))
            theirs.append(peer.seconds(options.seconds))
    medians = {name: statistics.median(result[name] for result in theirs) for name in theirs[0]}
    variant = min(medians, key=medians.get)
    best = [result[variant] for result in theirs]
    ratios = [b / a for a, b in zip(ours, best)]
    return {
        "benchmark": kind,
        "case": case,
        "threads": threads,
        "ours_seconds": statistics.median(ours),
        "peer_seconds": medians[variant],
        "variant": variant,
        "ratio": medians[variant] / statistics.median(ours),
        "ratios": ratios,
        "ours_all": ours,
        "peer_all": theirs,
        "about": about,
    }


def machine():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        model = re.search("model name\\s*: (.*)", text).group(1)
    except (OSError, AttributeError):
        model = platform.processor()
    running = len(re.findall("\\) R ", "\n".join(process_states())))
    return f"{model}, {os.cpu_count()} cores; load {os.getloadavg()[0]:.2f}, {running} running"


def process_states():
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            yield path.read_text()
        except OSError:  # ended meanwhile
            pass


def row(result):
    scale, unit = (1e6, "us") if result["ours_seconds"] < 1e-3 else (1e3, "ms")
    images = {"step": result["case"], "conv-step": CONV_BATCH}.get(result["benchmark"])
    rate = lambda seconds: f"{int(images) / seconds:,.0f} images/s" if images else ""
    spread = lambda values: f"{100 * (max(values) - min(values)) / statistics.median(values):.0f}%"
    peers = [result_[result["variant"]] for result_ in result["peer_all"]]
    cell = lambda seconds: f"{scale * seconds:.1f} {unit} {rate(seconds)}".strip()
    return [
        f"{result['benchmark']} {result['case']}",
        str(result["threads"]),
        cell(result["ours_seconds"]),
        cell(result["peer_seconds"]),
        result["variant"],
        f"{result['ratio']:.2f}",
        f"{min(result['ratios']):.2f}-{max(result['ratios']):.2f}",
        f"{spread(result['ours_all'])} {spread(peers)}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="*", metavar="|".join(CASES), help="default: step latent")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/dev"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cases", nargs="+", help="batch sizes or shapes instead of the usual ones")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each side in a round")
    parser.add_argument("--warm-up", type=float, default=3.0, help="of each PyTorch variant")
    parser.add_argument("--json", type=pathlib.Path, help="write every number here")
    options = parser.parse_args()
    unknown = set(options.benchmarks) - CASES.keys()
    if unknown:
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}: expected one of {', '.join(CASES)}")

    print(machine(), flush=True)
    results, rows = [], [["case", "threads", "hourglass", "pytorch", "variant", "ratio", "range", "spread"]]
    for kind in options.benchmarks or ["step", "latent"]:
        for case in options.cases or CASES[kind]:
            for threads in options.threads:
                results.append(compare(kind, case, threads, options))
                rows.append(row(results[-1]))
                print("  ".join(rows[-1]), flush=True)
    about = results[0]["about"]
    environment = " ".join(f"{name}={value}" for name, value in about["environment"].items())
    print(f"\nPyTorch {about['version']}, {about['cpu_capability']}, {environment}")
    print(about["config"])
    print(machine())
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    for line in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if line is rows[0]:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
