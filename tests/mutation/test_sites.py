#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mutation run's own tests: what it changes, and what it leaves alone."""

import pathlib
import sys
import tempfile
import unittest

import mutate
import nearest
import sites

SAMPLE = """// a + b in a comment, x < 1
#include <a / b>
#define TWICE(x) \\
  ((x) + (x))
namespace n {
template <int kN = 4, class T = A<1>>
int walk(const T* x, int rows, int columns) {
  static_assert(kN > 2, "a - b");
  if (rows < 0 || !columns) throw Error("got " + std::to_string(rows + 1));
  require(rows != 7, "rows == " + text);
  const char c = '+'; const auto raw = R"(1 + 1)";
  for (int r = 0; r < rows; ++r) sum += x[r * columns + c] * 0.5;
  return std::min(sum, limit(rows, columns));
}
}  // namespace n
"""


def of(text, kind):
    return [site.apply(text) for site in sites.find("kernels/a.cpp", text) if site.kind == kind]


class Sites(unittest.TestCase):
    def changed_lines(self, kind=None):
        return {site.line for site in sites.find("kernels/a.cpp", SAMPLE) if kind in (None, site.kind)}

    def test_leaves_alone_what_is_no_computation(self):
        self.assertEqual(self.changed_lines(), {9, 10, 12, 13})
        for site in sites.find("kernels/a.cpp", SAMPLE):
            self.assertNotIn("Error", SAMPLE[site.start : site.end], site)
            self.assertNotIn("to_string", SAMPLE[site.start : site.end], site)

    def test_finds_each_kind(self):
        self.assertEqual(of("x = a - b;", "arithmetic"), ["x = a + b;"])
        self.assertEqual(of("x += a;", "arithmetic"), ["x -= a;"])
        self.assertEqual(of("x = a <= b;", "relational"), ["x = a < b;"])
        self.assertEqual(of("if (!a && b) {", "logical"), ["if (a && b) {", "if (!a || b) {"])
        self.assertEqual(of("x = 0 + n;", "constant"), ["x = 1 + n;"])
        self.assertEqual(of("x = n + 1;", "constant"), ["x = n + 0;", "x = n + 2;"])
        self.assertEqual(of("x = 0.5f * 1e-3;", "constant"), ["x = 1.5f * 1e-3;", "x = 0.5f * (1e-3 * 2);"])
        self.assertEqual(of("x = 0xFFu;", "constant"), ["x = 0x100u;"])
        self.assertEqual(of("x = std::min(a, b);", "bound"), ["x = std::max(a, b);"])
        self.assertEqual(of("for (int i = 0; i < n; ++i) {", "bound"),
                         ["for (int i = 0; i < (n) + 1; ++i) {", "for (int i = 0; i < (n) - 1; ++i) {"])  # fmt: skip

    def test_drops_a_term_with_its_factors(self):
        self.assertEqual(of("x = a + f(b, 1) * c;", "dropped"), ["x = a;", "x = a + f(b, 1);"])
        self.assertEqual(of("x = a - static_cast<int>(b)[2];", "dropped"), ["x = a;"])

    def test_swaps_arguments_and_indices(self):
        self.assertEqual(of("f(rows, columns);", "swapped"), ["f(columns, rows);"])
        self.assertEqual(of("const S s{p.H, p.W};", "swapped"), ["const S s{p.W, p.H};"])
        self.assertEqual(of("x[row * s.D + d]", "swapped"), ["x[d * s.D + row]"])
        for text in ("[a, b](int c) {};", "y = std::max(a, b);", "enum E { kA, kB };", "struct S { V a, b, c; };"):
            self.assertEqual(of(text, "swapped"), [], text)

    def test_pointers_references_and_brackets_are_no_operators(self):
        for text in ("const T* x;", "auto&& y = z;", "std::vector<int> v;", "f(-x, &y);", "x = *p;"):
            self.assertEqual(of(text, "arithmetic") + of(text, "relational") + of(text, "logical"), [], text)

    def test_an_id_outlives_edits_elsewhere(self):
        before = {site.id for site in sites.find("kernels/a.cpp", SAMPLE)}
        after = [site.id for site in sites.find("kernels/a.cpp", "// one more line\n" + SAMPLE)]
        self.assertEqual(before, set(after))
        self.assertEqual(len(before), len(after), "two sites have one id")
        self.assertNotEqual(before, {site.id for site in sites.find("kernels/b.cpp", SAMPLE)})

    def test_keeps_the_text_of_literals(self):
        self.assertIn('f("x", 1)', of('y = f("x", 1) + b;', "dropped")[0])

    def test_knows_the_function_around(self):
        self.assertEqual(sites.function_around(SAMPLE, SAMPLE.index("sum +=")), "walk")
        text = "Var Linear::operator()(int n) {\n  return n + 1;\n}\n"
        self.assertEqual(sites.function_around(text, text.index("+")), "Linear")


class Draw(unittest.TestCase):
    def test_is_the_same_each_time_and_of_all_parts(self):
        with tempfile.TemporaryDirectory() as root:
            for name in ("kernels/a.cpp", "kernels/a.cu", "kernels/base/a.h", "engine/a.cpp", "models/a.cpp"):
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text('#include "kernels/base/a.h"\n' + SAMPLE if name != "kernels/base/a.h" else SAMPLE)
            wanted = dict.fromkeys(mutate.STRATA, 4)
            first, again = mutate.draw(root, wanted), mutate.draw(root, wanted)
            self.assertLess(len(mutate.draw(root, dict.fromkeys(mutate.STRATA, 99))["engine"]), 99)
        self.assertEqual(first, again)
        self.assertEqual(set(first), set(mutate.STRATA))
        for stratum, found in first.items():
            self.assertEqual(len({site.line for site in found}), 4, "one fault a line")
            self.assertEqual({mutate.stratum_of(site.path) for site in found}, {stratum})

    def test_the_next_is_of_the_stratum_that_lacks_most(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            order = {stratum: [f"{stratum}{i}" for i in range(9)] for stratum in mutate.STRATA}
            (folder / "results-0.jsonl").write_text(
                "".join(f'{{"id": "{s}0", "outcome": "killed"}}\n' for s in list(mutate.STRATA)[1:])
                + f'{{"id": "{next(iter(mutate.STRATA))}0", "outcome": "does not compile"}}\n'
            )
            self.assertEqual(mutate.next_of(folder, order, 0, 1, 20), next(iter(mutate.STRATA)) + "1")


class Nearest(unittest.TestCase):
    def test_asks_the_kernels_own_test_first_and_none_that_does_not_link_it(self):
        near = nearest.Nearest(mutate.ROOT)
        seconds = {path.stem: 1.0 for path in (mutate.ROOT / "tests").glob("test_*.c*")}

        def order(path):
            return [program for program, _ in near.order(path, "", seconds)]

        self.assertEqual(order("kernels/linear_simd.cpp")[0], "test_linear")
        self.assertEqual(order("kernels/linear.cu")[0], "test_linear_cuda")
        self.assertEqual(order("engine/ops/quantize.cpp")[0], "test_quantize_ops")
        self.assertNotIn("test_linear", order("models/trainer.cpp"))
        self.assertIn("test_program", order("models/trainer.cpp"))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
