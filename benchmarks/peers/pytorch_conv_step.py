#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One training step of a convolutional network in PyTorch on the CPU: the work of benchmarks/bench_step.cpp.

conv-vae: convolutions 4x4 of stride 2, 1-32 and 32-64, 20 latents, and the mirror by transposed convolutions (preset
conv-vae). conv-ae: 3x3x32 convolutions with max pooling and nearest upsampling (preset keras-conv). vqvae: the default VQ-VAE, its
nearest codes by addmm and argmin, its moving averages by bincount and index_add, without restarts; mean squared error plus
commitment loss. Gather from resident
uint8 images in a random order, scale to 0..1, forward, binary cross-entropy with logits (and KL; sums over a sample, mean
over the batch), backward, Adam. Variants: channels_last or contiguous memory; eager or torch.compile (default or
max-autotune); Adam fused or compiled. With channels_last the code is flattened in memory order, which copies nothing. A
call is a step.
"""

import pytorch_peer

IMAGES, SIDE, LATENT, GRID, CHANNELS = 60000, 28, 20, 7, 64


def make_conv_vae(torch, memory):
    functional = torch.nn.functional
    nhwc = memory == torch.channels_last
    layers = torch.nn.ModuleList([
        torch.nn.Conv2d(1, 32, 4, 2, 1),
        torch.nn.Conv2d(32, CHANNELS, 4, 2, 1),
        torch.nn.Linear(CHANNELS * GRID * GRID, 2 * LATENT),
        torch.nn.Linear(LATENT, CHANNELS * GRID * GRID),
        torch.nn.ConvTranspose2d(CHANNELS, 32, 4, 2, 1),
        torch.nn.ConvTranspose2d(32, 1, 4, 2, 1),
    ]).to(memory_format=memory)

    def loss(x):
        y = functional.relu(layers[1](functional.relu(layers[0](x))))
        y = (y.permute(0, 2, 3, 1) if nhwc else y).reshape(len(x), -1)
        mu, logvar = layers[2](y).chunk(2, 1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        y = functional.relu(layers[3](z))
        y = y.view(-1, GRID, GRID, CHANNELS).permute(0, 3, 1, 2) if nhwc else y.view(-1, CHANNELS, GRID, GRID)
        logits = layers[5](functional.relu(layers[4](y)))
        reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return ((reconstruction + 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum()) / len(x),)

    return layers, loss, None


def make_conv_ae(torch, memory):
    functional = torch.nn.functional
    conv = lambda channels, out: torch.nn.Conv2d(channels, out, 3, padding=1)
    pool, grow = torch.nn.MaxPool2d(2), torch.nn.Upsample(scale_factor=2)
    relu = torch.nn.ReLU
    layers = torch.nn.Sequential(
        conv(1, 32), relu(), pool, conv(32, 32), relu(), pool,
        conv(32, 32), relu(), grow, conv(32, 32), relu(), grow, conv(32, 1),
    ).to(memory_format=memory)

    def loss(x):
        return (functional.binary_cross_entropy_with_logits(layers(x), x, reduction="sum") / len(x),)

    return layers, loss, None


def make_vqvae(torch, memory):
    functional = torch.nn.functional
    codes, dim, decay, eps = 512, 64, 0.99, 1e-5
    conv, transposed, relu = torch.nn.Conv2d, torch.nn.ConvTranspose2d, functional.relu

    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.window, self.mix = conv(64, 32, 3, padding=1), conv(32, 64, 1)

        def forward(self, x):
            return x + self.mix(relu(self.window(relu(x))))

    relu_layer = torch.nn.ReLU
    encoder = torch.nn.Sequential(
        conv(1, 64, 4, 2, 1), relu_layer(), conv(64, 64, 4, 2, 1), relu_layer(), Residual(), Residual(), conv(64, dim, 1)
    )
    decoder = torch.nn.Sequential(
        conv(dim, 64, 1), relu_layer(), Residual(), Residual(), transposed(64, 64, 4, 2, 1), relu_layer(),
        transposed(64, 1, 4, 2, 1),
    )
    layers = torch.nn.ModuleList([encoder, decoder]).to(memory_format=memory)
    codebook = torch.randn(codes, dim) / 8
    counts, sums = torch.ones(codes), codebook.clone()

    def loss(x):
        z = layers[0](x).permute(0, 2, 3, 1)
        rows = z.reshape(-1, dim)
        with torch.no_grad():
            index = torch.addmm((codebook * codebook).sum(1), rows, codebook.T, alpha=-2).argmin(1)
        quantized = codebook[index].view(z.shape)
        commitment = functional.mse_loss(z, quantized)
        y = layers[1]((z + (quantized - z).detach()).permute(0, 3, 1, 2))
        return functional.mse_loss(y, x) + 0.25 * commitment, rows.detach(), index

    def after(rows, index):
        """Once the backward pass has read the codebook."""
        with torch.no_grad():
            counts.mul_(decay).add_(torch.bincount(index, minlength=codes).float(), alpha=1 - decay)
            sums.mul_(decay).add_(torch.zeros_like(sums).index_add_(0, index, rows), alpha=1 - decay)
            total = counts.sum()
            codebook.copy_(sums / ((counts + eps) * total / (total + codes * eps)).unsqueeze(1))

    return layers, loss, after


def make_step(torch, network, batch, data, memory, mode, adam):
    memory = getattr(torch, memory)
    layers, loss, after = {"conv-vae": make_conv_vae, "conv-ae": make_conv_ae, "vqvae": make_vqvae}[network](torch, memory)

    def loss_of(rows):
        # One channel: both memory formats are the same bytes.
        x = (data.index_select(0, rows).float() / 255).view(-1, 1, SIDE, SIDE).contiguous(memory_format=memory)
        return loss(x)

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
    parser.add_argument("--network", choices=["conv-vae", "conv-ae", "vqvae"], default="conv-vae")
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    data = torch.randint(0, 256, (IMAGES, SIDE * SIDE), dtype=torch.uint8)
    variants = {
        f"{memory}/{name}": (memory, mode, adam)
        for memory in ("channels_last", "contiguous_format")
        for name, mode, adam in [
            ("eager", None, "fused"),
            ("compile", "default", "fused"),
            ("compile-adam-too", "default", "compiled"),
            ("max-autotune", "max-autotune", "fused"),
        ]
    }
    makers = {
        name: lambda choice=choice: make_step(torch, options.network, options.batch, data, *choice)
        for name, choice in variants.items()
    }
    pytorch_peer.run(torch, options, options.network, makers)


if __name__ == "__main__":
    main()
