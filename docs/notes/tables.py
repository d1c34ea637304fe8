#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/notes/tables.md: floors, resident warps, and the prediction of the captured step.

  docs/notes/tables.py           writes the page
  docs/notes/tables.py --check   exits 1 if it would change

Ceilings and latencies are the two tables at the top: assumptions of a first run, to be overwritten with what that run
measures, after which every prediction of the page follows.
"""
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# H100 SXM, 132 multiprocessors: TFLOP/s and TB/s.
RATE = {"bf16": 800.0, "tf32": 400.0, "f32": 60.0}
HBM, L2, L2_FITS = 3.0, 5.5, 40e6
# Microseconds.
GAP = 1.3  # between two kernels of a graph: from the end of one to the first instruction of the next
NEAR = 0.16  # a load that hits the second-level cache
FAR = 0.35  # one that does not
STAGE = {32: 0.28, 64: 0.36, 128: 0.30}  # of gemm_tile.cuh by side of the tile, alone on its multiprocessor
TICKET = 0.9  # fence, barrier, atomic, fence: how blocks find out who is last
SETUP = 0.2  # parameters, indices
GROUPS = 0.15  # the groups' sums meet in shared memory
STORE = 0.2


def time_of(flops, size, lane):
    """(floor in us, what binds). Below 40 MB the second-level cache may hold everything."""
    maths = flops / RATE[lane] / 1e6
    memory = size / (L2 if size < L2_FITS else HBM) / 1e6
    return max(maths, memory), "maths" if maths >= memory else "L2" if size < L2_FITS else "memory"


def number(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 1 else f"{x:.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]) + "\n"


# ---------------------------------------------------------------- floors


def linear(n, c, k, dx=True, dw=True, mask=True):
    """(flops, elements of activations and weights, float elements) of a layer's forward, or of its backward."""
    forward = (2 * n * c * k, n * c + k * c + n * k, 0)
    backward = (2 * n * c * k * (dx + dw), n * c * (dw + dx) + k * c * dx + n * k * (1 + mask), (k * c + k) * dw)
    return forward, backward


def convolution(b, h, w, c, k, window, p, q):
    x, y, weight = b * h * w * c, b * p * q * k, k * window * window * c
    flops = 2 * y * window * window * c
    return (flops, x + y + weight, 0), (2 * flops, 2 * (x + y) + y + weight, weight)


def products():
    rows = []

    def add(name, work, lanes=("f32", "tf32", "bf16")):
        flops, elements, floats = work
        row = [name, number(flops / 1e6)]
        for lane in lanes:
            size = elements * (2 if lane == "bf16" else 4) + 4 * floats
            floor, what = time_of(flops, size, lane)
            row.append(f"{number(floor)} ({what})")
        rows.append(row)

    for n in (128, 4096):
        for name, shape in {"784-400 relu": (784, 400, False, True, True), "head 400-40": (400, 40),
                            "20-400 relu": (20, 400), "400-784 with loss": (400, 784, True, True, False)}.items():
            forward, backward = linear(n, *shape)
            add(f"{n} x {name}, forward", forward)
            add(f"{n} x {name}, backward", backward)
    for name, shape in {"28x28x1-32 k4 s2": (28, 28, 1, 32, 4, 14, 14), "14x14x32-64 k4 s2": (14, 14, 32, 64, 4, 7, 7),
                        "7x7x64-64 k3": (7, 7, 64, 64, 3, 7, 7), "28x28x32-32 k3": (28, 28, 32, 32, 3, 28, 28)}.items():
        forward, backward = convolution(128, *shape)
        add(f"conv 128 x {name}, forward", forward)
        add(f"conv 128 x {name}, backward", backward)
    return table(["product", "MFLOP", "fp32 us", "tf32 us", "bf16 us"], rows)


def passes():
    """Kernels bound by memory: (what, elements, bytes an element in float, in bf16)."""
    pixels, parameters = 128 * 784, 652824
    conv = 128 * 14 * 14 * 32
    rows = []
    for what, n, of_float, of_bf16 in (
            ("gather 128 x 784 from u8", pixels, 5, 3),
            ("Bernoulli loss with gradient, 128 x 784", pixels, 12, 6),
            ("Bernoulli loss with gradient, 4096 x 784", 4096 * 784, 12, 6),
            ("sample and KL, 1e8 elements", 1e8, 12, 6),
            ("their backward, 1e8 elements", 1e8, 20, 10),
            ("gradient check, 652,824 parameters", parameters, 4, 4),
            ("Adam, 652,824 parameters", parameters, 28, 30),
            ("Adam, 83.6 M parameters", 83.6e6, 28, 30),
            ("batch norm forward, 25088 x 32", conv, 12, 6),
            ("batch norm backward, 25088 x 32", conv, 20, 10),
            ("max pool 2, 128 x 28 x 28 x 32", 4 * conv, 4 + 2, 2 + 1.5),
            ("its backward", 4 * conv, 4 + 2, 2 + 1.5),
            ("upsample 2 to 128 x 28 x 28 x 32", 4 * conv, 4 + 1, 2 + 0.5),
            ("add, 1e8 elements", 1e8, 12, 6)):
        row = [what]
        for size in (n * of_float, n * of_bf16):
            floor, where = time_of(0, size, "f32")
            row.append(f"{number(size / 1e6)} MB, {number(floor)} us ({where})")
        rows.append(row)
    return table(["pass", "float", "bf16"], rows)


def lookups():
    """Microseconds: multiplication at the bf16 and fp32 rates, the comparison's ALU work at 3 and 0.55 operations."""
    alu = 132 * 64 * 1.7e9
    rows = []
    for n, d, k in ((6272, 64, 512), (16384, 64, 8192), (16384, 8, 16384), (1 << 20, 64, 1024), (1 << 20, 8, 16384),
                    (1 << 20, 64, 16384), (1 << 20, 256, 16384)):
        pairs = n * k
        rows.append([f"{n} x {d}, {k} codes", number(2 * pairs * d / 1e9)] +
                    [number(1e6 * t) for t in (2 * pairs * max(d, 16) / 800e12, 2 * pairs * d / 60e12, 3 * pairs / alu,
                                               0.55 * pairs / alu)])
    return table(["cell", "GFLOP", "bf16 mma us", "FFMA us", "3 ALU operations a pair us", "0.55 us"], rows)


# ---------------------------------------------------------------- residency

TILES = {"linear_forward_tiled_kernel", "linear_backward_tiled_kernel", "linear_bce_tiled_kernel", "gemm_tiled_kernel",
         "gaussian_head_band_kernel", "gaussian_head_backward_tiled_kernel", "codebook_tiles_kernel",
         "conv2d_implicit_gemm_kernel", "conv2d_weight_implicit_gemm_kernel"}
TASK_FILES = {"batch.cu", "discretized_logistic.cu", "gaussian_nll.cu", "bernoulli_nll.cu", "squared_error.cu", "columns.cu", "corrupt.cu", "gaussian_kl.cu",
              "gaussian_latent.cu", "reparameterize.cu", "optimal_gaussian.cu", "pool2d.cu", "upsample2d.cu",
              "row_reduce.cu", "vector_quantize.cu", "step_state.cu"}
THREADS = {"codebook_thread_row_kernel": 128, "place_codes_kernel": 256, "ema_counts_kernel": 1024,
           "ema_codes_kernel": 64, "conv2d_wgmma_kernel": 288}


def residency():
    """Warps that a multiprocessor of sm_90 holds, for the kernel's hungriest instance."""
    rows = []
    for line in (ROOT / "kernels/resources.txt").read_text().splitlines():
        if line.startswith("#") or " sm_90a " not in line:
            continue
        file, kernel, _, _, registers, shared = line.split()[:6]
        threads = THREADS.get(kernel, 128 if file in TASK_FILES else 256)
        dynamic = 32768 if kernel in TILES else 69632 if "mma" in kernel else 0
        warps = threads // 32
        by_registers = 65536 // (math.ceil(int(registers) / 8) * 8 * 32) // warps
        by_shared = 233472 // (int(shared) + dynamic + 1024)
        blocks = min(by_registers, by_shared, 64 // warps, 32)
        limit = min((by_registers, "registers"), (by_shared, "shared memory"), (64 // warps, "warps"), (32, "blocks"))[1]
        if blocks * warps < 48:
            rows.append((blocks * warps, f"{file[:-3]}: {kernel}", registers, blocks, limit))
    rows.sort(key=lambda row: (row[0], row[1]))
    return table(["kernel", "registers", "blocks", "warps of 64", "limit"], [(r[1], r[2], r[3], r[0], r[4]) for r in rows])


# ---------------------------------------------------------------- the step


def tile_time(side, stages, slices=1, tickets=0, extra=0.0):
    """One block of gemm_tile.cuh: fetch, stages, groups, and for slices the ticket and the loads of four at a time."""
    time = SETUP + NEAR + stages * STAGE[side] + (GROUPS if side < 128 else 0) + STORE + tickets * TICKET + extra
    if slices > 1:
        time += TICKET + math.ceil(slices / 4) * (2 if side == 64 else 1) * NEAR
    return time


def step():
    adam = SETUP + 3 * NEAR + 652824 * 28 / L2 / 1e6 + 0.3 + TICKET
    rows = [
        ("gather", 128, 0.1 + 2 * NEAR + 0.5 + FAR + STORE, "step, permutation, pixels, store: one after the other"),
        ("linear 784-400", 208, tile_time(32, 7, 4), "7 stages, 4 slices"),
        ("gaussian_head", 24, tile_time(32, 5, 3, 1, 0.6), "5 stages, 3 slices, the band's ticket, noise and KL"),
        ("linear 20-400", 52, tile_time(32, 1), "1 stage"),
        ("linear_bce 400-784", 100, tile_time(32, 13, 1, 1, 0.5), "13 stages, the loss, the grid's ticket"),
        ("its backward", 147, tile_time(64, 13, 4), "dx: 13 stages, 4 slices; dw: 8 stages"),
        ("linear 20-400 backward", 25, tile_time(32, 5, 3), "dx: 5 stages, 3 slices; dw: 4"),
        ("gaussian_head backward", 78, tile_time(32, 4, 1, 0, 0.3), "4 stages, noise again"),
        ("linear 784-400 backward", 91, tile_time(64, 8), "dw alone: 8 stages"),
        ("gradient check", 638, SETUP + NEAR + 0.2 + TICKET + 0.5 + 3 * NEAR, "638 blocks at one ticket"),
        ("Adam", 638, adam, "18.3 MB from the second-level cache"),
        ("end of the step", 1, 3 * NEAR + 0.3, "fault, counter, base, row"),
    ]
    busy = sum(row[2] for row in rows)
    lines = [(name, blocks, number(blocks / 132), number(time), why) for name, blocks, time, why in rows]
    lines.append(("**sum of the kernels**", "", "", f"**{number(busy)}**", ""))
    lines.append((f"**with {len(rows)} gaps of {GAP}**", "", "", f"**{number(busy + len(rows) * GAP)}**", ""))
    return table(["launch", "blocks", "of 132", "us", "phases one after the other"], lines)


def page():
    return f"""# Floors, resident warps, the step: written by tables.py

Not measured: computed from shapes, from `kernels/resources.txt`, and from the assumed ceilings at the top of
[tables.py](tables.py) (an H100: bf16 {RATE["bf16"]:.0f}, tf32 {RATE["tf32"]:.0f}, fp32 {RATE["f32"]:.0f} TFLOP/s; memory {HBM}, second-level cache
{L2} TB/s). After a GPU run, put its ceilings there and run `docs/notes/tables.py`.

## Products

Floor: the larger of arithmetic and fewest bytes; what fits 40 MB may stay in the second-level cache. Backward: both
gradients where both are wanted.

{products()}
## Passes

{passes()}
## Lookups

Microseconds of each bound alone; they overlap at best.

{lookups()}
## Resident warps

Kernels whose hungriest instance leaves a multiprocessor of sm_90 fewer than 48 of 64 warps.

{residency()}
## The captured step of the VAE 784-400-20, batch 128, fp32

Latency model: a gap of {GAP} us between nodes; {NEAR} us a dependent load from the second-level cache; {STAGE[32]} and {STAGE[64]} us a
stage of the 32 and 64 wide tile; {TICKET} us for a ticket with its fences. Blocks are what the launches ask for today.

{step()}"""


def main():
    to = HERE / "tables.md"
    text = page()
    if "--check" in sys.argv[1:]:
        if to.read_text() != text:
            sys.exit("docs/notes/tables.md is not what docs/notes/tables.py writes")
        return
    to.write_text(text)


if __name__ == "__main__":
    main()
