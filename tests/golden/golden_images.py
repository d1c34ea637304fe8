# SPDX-License-Identifier: Apache-2.0
"""Pooling, upsampling, group norm and the likelihoods of images, (N, H, W, C): for make_golden.py."""

import math

import torch
import torch.nn.functional as F
from golden_format import F64, Golden

WEIGHT = 0.7  # of the fused loss forms

# case: extents of x, then PyTorch's options
POOLS = {
    "halved": ((2, 6, 8, 3), {"kernel_size": 2}),
    "overlapping": ((2, 7, 6, 4), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "uneven": ((1, 9, 5, 2), {"kernel_size": (4, 3), "stride": (3, 1), "padding": (2, 1)}),
}


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def channels_last(x):
    return x.permute(0, 2, 3, 1).contiguous()


def pool_cases(g):
    def pool(case, extents, f):
        x = g.uniform(f"{case}/x", *extents)
        g.backward(case, channels_last(f(channels_first(x))), {"x": x})

    for name, (extents, options) in POOLS.items():
        pool(f"max_pool2d/{name}", extents, lambda x: F.max_pool2d(x, **options))
        pool(f"average_pool2d/{name}", extents, lambda x: F.avg_pool2d(x, count_include_pad=False, **options))
        pool(f"average_pool2d/{name}_counted", extents, lambda x: F.avg_pool2d(x, **options))

    # Keras's `same`: the odd row below and the odd column right, and averages that do not count them.
    below_right = (0, 1, 0, 1)

    def average_same(x):
        covered = F.avg_pool2d(F.pad(torch.ones_like(x), below_right), 2)
        return F.avg_pool2d(F.pad(x, below_right), 2) / covered

    pool("max_pool2d/same", (2, 5, 7, 3), lambda x: F.max_pool2d(F.pad(x, below_right, value=-math.inf), 2))
    pool("average_pool2d/same", (2, 5, 7, 3), average_same)
    pool("upsample2d", (2, 3, 4, 3), lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest"))


def group_norm_cases(g):
    for groups in (1, 2, 6):
        case = f"group_norm/{groups}"
        leaves = {"x": g.uniform(f"{case}/x", 3, 4, 5, 6)}
        leaves |= {name: g.uniform(f"{case}/{name}", 6) for name in ("gamma", "beta")}
        y = F.group_norm(channels_first(leaves["x"]), groups, leaves["gamma"], leaves["beta"], eps=1e-3)
        g.backward(case, channels_last(y), leaves)


def batch_norm():
    """Three training steps and an inference, NHWC, with PyTorch's default momentum."""
    g, C = Golden(), 6
    running = {"running_mean": torch.zeros(C, dtype=F64), "running_var": torch.ones(C, dtype=F64)}
    leaves = {name: g.uniform(name, C) for name in ("gamma", "beta")}

    def normalize(x, training):
        y = F.batch_norm(channels_first(x), *running.values(), *leaves.values(), training=training, eps=1e-3)
        return channels_last(y)

    for step in range(3):
        x = g.uniform(f"{step}/x", 3, 4, 5, C, low=-1 - step)
        g.backward(str(step), normalize(x, True), {"x": x} | leaves)
        for name, value in running.items():
            g.output(f"{step}/{name}", value)
    x = g.uniform("inference/x", 2, 4, 5, C)
    g.output("inference/y", normalize(x, False))
    return g.tensors


def discretized_logistic_case(g):
    case = "discretized_logistic"
    levels = torch.randint(0, 256, (4, 12))
    levels[:, 0], levels[:, 1] = 0, 255
    g.input(f"{case}/x", levels.to(F64) / 255)
    leaves = {"mu": g.uniform(f"{case}/mu", 4, 12, low=0.0), "log_scale": g.uniform(f"{case}/log_scale", 3, low=-3.0)}

    def nll():
        center, scale = levels.to(F64) / 255 - leaves["mu"], torch.exp(leaves["log_scale"]).repeat(4)
        above, below = torch.sigmoid((center + 1 / 510) / scale), torch.sigmoid((center - 1 / 510) / scale)
        above = torch.where(levels == 255, torch.ones_like(above), above)
        below = torch.where(levels == 0, torch.zeros_like(below), below)
        return -torch.log(above - below).sum(1)

    g.gradients(f"{case}/loss/d", WEIGHT * nll().mean(), leaves)
    g.backward(case, nll(), leaves, "nll")


def optimal_gaussian_case(g):
    case = "optimal_gaussian"
    x, y = g.uniform(f"{case}/x", 5, 7, low=0.0).detach(), g.uniform(f"{case}/y", 5, 7)
    mse = F.mse_loss(y, x)
    value = 7 / 2 * torch.log(2 * math.pi * math.e * mse)
    g.output(f"{case}/mse", mse.reshape(1))
    g.output(f"{case}/value", value.reshape(1))
    g.gradients(f"{case}/d", WEIGHT * value, {"y": y})


def images():
    g = Golden()
    for cases in (pool_cases, group_norm_cases, discretized_logistic_case, optimal_gaussian_case):
        cases(g)
    return g.tensors
