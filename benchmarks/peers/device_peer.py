# SPDX-License-Identifier: Apache-2.0
"""What the peers on a device share: options, a limit of time, lines of JSON, and the two ways of timing.

A step is timed by the wall clock, over blocks of steps that each end in one synchronisation. A kernel is timed by CUDA
events around replays of one captured graph of many calls, which go round sets of inputs larger than the cache, as
benchmarks/harness.h does it. A line is printed as soon as it is known. What fails, or has no time left, is a line with
the reason in "failed".
"""

import argparse
import contextlib
import json
import math
import signal
import statistics
import sys
import time

BEGIN = time.monotonic()  # of the program, so that its limit has the import of the framework in it
LANES = ("f32", "tf32", "bf16")


def arguments(description, limit, seconds=0.5):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run")
    parser.add_argument("--quick", action="store_true", help="a small case of each kind, as short as can be")
    parser.add_argument("--lanes", nargs="+", choices=LANES, default=list(LANES), help="precisions; default: all")
    parser.add_argument("--variants", nargs="+", default=[], help="only these, by name")
    parser.add_argument("--seconds", type=float, default=seconds, help="of measuring, for each line")
    parser.add_argument("--limit", type=float, default=limit, help="seconds for everything: what is left is not run")
    parser.add_argument("--each", type=float, default=60.0, help="seconds for a variant, its compiler included")
    return parser


def skip(reason):
    print(f"skipped: {reason}", file=sys.stderr)
    raise SystemExit(77)


def load_torch(device):
    """PyTorch, or exit 77 with the reason."""
    try:
        import torch
    except (ImportError, OSError) as error:
        skip(f"no PyTorch: {reason_of(error)}")
    if device == "cuda" and not torch.cuda.is_available():
        skip("this PyTorch sees no GPU")
    torch.manual_seed(0)
    if device == "cpu":
        torch.set_num_threads(1)  # a dry run beside other work
    else:
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.benchmark_limit = 0  # try every algorithm
        warm_up(torch)
    return torch


def warm_up(torch, seconds=1.0):
    """An idle GPU runs at a fraction of its clock."""
    a = torch.randn(2048, 2048, device="cuda")
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for _ in range(20):
            a @ a
        torch.cuda.synchronize()


def set_lane(torch, lane):
    """f32 is strict. What is left in single precision beside bf16 may use TF32, as its users do."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = lane != "f32"


def fresh(torch, compiles):
    """As if no variant had run before: once Dynamo has compiled one function too often, it silently runs it eagerly."""
    if compiles:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        torch._dynamo.config.fail_on_recompile_limit_hit = True
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reason_of(error):
    """The first line, and the second where the first announces it."""
    first, *rest = [line.strip() for line in (str(error) or repr(error)).splitlines() if line.strip()] or [repr(error)]
    return " ".join([first, *rest[:1]]) if first.endswith(":") else first


class OutOfTime(BaseException):
    """No Exception: compilers catch those and go on."""


@contextlib.contextmanager
def alarm(seconds):
    def ring(*_):
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # again, should the first be swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Run:
    """One run of a peer program: `attempt` measures and prints."""

    def __init__(self, options, peer, version):
        self.options = options
        self.about = {"peer": peer, "version": version, "device": options.device}

    def left(self):
        return BEGIN + self.options.limit - time.monotonic()

    def wanted(self, variant):
        return not self.options.variants or variant in self.options.variants

    def say(self, line):
        print(json.dumps(self.about | line), flush=True)

    def attempt(self, line, measure):
        """measure() gives more of the line: result_of(blocks), say."""
        if not self.wanted(line["variant"]):
            return
        seconds = min(self.options.each, self.left())
        try:
            if seconds <= 0:
                raise RuntimeError("not run: no time left")
            with alarm(seconds):
                line = line | measure()
        except OutOfTime:
            line = line | {"failed": f"given up after {seconds:.0f} s"}
        except Exception as error:
            line = line | {"failed": reason_of(error)}
        self.say(line)


def result_of(blocks):
    """Of seconds a step or call, one for each block."""
    middle = statistics.median(blocks)
    return {"us": 1e6 * middle, "spread": (max(blocks) - min(blocks)) / middle, "blocks": len(blocks)}


def check_news(values, what):
    """Of at least ten steps, so that a frozen one shows; now and then two single-precision sums agree by chance."""
    if any(value != value for value in values):
        raise RuntimeError(f"the {what} is not a number")
    if len(set(values)) < 0.8 * len(values):
        raise RuntimeError(f"the {what} repeats itself: {len(set(values))} values in {len(values)} steps")


def wall_blocks(call, wait, seconds, calls, steps=1):
    """Seconds a step: blocks of `calls` calls of `steps` steps and one `wait`, after one that does not count."""
    blocks, begin = [], None
    while begin is None or not blocks or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        if begin is None:
            begin = time.perf_counter()
        else:
            blocks.append((time.perf_counter() - start) / (calls * steps))
    return blocks


def rotation(torch, device, bytes_):
    """As benchmarks/device.cu: how many sets of inputs are larger than three times the cache."""
    if device == "cpu" or bytes_ < 4 << 20:
        return 1
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return int(min(max(3 * cache / bytes_ + 1, 2), 64))


def capture(torch, body, warm_ups):
    """(graph, what body() returned in the capture). Warm-ups run on a stream of their own, as PyTorch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm_ups):
            body()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = body()
    return graph, result


def kernel_blocks(torch, device, sets, seconds):
    """Seconds a call; `sets`: the same call on different inputs."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    for call in sets:
        call()
    wait()
    start = time.perf_counter()
    sets[0]()
    wait()
    calls = max(len(sets), min(20, math.ceil(0.1 / (time.perf_counter() - start))))

    def round_():
        for i in range(calls):
            sets[i % len(sets)]()

    if device == "cpu":
        return wall_blocks(round_, wait, seconds, 1, calls)
    graph, _ = capture(torch, round_, 1)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    blocks, begin = [], time.perf_counter()
    while len(blocks) < 4 or time.perf_counter() - begin < seconds:
        first.record()
        graph.replay()
        last.record()
        last.synchronize()
        blocks.append(1e-3 * first.elapsed_time(last) / calls)
    return blocks[1:]
