#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reparameterized sampling and Gaussian KL, forward and backward, in PyTorch on the CPU: the work of the fused ops of
benchmarks/bench_gaussian_latent.cpp.

z = mu + exp(logvar / 2) eps, kl = mean over rows of 1/2 sum(mu^2 + sigma^2 - 1 - logvar); the gradients of sum(dz z) +
kl. memory_peers.py has them on the GPU. The noise is drawn in every forward pass. Variants: eager; torch.compile with
Inductor's random numbers, and with those of eager. A call is forward and backward.
"""

import pytorch_peer

MODES = ("eager", "compile", "compile-eager-random")


def make_forward(torch, mode):
    def forward(mu, logvar):
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return z, 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum(1).mean()

    if mode == "eager":
        return forward
    return torch.compile(forward, dynamic=False, options={"fallback_random": mode == "compile-eager-random"})


def make_call(torch, shape, forward, **options):
    """Forward and backward on inputs of its own; `options`: of tensors."""
    mu, logvar = (torch.rand(shape, **options).mul_(2).sub_(1).requires_grad_() for _ in range(2))
    dz, one = torch.rand(shape, **options), torch.ones((), **options)
    return lambda: torch.autograd.grad(forward(mu, logvar), (mu, logvar), (dz, one))


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--shape", default="4096x256", help="rows x columns")
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    shape = tuple(int(extent) for extent in options.shape.split("x"))
    makers = {mode: lambda mode=mode: make_call(torch, shape, make_forward(torch, mode)) for mode in MODES}
    pytorch_peer.run(torch, options, options.shape, makers)


if __name__ == "__main__":
    main()
