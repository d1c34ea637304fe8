#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden files beside it: what PyTorch, in double, says about Hourglass's kernels and models.

    python3 make_golden.py          writes *.safetensors
    python3 make_golden.py --check  makes them again and compares: nothing is written

README.md lists every tensor. Inputs are rounded to float and stored as such, so that the float and the double forms
see the same numbers; outputs are double. The random numbers are not PyTorch's: `normals` is a second implementation of
kernels/base/philox.h, so the kernels draw the stored noise themselves and the files check that too.
"""

import argparse
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from golden_conv2d import conv2d
from golden_format import F64, Golden, normals, read_safetensors, write_safetensors
from golden_images import batch_norm, images
from golden_vector_quantize import vector_quantize
from torch.distributions import Normal, kl_divergence

FOLDER = pathlib.Path(__file__).parent


# ---------------------------------------------------------------- ops

ACTIVATIONS = {
    "none": lambda x: x * 1,
    "relu": F.relu,
    "leaky-relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: -F.logsigmoid(-x),  # F.softplus turns linear at 20
    "gelu": F.gelu,
}
WEIGHT = 0.7  # of the fused loss forms


def linear_cases(g):
    for name, activation in ACTIVATIONS.items():
        case = f"linear/{name}"
        leaves = {n: g.uniform(f"{case}/{n}", *s) for n, s in {"x": (9, 13), "w": (11, 13), "b": (11,)}.items()}
        g.backward(case, activation(F.linear(leaves["x"], leaves["w"], leaves["b"])), leaves)
    case = "linear/transposed"
    leaves = {n: g.uniform(f"{case}/{n}", *s) for n, s in {"x": (9, 13), "w": (13, 11), "b": (11,)}.items()}
    g.backward(case, torch.tanh(leaves["x"] @ leaves["w"] + leaves["b"]), leaves)


def activation_cases(g):
    edges = torch.tensor([0.0, 1e-6, -1e-6, 1e-3, -1e-3, 12.0, -12.0, 30.0, -30.0], dtype=F64)
    for name, activation in ACTIVATIONS.items():
        x = g.input(f"activation/{name}/x", torch.cat([edges, torch.linspace(-6, 6, 55, dtype=F64)]))
        g.backward(f"activation/{name}", activation(x), {"x": x})


def elementwise_cases(g):
    for name, f in {"add": torch.add, "sub": torch.sub, "mul": torch.mul}.items():
        leaves = {n: g.uniform(f"elementwise/{name}/{n}", 37) for n in "ab"}
        g.backward(f"elementwise/{name}", f(leaves["a"], leaves["b"]), leaves)
    x = g.uniform("elementwise/scale/x", 37)
    g.backward("elementwise/scale", x * -2.5, {"x": x})


def column_cases(g):
    x = g.uniform("columns/slice/x", 5, 9)
    g.backward("columns/slice", x[:, 2:6], {"x": x})
    leaves = {"a": g.uniform("columns/concat/a", 5, 4), "b": g.uniform("columns/concat/b", 5, 3)}
    g.backward("columns/concat", torch.cat(list(leaves.values()), 1), leaves)


def row_reduce_cases(g):
    reductions = {
        "sum": lambda x: x.sum(1),
        "mean": lambda x: x.mean(1),
        "norm": lambda x: torch.linalg.vector_norm(x, dim=1),
        "log_sum_exp": lambda x: torch.logsumexp(x, 1),
    }
    # Sums of large values that cancel would measure float's rounding, not the kernel.
    magnitudes = torch.tensor([[1.0], [0.01], [5.0], [40.0], [1000.0], [1.0]], dtype=F64)
    for name, f in reductions.items():
        x = (2 * torch.rand(6, 17, dtype=F64) - 1) * (1 if name in ("sum", "mean") else magnitudes)
        x = g.input(f"row_reduce/{name}/x", x)
        g.backward(f"row_reduce/{name}", f(x), {"x": x})


def loss_case(g, case, per_sample, leaves, name="nll"):
    """The per-sample form, and the gradients of the fused form: WEIGHT times the mean."""
    g.gradients(f"{case}/loss/d", WEIGHT * per_sample().mean(), leaves)
    g.backward(case, per_sample(), leaves, name)


def latent_cases(g):
    eps = normals(12, 10, seed=11, stream="golden/latent", step=5, first_row=2, draws=3, first_draw=1)
    g.output("noise/eps", eps)

    def head(case):
        mu = g.uniform(f"{case}/mu", 4, 10, low=-2, high=2)
        return {"mu": mu, "logvar": g.uniform(f"{case}/logvar", 4, 10, low=-4)}

    def sample(leaves):
        mu, logvar = (leaves[n].repeat_interleave(3, 0) for n in ("mu", "logvar"))
        return mu + torch.exp(0.5 * logvar) * eps

    leaves = head("reparameterize")
    g.backward("reparameterize", sample(leaves), leaves, "z")

    def normal(mu, logvar):
        return Normal(mu, torch.exp(0.5 * logvar))

    standard = Normal(torch.zeros((), dtype=F64), torch.ones((), dtype=F64))
    leaves = head("gaussian_kl/standard")
    loss_case(g, "gaussian_kl/standard", lambda: kl_divergence(normal(**leaves), standard).sum(1), leaves, "kl")

    leaves = head("gaussian_kl/general")
    prior = {name: g.uniform(f"gaussian_kl/general/{name}", 4, 10) for name in ("prior_mu", "prior_logvar")}
    kl = kl_divergence(normal(**leaves), normal(*prior.values())).sum(1)
    g.backward("gaussian_kl/general", kl, leaves | prior, "kl")

    leaves = head("gaussian_latent")
    z, kl = sample(leaves), kl_divergence(normal(**leaves), standard).sum(1)
    dz = g.uniform("gaussian_latent/dz", *z.shape)
    g.output("gaussian_latent/z", z)
    g.output("gaussian_latent/kl", kl)
    g.gradients("gaussian_latent/d", (z * dz).sum() + WEIGHT * kl.mean(), leaves)


def loss_cases(g):
    draws = 2

    def data(case):
        x = torch.rand(3, 15, dtype=F64)
        x[:, :2], x[:, 2:4] = 0, 1
        return g.input(f"{case}/x", x).detach().repeat_interleave(draws, 0)

    case = "bernoulli_nll"
    x, logits = data(case), 16 * torch.rand(6, 15, dtype=F64) - 8
    logits[0, :8] = torch.tensor([100.0, -100.0, 100.0, -100.0, 0.0, 1e-3, 100.0, -100.0], dtype=F64)
    logits = g.input(f"{case}/logits", logits)
    bce = F.binary_cross_entropy_with_logits
    loss_case(g, case, lambda: bce(logits, x, reduction="none").sum(1), {"logits": logits})

    case = "squared_error"
    x, y = data(case), g.uniform(f"{case}/y", 6, 15, low=-2, high=2)
    loss_case(g, case, lambda: F.mse_loss(y, x, reduction="none").sum(1), {"y": y})

    for case, count in {"gaussian_nll/shared": 1, "gaussian_nll/columns": 15}.items():
        x, y = data(case), g.uniform(f"{case}/y", 6, 15, low=-2, high=2)
        log_sigma = g.uniform(f"{case}/log_sigma", count, low=-2)
        leaves = {"y": y, "log_sigma": log_sigma}
        loss_case(g, case, lambda: -Normal(y, torch.exp(log_sigma)).log_prob(x).sum(1), leaves)


def gradient_norm_cases(g):
    gradient = g.uniform("gradient_norm/g", 1000)
    for name, limit in {"clipped": 1.5, "within": 1e3}.items():
        parts = [torch.nn.Parameter(torch.zeros_like(part)) for part in gradient.detach().split([400, 1, 599])]
        for part, values in zip(parts, gradient.detach().split([400, 1, 599])):
            part.grad = values.clone()
        g.output(f"gradient_norm/{name}/norm", torch.nn.utils.clip_grad_norm_(parts, limit).reshape(1))
        g.output(f"gradient_norm/{name}/g", torch.cat([part.grad for part in parts]))


def ops():
    g = Golden()
    for cases in (linear_cases, activation_cases, elementwise_cases, column_cases, row_reduce_cases, latent_cases,
                  loss_cases, gradient_norm_cases):
        cases(g)
    return g.tensors


# ---------------------------------------------------------------- optimizers

STEPS, SIZE, SPLIT = 10, 24, 9  # two ranges in the `_ranges` case: [0, 9) and [9, 24)


def adam_schedule(step):
    return 0.02 * (1 - step / STEPS)


# case: class, options, then ours: limit of each element, limit of the norm, a second range, a schedule
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.05}),
    "sgd_decay": (torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "sgd_clip_value": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}, {"clip_value": 0.5}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adam_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    "adam_clip_norm": (torch.optim.Adam, {"lr": 0.01}, {"clip_norm": 0.3}),
    "adam_schedule": (torch.optim.Adam, {"lr": 0.02}, {"schedule": adam_schedule}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "adamw_ranges": (
        torch.optim.AdamW,
        {"lr": 0.01, "weight_decay": 0.1},
        {"second": {"lr": 0.005, "weight_decay": 0.0}},
    ),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0}),
    "adadelta_decay": (torch.optim.Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1}),
}


def optimizer_run(dtype, start, grads, kind, options, extra):
    cut = SPLIT if "second" in extra else SIZE
    parameters = [torch.nn.Parameter(part.to(dtype).clone()) for part in start.split([cut, SIZE - cut])]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], **extra.get("second", {})}]
    optimizer, trace = kind(groups, **options), []
    for step in range(STEPS):
        for parameter, part in zip(parameters, grads[step].split([cut, SIZE - cut])):
            parameter.grad = part.to(dtype).clone()
        if "clip_value" in extra:
            torch.nn.utils.clip_grad_value_(parameters, extra["clip_value"])
        if "clip_norm" in extra:
            torch.nn.utils.clip_grad_norm_(parameters, extra["clip_norm"])
        if "schedule" in extra:
            for group in optimizer.param_groups:
                group["lr"] = extra["schedule"](step)
        optimizer.step()
        trace.append(torch.cat([parameter.detach() for parameter in parameters]))
    return torch.stack(trace)


def optimizers():
    """Gradients of a decaying quadratic bowl plus noise; the magnitudes tell where eps stands."""
    g = Golden()
    start = g.uniform("start", SIZE, low=-2, high=2).detach()
    slope = start * torch.linspace(0.1, 2, SIZE, dtype=F64)
    decay = 0.8 ** torch.arange(STEPS, dtype=F64)[:, None]
    grads = slope * decay + 0.1 * torch.randn(STEPS, SIZE, dtype=F64)
    magnitude = torch.ones(SIZE, dtype=F64)
    magnitude[:6] = torch.tensor([0.0, 1e-9, 1e-7, 1e-4, 10.0, 1e3], dtype=F64)
    grads = g.input("grads", grads * magnitude).detach()
    for case, (kind, options, *extra) in OPTIMIZERS.items():
        extra = extra[0] if extra else {}
        g.output(f"{case}/values", optimizer_run(F64, start, grads, kind, options, extra))
        g.tensors[f"{case}/values_f32"] = optimizer_run(torch.float32, start, grads, kind, options, extra)
    return g.tensors


# ---------------------------------------------------------------- models

STREAM = "train/latent"


class Vae:
    """x -> encoder -> (mu, logvar) -> z -> decoder; one fused head: mu is its first half."""

    def __init__(self, g, widths, activation, likelihood, draws=1):
        self.widths, self.activation, self.likelihood, self.draws = widths, activation, likelihood, draws
        *hidden, latent = widths[1:]
        self.latent, self.parameters = latent, {}
        encoder = [widths[0], *hidden, 2 * latent]
        decoder = [latent, *reversed(hidden), widths[0]]
        for name, sizes in {"encoder": encoder, "decoder": decoder}.items():
            for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
                bound = 1 / math.sqrt(inputs)
                for kind, shape in {"weight": (outputs, inputs), "bias": (outputs,)}.items():
                    full = f"{name}.{i}.{kind}"
                    self.parameters[full] = g.uniform(f"start/{full}", *shape, low=-bound, high=bound)
        if likelihood == "gaussian":
            self.parameters["log_sigma"] = g.input("start/log_sigma", torch.tensor([-0.25]))
        self.layers = len(encoder) - 1

    def mlp(self, name, x):
        for i in range(self.layers):
            x = F.linear(x, self.parameters[f"{name}.{i}.weight"], self.parameters[f"{name}.{i}.bias"])
            x = self.activation(x) if i + 1 < self.layers else x
        return x

    def terms(self, x, eps):
        """Everything of a forward pass; `reconstruction` and `kl` are means over rows and samples, in nats."""
        mu, logvar = self.mlp("encoder", x).chunk(2, 1)
        wide = lambda t: t.repeat_interleave(self.draws, 0)
        z = wide(mu) + torch.exp(0.5 * wide(logvar)) * eps
        y = self.mlp("decoder", z)
        if self.likelihood == "bernoulli":
            nll = F.binary_cross_entropy_with_logits(y, wide(x), reduction="none").sum(1)
        else:
            nll = -Normal(y, torch.exp(self.parameters["log_sigma"])).log_prob(wide(x)).sum(1)
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
        return {"mu": mu, "logvar": logvar, "z": z, "y": y, "reconstruction": nll.mean(), "kl": kl.mean()}

    def noise(self, rows, step):
        return normals(rows * self.draws, self.latent, seed=3, stream=STREAM, step=step, draws=self.draws)


def vae_gradients():
    """784-32-8, one batch of 16: every value and every gradient."""
    g = Golden()
    vae = Vae(g, [784, 32, 8], F.relu, "bernoulli")
    x = g.uniform("x", 16, 784, low=-1.0).detach().clamp(min=0)  # about half the pixels black, as in Fashion-MNIST
    x = g.input("x", x).detach()
    eps = vae.noise(16, step=4)
    g.output("eps", eps)
    terms = vae.terms(x, eps)
    loss = terms["reconstruction"] + terms["kl"]
    for name, value in (terms | {"loss": loss}).items():
        g.output(name, value if value.dim() else value.reshape(1))
    g.gradients("gradient/", loss, vae.parameters)
    return g.tensors


def training(vae, g, rows, beta, clip_norm, kind, **options):
    parameters = {name: torch.nn.Parameter(value.detach().clone()) for name, value in vae.parameters.items()}
    vae.parameters, optimizer, log = parameters, kind(list(parameters.values()), **options), []
    batches = g.uniform("x", STEPS, rows, vae.widths[0], low=0.0).detach()
    for step in range(STEPS):
        terms = vae.terms(batches[step], vae.noise(rows, step))
        optimizer.zero_grad()
        (terms["reconstruction"] + beta * terms["kl"]).backward()
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), clip_norm)
        log.append([terms["reconstruction"].item(), terms["kl"].item(), norm.item()])
        optimizer.step()
        if step + 1 in (1, STEPS):
            for name, value in parameters.items():
                g.output(f"after_{step + 1}/{name}", value)
    g.output("log", torch.tensor(log, dtype=F64))


def vae_training_bernoulli():
    """12-6-3, ten steps of Adam."""
    g = Golden()
    training(Vae(g, [12, 6, 3], F.relu, "bernoulli"), g, 8, 1.0, math.inf, torch.optim.Adam, lr=1e-2)
    return g.tensors


def vae_training_gaussian():
    """12-(7, 5)-3, learned sigma, two draws, beta 1/2, clipped; ten steps of AdamW."""
    g = Golden()
    vae = Vae(g, [12, 7, 5, 3], torch.tanh, "gaussian", draws=2)
    training(vae, g, 8, 0.5, 2.0, torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
    return g.tensors


MAKERS = (ops, optimizers, vae_gradients, vae_training_bernoulli, vae_training_gaussian, conv2d, images, vector_quantize,
          batch_norm)
FILES = {f.__name__: f for f in MAKERS}


def check(name, made, stored):
    if made.keys() != stored.keys():
        return [f"{name}: tensors {sorted(made.keys() ^ stored.keys())} are in one only"]
    wrong = []
    for key, value in made.items():
        limit = 1e-5 if key.endswith("_f32") else 1e-10
        if value.shape != stored[key].shape or not torch.allclose(value, stored[key], rtol=limit, atol=limit):
            wrong.append(f"{name}: {key} differs")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files that are there; write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wrong = []
    for seed, (name, make) in enumerate(FILES.items()):
        torch.manual_seed(seed)
        path, tensors = FOLDER / f"{name}.safetensors", make()
        if arguments.check:
            wrong += check(name, tensors, read_safetensors(path))
        else:
            write_safetensors(path, tensors, {"generator": "make_golden.py", "torch": torch.__version__})
            print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
    print("\n".join(wrong) or "ok")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
