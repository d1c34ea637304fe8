#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One training step of the 784-400-20 VAE in PyTorch on the GPU: the work of benchmarks/bench_step.cpp.

Prints a JSON line for each variant and batch size: microseconds a step over whole blocks, each ended by one
synchronisation. Variants: eager; torch.compile (default, reduce-overhead, max-autotune) for loss and backward; the whole
step, gather, optimizer and all, as one CUDA graph captured by hand. Adam is fused; products are strict fp32. A captured
step must draw new noise in every replay, or its line says so.
"""

import argparse
import json
import statistics
import sys
import time

IMAGES, PIXELS, HIDDEN, LATENT = 60000, 784, 400, 20
BODIES = {"compile": "default", "compile-reduce-overhead": "reduce-overhead", "compile-max-autotune": "max-autotune"}


def make(torch, device, batch, mode, capturable):
    """(step, parameters): `step()` trains once on the next rows, which the device itself counts."""
    functional = torch.nn.functional
    sizes = [(PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, PIXELS)]
    layers = torch.nn.ModuleList(torch.nn.Linear(*size) for size in sizes).to(device)
    data = torch.randint(0, 256, (IMAGES, PIXELS), dtype=torch.uint8, device=device)
    order = torch.randperm(IMAGES, device=device)
    position = torch.zeros((), dtype=torch.int64, device=device)
    column = torch.arange(batch, device=device)

    def loss():
        x = data.index_select(0, order.index_select(0, (position + column) % IMAGES)).float() / 255
        mu, logvar = layers[1](functional.relu(layers[0](x))).chunk(2, 1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        logits = layers[3](functional.relu(layers[2](z)))
        reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (reconstruction + 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum()) / batch

    body = torch.compile(loss, mode=mode, dynamic=False) if mode else loss
    options = {"fused": True, "capturable": capturable} if device == "cuda" else {}
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3, **options)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = body()
        value.backward()
        optimizer.step()
        position.add_(batch)
        return value

    return step


def capture(torch, step):
    """The step as one graph; the value it returns, read between replays, must change."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(11):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = step()
    seen = set()
    for _ in range(3):
        graph.replay()
        seen.add(value.item())
    if len(seen) < 3:
        raise RuntimeError("the captured step repeats itself: its noise or batch is frozen")
    return graph.replay


def measure(torch, device, call, seconds, steps):
    """Seconds a step: a block of steps and one synchronisation, as often as `seconds` allow."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    for _ in range(steps):
        call()
    wait()
    blocks, begin = [], time.perf_counter()
    while not blocks or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(steps):
            call()
        wait()
        blocks.append((time.perf_counter() - start) / steps)
    return blocks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run of eager and one mode")
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 4096])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true", help="one small batch, eager alone, two steps")
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 77
    if options.device == "cuda" and not torch.cuda.is_available():
        print("skipped: this PyTorch sees no GPU", file=sys.stderr)
        return 77
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    names = ["eager"]
    if options.device == "cuda" and not options.quick:
        names += ["graph-by-hand", *BODIES, "graph-by-hand-compiled"]
    batches, steps = ([4], 2) if options.quick else (options.batches, 200)
    for batch in batches:
        for name in names:
            line = {"peer": "pytorch", "version": torch.__version__, "device": options.device, "batch": batch}
            line |= {"variant": name}
            try:
                by_hand = name.startswith("graph-by-hand")
                mode = "max-autotune-no-cudagraphs" if name == "graph-by-hand-compiled" else BODIES.get(name)
                call = make(torch, options.device, batch, mode, by_hand)
                if by_hand:
                    call = capture(torch, call)
                blocks = measure(torch, options.device, call, 0 if options.quick else options.seconds, steps)
                line |= {"step_us": 1e6 * statistics.median(blocks), "blocks": len(blocks)}
                line |= {"spread": (max(blocks) - min(blocks)) / statistics.median(blocks)}
            except Exception as error:  # a variant that this PyTorch cannot run is reported, and left out
                line |= {"failed": (str(error) or repr(error)).splitlines()[0]}
            print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
