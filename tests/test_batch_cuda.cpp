// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch.h"
#include "tests/cases/batch.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

/// BatchOrder with what it points to, on the host and on the device.
struct Order {
  uint32_t seed = 7;
  std::vector<int64_t> step;
  std::vector<int32_t> rows, table;

  BatchOrder on_host() const {
    return {seed, step.empty() ? nullptr : step.data(), rows.empty() ? nullptr : rows.data(),
            table.empty() ? nullptr : table.data()};
  }
};
struct OrderOnDevice {
  DeviceArray<int64_t> step;
  DeviceArray<int32_t> rows, table;
  BatchOrder order;

  explicit OrderOnDevice(const Order& host) : step(host.step), rows(host.rows), table(host.table) {
    order = {host.seed, host.step.empty() ? nullptr : step.data(), host.rows.empty() ? nullptr : rows.data(),
             host.table.empty() ? nullptr : table.data()};
  }
};

const std::vector<Binarize> kBinarize = {
    {}, {Binarization::kStatic, 5, stream_id("binarize")}, {Binarization::kDynamic, 5, stream_id("train/binarize")}};

/// Indices and bits drawn are the CPU's; so is each float.
template <class Source, class T>
void check_gather(BatchShape s, const std::vector<Source>& data, const Order& order, Binarize binarize,
                  int offset = 0) {
  std::vector<float> x(static_cast<size_t>(int64_t{s.N} * s.D));
  std::vector<int32_t> indices(static_cast<size_t>(s.N));
  cpu::gather_batch<Source, float>({}, s, data.data(), order.on_host(), binarize, x.data(), indices.data());
  const DeviceArray<Source> device_data(data, offset);
  const OrderOnDevice on_device(order);
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<T> device_x(int64_t{s.N} * s.D, offset);
    DeviceArray<int32_t> device_indices(s.N);
    cuda::gather_batch(ctx, s, device_data.data(), on_device.order, binarize, device_x.data(), device_indices.data());
    return std::tuple(device_x.values(), device_indices.values());
  });
  std::vector<T> want;
  for (const float value : x) want.push_back(static_cast<T>(value));
  expect_same_bits(std::get<0>(got), want, "x");
  expect_same_bits(std::get<1>(got), indices, "indices");
}

template <class T>
void check_all() {
  for (BatchShape s : kBatchCases) {
    s.dataset = std::min(s.dataset, 300);
    SCOPED_TRACE(describe("batch", {s.N, s.D, s.first_row, s.global_batch, s.dataset}));
    const auto bytes = random_integers<uint8_t>(int64_t{s.dataset} * s.D, 1, 0, 255);
    const auto floats = random_values<float>(int64_t{s.dataset} * s.D, 2, 0, 1);
    for (const Binarize& binarize : kBinarize) {
      check_gather<uint8_t, T>(s, bytes, {7, {3}, {}, {}}, binarize);
      check_gather<float, T>(s, floats, {7, {3}, {}, {}}, binarize);
    }
    check_gather<uint8_t, T>(s, bytes, {7, {}, {}, {}}, kBinarize[2], 1);  // no step counter; unaligned
  }
}

using BatchCuda = CudaTest;

TEST_F(BatchCuda, FloatIsTheReference) { check_all<float>(); }
TEST_F(BatchCuda, Bf16IsTheReferenceRounded) { check_all<bf16>(); }

TEST_F(BatchCuda, EvaluationTakesRowsATableAndMasks) {
  const BatchShape s{5, 6, 0, 0, 4};
  const auto data = random_integers<uint8_t>(10 * 6, 1, 0, 255);
  for (const Binarize& binarize : kBinarize) {
    check_gather<uint8_t, float>(s, data, {0, {}, {3, -1, 0, 3, 2}, {9, 8, 7, 1}}, binarize);
    check_gather<uint8_t, float>(s, data, {0, {4}, {3, -1, 0, 3, 2}, {}}, binarize);
  }
}

/// Samples longer than a block's reach are cut into segments of several blocks.
TEST_F(BatchCuda, LongSamples) {
  const BatchShape s{3, 5000, 0, 3, 7};
  const auto data = random_integers<uint8_t>(7 * 5000, 1, 0, 255);
  for (const Binarize& binarize : kBinarize) check_gather<uint8_t, float>(s, data, {7, {11}, {}, {}}, binarize);
}

/// A block takes several rows in turn, and their indices with them.
TEST_F(BatchCuda, MoreRowsThanBlocks) {
  const BatchShape s{2100, 260, 0, 2100, 2100};
  check_gather<uint8_t, float>(s, random_integers<uint8_t>(2100 * 260, 1, 0, 255), {7, {11}, {}, {}}, {});
}

/// The rows of a step's batch lie in the slot of the step, whatever the store has.
TEST_F(BatchCuda, StagedBatchesAreReadInsteadOfTheStore) {
  for (const int columns : {6, 64}) {
    const BatchShape s{5, columns, 3, 8, 50};
    const auto data = random_integers<uint8_t>(50 * columns, 1, 0, 255);
    const std::vector<int64_t> step = {4};
    const BatchOrder on_host{7, step.data()};
    std::vector<float> want(static_cast<size_t>(5 * columns));
    std::vector<int32_t> indices(5);
    cpu::gather_batch<uint8_t, float>({}, s, data.data(), on_host, {}, want.data(), indices.data());
    std::vector<uint8_t> slot(static_cast<size_t>(8 * columns));
    for (int r = 0; r < 5; ++r) {
      std::copy_n(data.data() + indices[static_cast<size_t>(r)] * columns, columns, slot.data() + (3 + r) * columns);
    }
    const DeviceArray<uint8_t> device_slot(slot);
    const std::vector<const void*> slots = {nullptr, device_slot.data(), nullptr};  // 4 % 3
    const DeviceArray<const void*> device_slots(slots);
    const DeviceArray<int64_t> device_step(step);
    BatchOrder order{7, device_step.data()};
    order.staged = {device_slots.data(), 3};
    const auto got = on_cuda([&](const Context& ctx) {
      DeviceArray<float> x(5 * columns);
      DeviceArray<int32_t> device_indices(5);
      cuda::gather_batch<uint8_t, float>(ctx, s, nullptr, order, {}, x.data(), device_indices.data());
      return std::tuple(x.values(), device_indices.values());
    });
    expect_same_bits(std::get<0>(got), want, "x");
    expect_same_bits(std::get<1>(got), indices, "indices");
  }
}

TEST_F(BatchCuda, RefusesABatchLargerThanTheDataSet) {
  const auto run = [] {
    cuda::gather_batch<float, float>(cuda_context(), {9, 1, 0, 9, 8}, nullptr, {}, {}, nullptr, nullptr);
  };
  expect_error(run, Exit::kUsage, {"batch", "9"});
}

}  // namespace
}  // namespace hourglass::test
