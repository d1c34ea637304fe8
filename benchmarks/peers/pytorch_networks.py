# SPDX-License-Identifier: Apache-2.0
"""The networks of benchmarks/bench_step.cpp in PyTorch, for the CPU and the GPU.

vae: 784-400-20, its head one layer for mu and logvar, which is faster than two. conv-vae: convolutions 4x4 of stride 2,
1-32 and 32-64, 20 latents, and the mirror by transposed convolutions (preset conv-vae). conv-ae: 3x3x32 convolutions
with max pooling and nearest upsampling (preset keras-conv). vqvae: the default VQ-VAE, its nearest codes by addmm and
argmin, its moving averages without restarts; mean squared error plus commitment loss. The others: binary cross-entropy
with logits (and KL), sums over a sample, mean over the batch. With channels_last the code of conv-vae is flattened in
memory order, which copies nothing.
"""

from typing import Any, Callable, NamedTuple, Optional

IMAGES, SIDE, HIDDEN, LATENT, GRID, CHANNELS = 60000, 28, 400, 20, 7, 64
PIXELS = SIDE * SIDE


class Network(NamedTuple):
    layers: Any
    loss: Callable  # x (N, pixels), 0..1: the value, then what `after` takes, or the noise that a VAE drew
    after: Optional[Callable] = None  # once the backward pass has read the state
    state: tuple = ()  # what `after` writes


def images(x, memory):
    """One channel: both memory formats are the same bytes."""
    return x.view(-1, 1, SIDE, SIDE).contiguous(memory_format=memory)


def sample(torch, head):
    """(mu, logvar, z, noise)"""
    mu, logvar = head.chunk(2, 1)
    noise = torch.randn_like(mu)
    return mu, logvar, mu + torch.exp(0.5 * logvar) * noise, noise


def negative_elbo(torch, logits, x, mu, logvar):
    functional, mu, logvar = torch.nn.functional, mu.float(), logvar.float()
    reconstruction = functional.binary_cross_entropy_with_logits(logits.float(), x.float(), reduction="sum")
    return (reconstruction + 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum()) / len(x)


def make_vae(torch, memory):
    relu = torch.nn.functional.relu
    sizes = [(PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, PIXELS)]
    layers = torch.nn.ModuleList(torch.nn.Linear(*size) for size in sizes)

    def loss(x):
        mu, logvar, z, noise = sample(torch, layers[1](relu(layers[0](x))))
        return negative_elbo(torch, layers[3](relu(layers[2](z))), x, mu, logvar), noise

    return Network(layers, loss)


def make_conv_vae(torch, memory):
    relu = torch.nn.functional.relu
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
        x = images(x, memory)
        y = relu(layers[1](relu(layers[0](x))))
        y = (y.permute(0, 2, 3, 1) if nhwc else y).reshape(len(x), -1)
        mu, logvar, z, noise = sample(torch, layers[2](y))
        y = relu(layers[3](z))
        y = y.view(-1, GRID, GRID, CHANNELS).permute(0, 3, 1, 2) if nhwc else y.view(-1, CHANNELS, GRID, GRID)
        return negative_elbo(torch, layers[5](relu(layers[4](y))), x, mu, logvar), noise

    return Network(layers, loss)


def make_conv_ae(torch, memory):
    functional, relu = torch.nn.functional, torch.nn.ReLU
    conv = lambda channels, out: torch.nn.Conv2d(channels, out, 3, padding=1)
    pool, grow = torch.nn.MaxPool2d(2), torch.nn.Upsample(scale_factor=2)
    layers = torch.nn.Sequential(
        conv(1, 32), relu(), pool, conv(32, 32), relu(), pool,
        conv(32, 32), relu(), grow, conv(32, 32), relu(), grow, conv(32, 1),
    ).to(memory_format=memory)

    def loss(x):
        x = images(x, memory)
        logits = layers(x).float()
        return (functional.binary_cross_entropy_with_logits(logits, x.float(), reduction="sum") / len(x),)

    return Network(layers, loss)


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
        conv(1, 64, 4, 2, 1), relu_layer(), conv(64, 64, 4, 2, 1), relu_layer(), Residual(), Residual(),
        conv(64, dim, 1),
    )
    decoder = torch.nn.Sequential(
        conv(dim, 64, 1), relu_layer(), Residual(), Residual(), transposed(64, 64, 4, 2, 1), relu_layer(),
        transposed(64, 1, 4, 2, 1),
    )
    layers = torch.nn.ModuleList([encoder, decoder]).to(memory_format=memory)
    codebook = torch.randn(codes, dim) / 8
    counts, sums = torch.ones(codes), codebook.clone()
    device = codebook.device.type

    def loss(x):
        x = images(x, memory)
        z = layers[0](x).permute(0, 2, 3, 1)
        with torch.no_grad(), torch.autocast(device, enabled=False):
            rows = z.reshape(-1, dim).float()
            index = torch.addmm((codebook * codebook).sum(1), rows, codebook.T, alpha=-2).argmin(1)
            quantized = codebook[index].view(z.shape)
        commitment = functional.mse_loss(z.float(), quantized)
        straight_through = z + (quantized.to(z.dtype) - z).detach()
        y = layers[1](straight_through.permute(0, 3, 1, 2)).float()
        return functional.mse_loss(y, x.float()) + 0.25 * commitment, rows.detach(), index

    def count(index):
        if device == "cpu":
            return torch.bincount(index, minlength=codes).float()
        ones = torch.ones_like(index, dtype=counts.dtype)
        return torch.zeros_like(counts).index_add_(0, index, ones)  # bincount would wait for the device

    def after(rows, index):
        with torch.no_grad():
            chosen = count(index)
            counts.mul_(decay).add_(chosen, alpha=1 - decay)
            sums.mul_(decay).add_(torch.zeros_like(sums).index_add_(0, index, rows), alpha=1 - decay)
            total = counts.sum()
            codebook.copy_(sums / ((counts + eps) * total / (total + codes * eps)).unsqueeze(1))

    return Network(layers, loss, after, (codebook, counts, sums))


NETWORKS = {"vae": make_vae, "conv-vae": make_conv_vae, "conv-ae": make_conv_ae, "vqvae": make_vqvae}
