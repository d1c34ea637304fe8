// SPDX-License-Identifier: Apache-2.0
// conv2d_backward_epilogue on the device: dz in place of dy, and the gradient of the bias, in one pass.
#include "kernels/conv2d.h"
#include "tests/cuda_harness.h"

namespace hourglass {
namespace {

using namespace test;

using Conv2dEpilogueCuda = CudaTest;

struct Extents {
  int64_t rows;
  int channels;
};
/// One block; several; one with partial sums of many blocks; several tiles of channels; nothing to vectorise.
const std::vector<Extents> kExtents = {{1, 1}, {5, 8}, {300, 32}, {2000, 3}, {40, 260}, {9, 1031}, {0, 5}, {4, 0}};

struct Gradients {
  std::vector<double> dz, db;
};

template <class T>
Gradients reference(const Conv2dEpilogueShape& s, const std::vector<T>& y, const std::vector<T>& dy) {
  Gradients r{converted<double>(dy), std::vector<double>(static_cast<size_t>(s.channels))};
  const auto of_y = converted<double>(y);
  cpu::conv2d_backward_epilogue<double>({}, s, of_y.data(), r.dz.data(), {r.db.data()});
  return r;
}

template <class T>
std::tuple<std::vector<T>, std::vector<float>> on_device(const Conv2dEpilogueShape& s, const std::vector<T>& y,
                                                         const std::vector<T>& dy, int offset = 0) {
  return on_cuda([&](const Context& ctx) {
    const DeviceArray<T> of_y(y, offset);
    DeviceArray<T> dz(dy, offset);
    DeviceArray<float> db(s.channels, offset);
    cuda::conv2d_backward_epilogue<T>(ctx, s, of_y.data(), dz.data(), {db.data()});
    return std::tuple(dz.values(), db.values());
  });
}

template <class T>
void expect_matches(Activation activation, int offset) {
  for (const Extents& e : kExtents) {
    const Conv2dEpilogueShape s{e.rows, e.channels, activation};
    const std::string name = describe(activation_name(activation), {e.rows, e.channels});
    const int64_t n = e.rows * e.channels;
    const auto y = random_values<T>(n, 1, 0.1, 0.9), dy = random_values<T>(n, 2);
    const Gradients want = reference(s, y, dy);
    const auto [dz, db] = on_device(s, y, dy, offset);
    expect_close(dz, want.dz, cuda_tolerance<T>(1), name + ", dz");
    // db sums the stored dz.
    const Gradients sums = reference(Conv2dEpilogueShape{e.rows, e.channels}, y, dz);
    expect_close(db, sums.db, fp32_tolerance(e.rows), name + ", db");
  }
}

TEST_F(Conv2dEpilogueCuda, MatchesTheReference) {
  for (Activation a : kActivations) {
    if (a == Activation::kGelu) continue;
    expect_matches<float>(a, 0);
  }
  expect_matches<float>(Activation::kTanh, 1);
  expect_matches<bf16>(Activation::kSigmoid, 0);
  expect_matches<bf16>(Activation::kRelu, 3);
}

TEST_F(Conv2dEpilogueCuda, WholeNumbersAreExact) {
  const Conv2dEpilogueShape s{700, 36, Activation::kRelu};
  const auto y = random_integers<float>(s.rows * s.channels, 1), dy = random_integers<float>(s.rows * s.channels, 2);
  const Gradients want = reference(s, y, dy);
  const auto [dz, db] = on_device(s, y, dy);
  expect_close(dz, want.dz, exact(), "dz");
  expect_close(db, want.db, exact(), "db");
}

TEST_F(Conv2dEpilogueCuda, SetsAddsAndSkips) {
  const Conv2dEpilogueShape s{300, 12};
  const auto dy = random_values<float>(s.rows * s.channels, 2);
  expect_set_and_add_on_cuda<float>(
      s.channels,
      [&](const Context& ctx, Grad<float> db) {
        DeviceArray<float> dz(dy);
        cuda::conv2d_backward_epilogue<float>(ctx, s, nullptr, dz.data(), db);
        expect_same_bits(dz.values(), dy, "without an activation dy is only read");
      },
      fp32_tolerance(s.rows));
}

TEST_F(Conv2dEpilogueCuda, RefusesGelu) {
  expect_error(
      [] {
        cuda::conv2d_backward_epilogue<float>(cuda_context(), {2, 3, Activation::kGelu}, nullptr, nullptr, {});
      },
      Exit::kUsage, {"gelu"});
}

}  // namespace
}  // namespace hourglass
