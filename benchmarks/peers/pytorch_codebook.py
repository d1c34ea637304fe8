#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The nearest code of each row in PyTorch on the CPU: the work of benchmarks/bench_nearest_codebook.cpp.

Rows and codes are normal numbers. Variants: cdist, then argmin; addmm (|c|^2 - 2 x c^T), then argmin. Both write the
rows x codes matrix. Neither is exact where distances nearly tie; ours is. lookup_peers.py has them on the GPU.
"""

import pytorch_peer


def by_cdist(torch, x, c):
    return torch.cdist(x, c, compute_mode="use_mm_for_euclid_dist").argmin(1)


def operands(torch, x, c):
    """|c|^2, x, c, and what makes bf16 products sums in f32. The CPU has no such products: it multiplies in f32."""
    wide = c.float()
    norms = (wide * wide).sum(1)
    if c.dtype == torch.float32 or not c.is_cuda:
        return norms, x.float(), wide, {}
    return norms, x, c, {"out_dtype": torch.float32}


def by_addmm(torch, x, c):
    norms, x, c, options = operands(torch, x, c)
    return torch.addmm(norms, x, c.t(), alpha=-2, **options).argmin(1)


def by_mm(torch, x, c):
    norms, x, c, options = operands(torch, x, c)
    return (norms - 2 * torch.mm(x, c.t(), **options)).argmin(1)


METHODS = {"cdist": by_cdist, "addmm": by_addmm, "mm": by_mm}


def make_call(torch, rows, columns, codes, mode):
    x, c = torch.randn(rows, columns), torch.randn(codes, columns)
    return lambda: METHODS[mode](torch, x, c)


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--shape", default="16384x64x8192", help="rows x columns x codes")
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    shape = [int(extent) for extent in options.shape.split("x")]
    makers = {mode: lambda mode=mode: make_call(torch, *shape, mode) for mode in ("cdist", "addmm")}
    pytorch_peer.run(torch, options, options.shape, makers)


if __name__ == "__main__":
    main()
