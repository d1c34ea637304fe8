#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reparameterized sampling and Gaussian KL, forward and backward, in PyTorch on the CPU: the work of the fused ops of
benchmarks/bench_gaussian_latent.cpp.

z = mu + exp(logvar / 2) eps, kl = mean over rows of 1/2 sum(mu^2 + sigma^2 - 1 - logvar); the gradients of
sum(dz z) + kl. The noise is drawn in every forward pass. Variants: eager; torch.compile with Inductor's random numbers,
and with those of eager. A call is forward and backward.
"""

import pytorch_peer


def make_call(torch, shape, mode):
    mu, logvar = (torch.rand(shape).mul_(2).sub_(1).requires_grad_() for _ in range(2))
    dz, one = torch.rand(shape), torch.ones(())

    def forward(mu, logvar):
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return z, 0.5 * (mu * mu + logvar.exp() - 1 - logvar).sum(1).mean()

    if mode != "eager":
        choice = {"fallback_random": mode == "compile-eager-random"}
        forward = torch.compile(forward, dynamic=False, options=choice)
    return lambda: torch.autograd.grad(forward(mu, logvar), (mu, logvar), (dz, one))


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--shape", default="4096x256", help="rows x columns")
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    shape = tuple(int(extent) for extent in options.shape.split("x"))
    modes = ("eager", "compile", "compile-eager-random")
    makers = {mode: lambda mode=mode: make_call(torch, shape, mode) for mode in modes}
    pytorch_peer.run(torch, options, options.shape, makers)


if __name__ == "__main__":
    main()
