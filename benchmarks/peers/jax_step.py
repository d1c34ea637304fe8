#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The training step of the 784-400-20 VAE in JAX: microseconds a step, a JSON line each; the work of bench_step.cpp.

Data and order are on the device: a step gathers uint8 rows, scales them, runs loss and gradient, and Adam, written out.
Forms: `jit`, one step, its state donated; `scan`, 100 steps by lax.scan; `scan-unroll-8`, eight of them in a pass of
the loop; and the scans again with command buffers (CUDA graphs) for loops, as loops and unrolled, in processes of their
own because XLA reads its flags once; the line says which. Noise: JAX's default generator, threefry, and rbg. Precisions
by jax_default_matmul_precision: f32 (highest), tf32 (tensorfloat32); bf16 casts weights and activations and keeps
master weights, moments and loss in f32.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile

import device_peer

IMAGES, PIXELS, HIDDEN, LATENT, STEPS = 60000, 784, 400, 20, 100
LR, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
SIZES = [(PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, PIXELS)]
PRECISION = {"f32": "highest", "tf32": "tensorfloat32", "bf16": "tensorfloat32"}
FORMS = {"jit": 0, "scan": 1, "scan-unroll-8": 8}  # steps in a pass of the loop; 0: no loop
PRNGS = {"threefry": "threefry2x32", "rbg": "rbg"}
COMMAND_BUFFERS = {
    "command-buffers-unrolled": "--xla_gpu_enable_command_buffer=+WHILE --xla_gpu_command_buffer_unroll_loops=true",
    "command-buffers": "--xla_gpu_enable_command_buffer=+WHILE",
}
STAGES = [["scan-unroll-8/threefry", "scan-unroll-8/rbg"], ["jit/threefry", "scan/threefry", "jit/rbg", "scan/rbg"]]
LOOPS = ["scan/rbg", "scan/threefry"]  # with command buffers


def load(device):
    try:
        import jax
    except (ImportError, OSError) as error:
        device_peer.skip(f"no JAX: {device_peer.reason_of(error)}")
    try:
        jax.devices(device)
    except RuntimeError as error:
        device_peer.skip(f"this JAX sees no {device}: {device_peer.reason_of(error)}")
    return jax


def start(jax, prng):
    """What a step reads and writes."""
    key = jax.random.key(0, impl=PRNGS[prng])
    weights = []
    for (rows, columns), k in zip(SIZES, jax.random.split(jax.random.key(1), len(SIZES))):
        bound = rows**-0.5
        draw = functools.partial(jax.random.uniform, minval=-bound, maxval=bound)
        weights.append((draw(k, (rows, columns)), draw(jax.random.fold_in(k, 1), (columns,))))
    zeros = lambda: jax.tree.map(jax.numpy.zeros_like, weights)
    return {"step": jax.numpy.zeros((), "int32"), "key": key, "weights": weights, "first": zeros(), "second": zeros()}


def loss_of(jax, weights, x, key, lane):
    """The loss, and a sum over the noise."""
    numpy, relu = jax.numpy, jax.nn.relu
    narrow = (lambda a: a.astype("bfloat16")) if lane == "bf16" else (lambda a: a)
    w = jax.tree.map(narrow, weights)
    linear = lambda layer, y: y @ w[layer][0] + w[layer][1]
    mu, logvar = numpy.split(linear(1, relu(linear(0, narrow(x)))).astype("float32"), 2, axis=1)
    noise = jax.random.normal(key, mu.shape)
    z = mu + numpy.exp(0.5 * logvar) * noise
    logits = linear(3, relu(linear(2, narrow(z)))).astype("float32")
    reconstruction = (numpy.maximum(logits, 0) - logits * x + numpy.log1p(numpy.exp(-numpy.abs(logits)))).sum()
    divergence = 0.5 * (mu * mu + numpy.exp(logvar) - 1 - logvar).sum()
    return (reconstruction + divergence) / len(x), noise.sum()


def train_step(jax, batch, lane, state, data, order):
    """(state, (loss, sum over the noise))"""
    numpy, step = jax.numpy, state["step"]
    take = lambda a, rows: a.at[rows].get(mode="promise_in_bounds")
    x = take(data, take(order, (step * batch + numpy.arange(batch)) % IMAGES)).astype("float32") / 255
    key = jax.random.fold_in(state["key"], step)
    gradient = jax.value_and_grad(lambda w: loss_of(jax, w, x, key, lane), has_aux=True)
    news, grads = gradient(state["weights"])
    t = (step + 1).astype("float32")
    rate, scale = LR / (1 - BETA1**t), 1 / (1 - BETA2**t)
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, state["first"], grads)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, state["second"], grads)
    move = lambda w, m, v: w - rate * m / (numpy.sqrt(v * scale) + EPSILON)
    weights = jax.tree.map(move, state["weights"], first, second)
    return {"step": step + 1, "key": state["key"], "weights": weights, "first": first, "second": second}, news


def make(jax, batch, lane, form):
    """(state, data, order) -> (state, (losses, noises)), compiled, its state donated."""
    step = functools.partial(train_step, jax, batch, lane)
    if FORMS[form] == 0:
        return jax.jit(step, donate_argnums=0)

    def steps(state, data, order):
        return jax.lax.scan(lambda s, _: step(s, data, order), state, None, length=STEPS, unroll=FORMS[form])

    return jax.jit(steps, donate_argnums=0)


def measure(jax, data, order, batch, lane, form, prng, options):
    with jax.default_matmul_precision(PRECISION[lane]):
        state, run = start(jax, prng), make(jax, batch, lane, form)
        news = []
        for _ in range(10 if FORMS[form] == 0 else 3):
            state, seen = run(state, data, order)
            news.append(jax.numpy.stack(seen).reshape(2, -1))
        losses, noises = jax.numpy.concatenate(news, axis=1).tolist()
        device_peer.check_news(losses, "loss")
        device_peer.check_news(noises, "noise")

        def call():
            nonlocal state
            state, _ = run(state, data, order)

        steps = STEPS if FORMS[form] else 1
        calls = max(2, 200 // steps) if options.device == "cuda" else 2
        wait = lambda: jax.block_until_ready(state["weights"])
        result = device_peer.result_of(device_peer.wall_blocks(call, wait, options.seconds, calls, steps))
    return result | {"step_us": result["us"], "xla_flags": os.environ.get("XLA_FLAGS", "")}


def run_forms(jax, run, names, suffix=""):
    options, key = run.options, jax.random.key(2)
    data = jax.random.randint(key, (IMAGES, PIXELS), 0, 256, "int32").astype("uint8")
    order = jax.random.permutation(key, IMAGES).astype("int32")
    for name in names:
        for batch in options.batches:
            for lane in options.lanes:
                form, prng = name.split("/")
                line = {"workload": "step/vae-784-400-20", "variant": f"{form}{suffix}/{prng}", "dtype": lane}
                work = lambda: measure(jax, data, order, batch, lane, form, prng, options)
                run.attempt(line | {"batch": batch}, work)


def run_command_buffers(run, kind):
    """This program again, with XLA's flags; an XLA that does not know them ends the process."""
    options, left = run.options, run.left()
    command = [sys.executable, __file__, "--command-buffers", kind, "--device", options.device, "--limit", str(left)]
    command += ["--seconds", str(options.seconds), "--each", str(options.each), "--lanes", *options.lanes]
    command += ["--batches", *map(str, options.batches)] + (["--quick"] if options.quick else [])
    command += ["--variants", *options.variants] if options.variants else []
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {COMMAND_BUFFERS[kind]}".strip()}
    line = {"workload": "step/vae-784-400-20", "variant": f"scan-{kind}", "xla_flags": environment["XLA_FLAGS"]}
    line |= {"dtype": options.lanes[0], "batch": options.batches[0]}
    if left <= 0:
        return run.say(line | {"failed": "not run: no time left"})
    try:
        child = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=left + 30)
    except subprocess.TimeoutExpired:
        return run.say(line | {"failed": "the process did not end in time"})
    if child.returncode != 0:
        reasons = [text for text in child.stderr.splitlines() if "XLA_FLAGS" in text or "command_buffer" in text]
        run.say(line | {"failed": (reasons or child.stderr.splitlines()[-1:] or [f"exit {child.returncode}"])[0]})


def run_stages(jax, run):
    """Each has its share of the time; what a stage leaves is the next one's."""
    quick, limit = run.options.quick, run.options.limit
    run.options.limit = 0.4 * limit
    run_forms(jax, run, ["scan/threefry"] if quick else STAGES[0])
    for kind, share in zip(COMMAND_BUFFERS, (0.65, 0.85)):
        run.options.limit = share * limit
        run_command_buffers(run, kind)
    run.options.limit = limit
    run_forms(jax, run, [] if quick else STAGES[1])


def main():
    parser = device_peer.arguments(__doc__, limit=110)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 4096])
    parser.add_argument("--command-buffers", choices=list(COMMAND_BUFFERS), help="only these; XLA_FLAGS must say how")
    options = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if options.quick:
        options.seconds, options.batches = 0, [4]
    jax = load(options.device)
    run = device_peer.Run(options, "jax", jax.__version__)
    with contextlib.ExitStack() as stack:
        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # XLA's tuning of the first process serves the second
            os.environ["JAX_COMPILATION_CACHE_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
        jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
        with jax.default_device(jax.devices(options.device)[0]):
            if options.command_buffers:
                run_forms(jax, run, LOOPS[:1] if options.quick else LOOPS, f"-{options.command_buffers}")
            else:
                run_stages(jax, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
