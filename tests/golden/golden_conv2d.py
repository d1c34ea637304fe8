# SPDX-License-Identifier: Apache-2.0
"""The file conv2d.safetensors of make_golden.py: convolutions and transposed convolutions of drawn small shapes."""

import torch
import torch.nn.functional as F
from golden_format import Golden

CASES = 200
ELEMENTS = 500  # of input, weight and output together: keeps the file below 2 MB
ACTIVATIONS = [lambda z: z * 1, torch.tanh, torch.sigmoid]


def draw(low, high, count=1):
    return torch.randint(low, high + 1, (count,)).tolist()


def output_extent(transposed, extent, window, stride, padding, dilation, output_padding):
    if transposed:
        return (extent - 1) * stride - 2 * padding + dilation * (window - 1) + output_padding + 1
    return (extent + 2 * padding - dilation * (window - 1) - 1) // stride + 1


def drawn_case(transposed):
    """Extents and options of a case that has an output and is small: a dictionary of lists."""
    while True:
        case = {
            "input": draw(1, 3) + draw(1, 9, 2) + draw(1, 7),
            "out": draw(1, 7),
            "window": draw(1, 4, 2),
            "stride": draw(1, 3, 2),
            "padding": draw(0, 3, 2),
            "dilation": draw(1, 2, 2),
            "output_padding": draw(0, 2, 2) if transposed else [0, 0],
        }
        if any(o and o >= max(s, d) for o, s, d in zip(case["output_padding"], case["stride"], case["dilation"])):
            continue
        sides = zip(*(case[name] for name in ("window", "stride", "padding", "dilation", "output_padding")))
        output = [output_extent(transposed, e, *side) for e, side in zip(case["input"][1:3], sides)]
        if min(output) < 1:
            continue
        n, h, w, c = case["input"]
        r, s = case["window"]
        if n * h * w * c + c * r * s * case["out"][0] + n * output[0] * output[1] * case["out"][0] <= ELEMENTS:
            return case


def conv2d():
    golden = Golden()
    channels_last, channels_first = (0, 2, 3, 1), (0, 3, 1, 2)
    for index in range(CASES):
        transposed, name = index % 2, f"{index:03}"
        case = drawn_case(transposed)
        (c, out), activation = (case["input"][3], case["out"][0]), index % len(ACTIVATIONS)
        # Convolution weights are (out, R, S, in), transposed ones (in, R, S, out).
        shape = [c, *case["window"], out] if transposed else [out, *case["window"], c]
        x = golden.uniform(f"{name}/x", *case["input"])
        w = golden.uniform(f"{name}/w", *shape)
        b = golden.uniform(f"{name}/b", out)
        options = {key: case[key] for key in ("stride", "padding", "dilation")}
        if transposed:
            options["output_padding"] = case["output_padding"]
        function = F.conv_transpose2d if transposed else F.conv2d
        z = function(x.permute(channels_first), w.permute(channels_first), b, **options)
        y = ACTIVATIONS[activation](z).permute(channels_last)
        golden.backward(name, y, {"x": x, "w": w, "b": b})
        numbers = [transposed, activation] + case["stride"] + case["padding"] + case["dilation"]
        golden.input(f"{name}/options", torch.tensor(numbers))
    return golden.tensors
