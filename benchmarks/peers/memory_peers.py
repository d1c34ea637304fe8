#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Work that memory bounds, in PyTorch on the GPU, at the sizes of our benchmarks: microseconds a call.

latent: reparameterized sample and Gaussian KL, forward and backward, new noise in every pass
(bench_gaussian_latent.cpp; rows x columns x draws). adam: one update of a flat slab of parameters (bench_optimizer.cpp;
elements `in` ranges). Variants: eager (Adam: foreach, and fused) and
torch.compile. A JSON line each.
"""

import sys

import device_peer
import pytorch_latent

LATENT = ["128x20x1", "4096x256x1", "39063x256x1"]
ADAM = ["652824in1", "16777216in1"]
ADAM_OPTIONS = {"eager": {"foreach": True}, "fused": {"fused": True}, "compile": {"foreach": True}}


def latent_sets(torch, shape, lane, mode, device):
    rows, columns, _ = (int(extent) for extent in shape.split("x"))
    dtype = torch.bfloat16 if lane == "bf16" else torch.float32
    forward = pytorch_latent.make_forward(torch, mode)
    count = device_peer.rotation(torch, device, 8 * rows * columns * dtype.itemsize)
    make = lambda: pytorch_latent.make_call(torch, (rows, columns), forward, device=device, dtype=dtype)
    return [make() for _ in range(count)]


def adam_sets(torch, shape, variant, device):
    elements = int(shape.split("in")[0])
    capturable = {"capturable": True} if device == "cuda" else {}

    def make():
        slab = torch.randn(elements, device=device, requires_grad=True)
        slab.grad = torch.randn(elements, device=device)
        optimizer = torch.optim.Adam([slab], lr=1e-3, **ADAM_OPTIONS[variant], **capturable)
        return torch.compile(optimizer.step) if variant == "compile" else optimizer.step

    # Dynamo would compile the step of every set anew: one set, which the cache may hold.
    count = 1 if variant == "compile" else device_peer.rotation(torch, device, 28 * elements)
    return [make() for _ in range(count)]


def measure(torch, options, variant, make):
    device_peer.fresh(torch, "compile" in variant)
    blocks = device_peer.kernel_blocks(torch, options.device, make(), options.seconds)
    return device_peer.result_of(blocks)


def main():
    parser = device_peer.arguments(__doc__, limit=40, seconds=0.2)
    options = parser.parse_args()
    torch = device_peer.load_torch(options.device)
    run = device_peer.Run(options, "pytorch", torch.__version__)
    latent, adam, modes, rules = LATENT, ADAM, pytorch_latent.MODES, list(ADAM_OPTIONS)
    if options.quick:
        options.seconds, latent, adam, modes, rules = 0, ["4x20x1"], ["100in1"], ["eager"], ["fused"]
    for shape in latent:
        for lane in [lane for lane in options.lanes if lane != "tf32"]:
            for mode in modes:
                make = lambda: latent_sets(torch, shape, lane, mode, options.device)
                work = lambda: measure(torch, options, mode, make)
                run.attempt({"workload": "latent", "variant": mode, "dtype": lane, "shape": shape}, work)
    for shape in adam if "f32" in options.lanes else []:
        for rule in rules:
            make = lambda: adam_sets(torch, shape, rule, options.device)
            work = lambda: measure(torch, options, rule, make)
            run.attempt({"workload": "adam", "variant": rule, "dtype": "f32", "shape": shape}, work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
