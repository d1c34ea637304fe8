#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The training steps of benchmarks/bench_step.cpp in PyTorch on the GPU: microseconds a step, a JSON line each.

Data, order and position are on the device: a step gathers uint8 rows, scales them, runs loss and backward, then the
fused, capturable Adam. Forms: eager; loss and backward by torch.compile (default, reduce-overhead, max-autotune); the
whole step, gather, optimizer and all, as one CUDA graph captured by hand, of one or several steps, with an eager or a
compiled body. Precisions: f32 (strict), tf32, bf16 (autocast; `bf16-weights`: no master weights, which is less work
than ours). Networks with convolutions: channels_last, and contiguous for one form; cudnn.benchmark tries every
algorithm. Every step must draw new noise and take a new batch, also between replays, or its line says so. Cheap forms
of everything go first, and max-autotune last.
"""

import sys
from typing import NamedTuple, Optional

import device_peer
from pytorch_networks import IMAGES, NETWORKS, PIXELS

BATCHES = {"vae": [128, 4096], "conv-vae": [128], "conv-ae": [128], "vqvae": [128]}
TITLES = {"vae": "vae-784-400-20"}
SEVERAL = 16  # steps of one graph


class Form(NamedTuple):
    mode: Optional[str] = None  # of torch.compile
    graph: int = 0  # steps in the graph captured by hand; 0: none
    weights: str = "float32"
    memory: str = "channels_last"


STAGES = [  # by what a form costs to compile
    {
        "eager": Form(),
        "graph-by-hand": Form(graph=1),
        f"graph-by-hand-x{SEVERAL}": Form(graph=SEVERAL),
        f"graph-by-hand-x{SEVERAL}-bf16-weights": Form(graph=SEVERAL, weights="bfloat16"),
        "contiguous/graph-by-hand": Form(graph=1, memory="contiguous_format"),
    },
    {
        f"graph-by-hand-compiled-x{SEVERAL}": Form("default", graph=SEVERAL),
        "graph-by-hand-compiled": Form("default", graph=1),
        f"graph-by-hand-compiled-x{SEVERAL}-bf16-weights": Form("default", graph=SEVERAL, weights="bfloat16"),
        "compile-reduce-overhead": Form("reduce-overhead"),
        "compile": Form("default"),
    },
    {
        f"graph-by-hand-max-autotune-x{SEVERAL}": Form("max-autotune-no-cudagraphs", graph=SEVERAL),
        "graph-by-hand-max-autotune": Form("max-autotune-no-cudagraphs", graph=1),
        "compile-max-autotune": Form("max-autotune"),
    },
]


def applies(form, network, lane, device):
    if form.weights == "bfloat16" and lane != "bf16":
        return False
    if form.memory == "contiguous_format" and network == "vae":
        return False  # no convolutions: there is one memory format
    return device == "cuda" or form in (Form(), Form("default"))


def make_step(torch, network, device, batch, lane, form):
    """step() trains once and returns the loss and the noise (None without noise)."""
    memory, dtype = getattr(torch, form.memory), getattr(torch, form.weights)
    with torch.device(device):
        layers, loss, after, state = NETWORKS[network](torch, memory)
        data = torch.randint(0, 256, (IMAGES, PIXELS), dtype=torch.uint8)
        order, column = torch.randperm(IMAGES), torch.arange(batch)
        position = torch.zeros((), dtype=torch.int64)
    layers.to(dtype)
    autocast = lane == "bf16" and dtype == torch.float32

    def loss_of():
        rows = order.index_select(0, (position + column) % IMAGES)
        x = (data.index_select(0, rows).float() / 255).to(dtype)
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            return loss(x)

    if form.mode:
        for fixed in (data, order, column, position, *state):  # else reduce-overhead copies them in before each step
            torch._dynamo.mark_static_address(fixed)
        loss_of = torch.compile(loss_of, mode=form.mode, dynamic=False)
        after = after and torch.compile(after, mode=form.mode, dynamic=False)
    options = {"fused": True, "capturable": True} if device == "cuda" else {}
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3, **options)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value, *seen = loss_of()
        value.backward()
        optimizer.step()
        if after:
            after(*seen)
        position.add_(batch)
        return value.detach(), None if after or not seen else seen[0]

    return step


def check_news(call):
    """Ten calls, each of which gives the steps it made: no frozen batch and no frozen noise."""
    values, noises = [], []
    for _ in range(10):
        for value, noise in call():
            values.append(value.item())
            noises += [] if noise is None else [noise.double().sum().item()]
    device_peer.check_news(values, "loss")
    device_peer.check_news(noises, "noise")


def measure(torch, network, batch, lane, form, options):
    device_peer.fresh(torch, form.mode is not None)
    device_peer.set_lane(torch, lane)
    step = make_step(torch, network, options.device, batch, lane, form)
    wait, call, steps = (lambda: None), step, max(1, form.graph)
    if form.graph:
        graph, made = device_peer.capture(torch, lambda: [step() for _ in range(form.graph)], max(2, 11 // form.graph))
        call = graph.replay
        check_news(lambda: (graph.replay(), made)[1])
    else:
        check_news(lambda: [step()])
    calls = max(1, 200 // steps)
    if options.device == "cuda":
        wait = torch.cuda.synchronize
    else:
        calls = 2 if options.quick else 20
    result = device_peer.result_of(device_peer.wall_blocks(call, wait, options.seconds, calls, steps))
    if form.mode in ("reduce-overhead", "max-autotune"):  # more than none: it was not a graph
        result["cudagraph_skips"] = torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]
    return result | {"step_us": result["us"]}


def main():
    parser = device_peer.arguments(__doc__, limit=190)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=["vae"])
    parser.add_argument("--batches", type=int, nargs="+", help="default: those of bench_step")
    options = parser.parse_args()
    torch = device_peer.load_torch(options.device)
    run = device_peer.Run(options, "pytorch", torch.__version__)
    stages = STAGES
    if options.quick:
        options.seconds, options.batches, stages = 0, [4], [{"eager": Form(), "graph-by-hand": Form(graph=1)}]
    for stage in stages:
        for name, form in stage.items():
            for network in options.networks:
                for batch in options.batches or BATCHES[network]:
                    for lane in options.lanes:
                        if applies(form, network, lane, options.device):
                            line = {"workload": f"step/{TITLES.get(network, network)}", "variant": name, "dtype": lane}
                            work = lambda: measure(torch, network, batch, lane, form, options)
                            run.attempt(line | {"batch": batch}, work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
