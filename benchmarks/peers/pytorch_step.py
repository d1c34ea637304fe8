#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One training step in PyTorch on the CPU: the work of benchmarks/bench_step.cpp, its networks in pytorch_networks.py.

Gather from resident uint8 images in a random order, scale to 0..1, forward, loss, backward, Adam. Variants: eager or
torch.compile (default or max-autotune) for loss and backward; Adam fused, foreach or compiled; for the convolutional
networks channels_last or contiguous memory. A call is a step.
"""

import pytorch_peer
from pytorch_networks import IMAGES, NETWORKS, PIXELS

FORMS = {  # mode of torch.compile, Adam
    "eager/adam-fused": (None, "fused"),
    "eager/adam-foreach": (None, "foreach"),
    "compile/adam-fused": ("default", "fused"),
    "compile/adam-compiled": ("default", "compiled"),
    "compile-max-autotune/adam-fused": ("max-autotune", "fused"),
}


def make_step(torch, network, batch, data, memory, mode, adam):
    layers, loss, after, _ = NETWORKS[network](torch, getattr(torch, memory))

    def loss_of(rows):
        return loss(data.index_select(0, rows).float() / 255)

    if mode:
        loss_of = torch.compile(loss_of, mode=mode, dynamic=False)
        after = after and torch.compile(after, mode=mode, dynamic=False)
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3, fused=adam == "fused", foreach=adam != "fused")
    update = torch.compile(optimizer.step) if adam == "compiled" else optimizer.step
    position, order = 0, torch.randperm(IMAGES)

    def step():
        nonlocal position, order
        if position + batch > IMAGES:
            position, order = 0, torch.randperm(IMAGES)
        optimizer.zero_grad()
        value, *seen = loss_of(order[position : position + batch])
        value.backward()
        update()
        if after:
            after(*seen)
        position += batch

    return step


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), default="vae")
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    data = torch.randint(0, 256, (IMAGES, PIXELS), dtype=torch.uint8)
    choices = {name: ("contiguous_format", *form) for name, form in FORMS.items()}
    if options.network != "vae":
        choices = {
            f"{memory}/{name}": (memory, *form)
            for memory in ("channels_last", "contiguous_format")
            for name, form in FORMS.items()
            if form[1] != "foreach"
        }
    makers = {
        name: lambda choice=choice: make_step(torch, options.network, options.batch, data, *choice)
        for name, choice in choices.items()
    }
    case = str(options.batch) if options.network == "vae" else options.network
    pytorch_peer.run(torch, options, case, makers)


if __name__ == "__main__":
    main()
