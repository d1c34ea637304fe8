# SPDX-License-Identifier: Apache-2.0
"""What PyTorch says about vector quantisation: lookup, straight-through, both losses, gradients, EMA steps."""

import torch
import torch.nn.functional as F
from golden_format import F64, Golden

DECAY, EPSILON, STEPS = 0.9, 1e-5, 3


def vector_quantize():
    """x (3, 4, 4, 6), codebook (9, 6): loss = sum(dq quantized) + 0.25 commitment + 0.75 codebook loss."""
    g = Golden()
    leaves = {"x": g.uniform("x", 3, 4, 4, 6), "codebook": g.uniform("codebook", 9, 6)}
    x, codebook = leaves.values()
    index = torch.cdist(x.reshape(-1, 6), codebook).argmin(1)
    codes = codebook[index].reshape(x.shape)
    commitment, codebook_loss = F.mse_loss(x, codes.detach()), F.mse_loss(codes, x.detach())
    quantized = x + (codes - x).detach()
    dq = g.uniform("dquantized", *x.shape).detach()
    g.output("index", index)
    g.output("quantized", quantized)
    g.output("commitment", commitment.reshape(1))
    g.output("codebook_loss", codebook_loss.reshape(1))
    g.gradients("d", (dq * quantized).sum() + 0.25 * commitment + 0.75 * codebook_loss, leaves)

    # Three steps of the moving average on the same rows, each with the lookup of its codebook.
    counts, sums, c = torch.ones(9, dtype=F64), codebook.detach().clone(), codebook.detach()
    rows = x.detach().reshape(-1, 6)
    for _ in range(STEPS):
        one_hot = F.one_hot(torch.cdist(rows, c).argmin(1), 9).to(F64)
        counts = DECAY * counts + (1 - DECAY) * one_hot.sum(0)
        sums = DECAY * sums + (1 - DECAY) * one_hot.T @ rows
        total = counts.sum()
        c = sums / ((counts + EPSILON) / (total + 9 * EPSILON) * total)[:, None]
    g.output("ema_counts", counts)
    g.output("ema_codebook", c)
    return g.tensors
