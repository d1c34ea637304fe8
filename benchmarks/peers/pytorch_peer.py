# SPDX-License-Identifier: Apache-2.0
"""What the PyTorch peers share: a process that holds its warm variants and times them when asked.

A peer runs one case (compiled code is specialised for its shape and number of threads). It prints a JSON line that says
what it is, warms up, prints {"ready": true}, then answers each line of its input, {"seconds": S}, with the seconds per
call of each variant; compare.py asks it in turn with our program. Run by hand it asks itself, `--rounds` times.
"""

import argparse
import json
import os
import statistics
import sys
import time
import warnings


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="rounds when run by hand")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds for each variant and round")
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds for each variant")
    parser.add_argument("--variants", default="", help="comma-separated names; default: all")
    parser.add_argument("--serve", action="store_true", help="answer lines of the standard input")
    return parser


ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",  # spinning threads collapse when any other process holds a core
    "MALLOC_MMAP_MAX_": "0",  # keep freed memory: else every large temporary is mapped and zeroed anew
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


def start(threads):
    """Imports PyTorch with its threads set, in a process whose environment has ENVIRONMENT's names (yours win)."""
    missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | missing)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return torch


def about(torch):
    return {
        "peer": "pytorch",
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "config": " ".join(torch.__config__.show().split()),
        "parallel": " ".join(torch.__config__.parallel_info().split()),
    }


def seconds_per_call(call, seconds):
    """Wall clock over whole calls for at least `seconds`."""
    begin, calls, batch = time.perf_counter(), 0, 1
    while True:
        for _ in range(batch):
            call()
        calls += batch
        elapsed = time.perf_counter() - begin
        if elapsed >= seconds:
            return elapsed / calls
        batch = max(1, min(1000, int(calls / elapsed * 0.05)))


def run(torch, options, case, variants):
    """variants: {name: function that makes a callable}. After the warm-up the slow ones are dropped."""
    say = lambda value: print(json.dumps(value), flush=True)
    say(about(torch) | {"case": case})
    wanted = [name for name in options.variants.split(",") if name] or list(variants)
    warm = {}
    for name in wanted:
        try:
            call = variants[name]()
            call()
            call()
            seconds_per_call(call, options.warm_up / 2)
            warm[name] = (seconds_per_call(call, options.warm_up / 2), call)
        except Exception as error:  # a variant that this PyTorch cannot build is reported, and left out
            say({"variant": name, "failed": str(error).splitlines()[0]})
    limit = 1.5 * min(seconds for seconds, _ in warm.values())
    kept = {name: call for name, (seconds, call) in warm.items() if seconds <= limit}
    say({"ready": True, "warm_up": {name: seconds for name, (seconds, _) in warm.items()}})
    measure = lambda seconds: {name: seconds_per_call(call, seconds) for name, call in kept.items()}
    if options.serve:
        for line in sys.stdin:
            say(measure(json.loads(line)["seconds"]))
        return
    rounds = [measure(options.seconds) for _ in range(options.rounds)]
    for name in kept:
        values = [result[name] for result in rounds]
        say({"case": case, "variant": name, "seconds": statistics.median(values), "all": values})
