#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One training step of the 784-400-20 VAE in PyTorch on the CPU: the work of benchmarks/bench_step.cpp.

Gather from resident uint8 images in a random order, scale to 0..1, forward, binary cross-entropy with logits plus KL
(sums over a sample, mean over the batch), backward, Adam. The head is fused (mu and logvar are one layer), which is
faster than two layers. Variants: eager or torch.compile (default or max-autotune) for loss and backward; Adam fused,
foreach or compiled. A call is a step.
"""

import pytorch_peer

IMAGES, PIXELS, HIDDEN, LATENT = 60000, 784, 400, 20


def make_step(torch, batch, data, mode, adam):
    functional = torch.nn.functional
    layers = torch.nn.ModuleList(
        torch.nn.Linear(*sizes) for sizes in [(PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, PIXELS)]
    )

    def loss(rows):
        x = data.index_select(0, rows).float() / 255
        mu, logvar = layers[1](functional.relu(layers[0](x))).chunk(2, 1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        logits = layers[3](functional.relu(layers[2](z)))
        reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (reconstruction + 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum()) / batch

    if mode:
        loss = torch.compile(loss, mode=mode, dynamic=False)
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-3, fused=adam == "fused", foreach=adam != "fused")
    update = torch.compile(optimizer.step) if adam == "compiled" else optimizer.step
    position, order = 0, torch.randperm(IMAGES)

    def step():
        nonlocal position, order
        if position + batch > IMAGES:
            position, order = 0, torch.randperm(IMAGES)
        optimizer.zero_grad()
        loss(order[position : position + batch]).backward()
        update()
        position += batch

    return step


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    data = torch.randint(0, 256, (IMAGES, PIXELS), dtype=torch.uint8)
    variants = {
        "eager/adam-fused": (None, "fused"),
        "eager/adam-foreach": (None, "foreach"),
        "compile/adam-fused": ("default", "fused"),
        "compile/adam-compiled": ("default", "compiled"),
        "compile-max-autotune/adam-fused": ("max-autotune", "fused"),
    }
    makers = {
        name: lambda choice=choice: make_step(torch, options.batch, data, *choice) for name, choice in variants.items()
    }
    pytorch_peer.run(torch, options, str(options.batch), makers)


if __name__ == "__main__":
    main()
