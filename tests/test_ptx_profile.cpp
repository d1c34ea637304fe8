// SPDX-License-Identifier: Apache-2.0
// What accesses cost, on kernels written by hand whose sectors and wavefronts are counted by hand.
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cuda_harness.h"
#include "tests/simt/ptx/interpreter.h"
#include "tests/simt/ptx/module.h"
#include "tests/simt/ptx/profile.h"

namespace hourglass::test {
namespace {

/// %base: 8 KiB of global memory; %t: %tid.x; `scratch`: 8 KiB of shared memory.
std::string kernel_of(const std::string& body) {
  return R"(.version 8.0
.target sm_80
.entry k(
  .param .u64 parameter
)
{
  .reg .pred %p;
  .reg .b32 %r<4>, %t, %own;
  .reg .f32 %f<4>;
  .reg .b64 %base, %offset, %at;
  .shared .align 128 .b8 scratch[8192];
  ld.param.u64 %base, [parameter];
  mov.u32 %t, %tid.x;
)" + body +
         R"(
  ret;
}
  .file 1 "/src/kernel.cu"
  .file 2 "/src/helper.cuh"
)";
}

/// The lines of the profile after one block has run.
std::vector<std::string> profile_of(const std::string& body, unsigned threads = 32) {
  const auto kernels = simt::ptx::parse_module(kernel_of(body), "hand.ptx");
  const DeviceArray<float> memory(std::vector<float>(2048));
  const float* const pointer = memory.data();
  simt::ptx::Profile profile;
  simt::ptx::Launch launch;
  launch.kernel = &kernels.at(0);
  launch.block = dim3(threads);
  launch.profile = &profile;
  launch.arguments.resize(sizeof pointer);
  std::memcpy(launch.arguments.data(), &pointer, sizeof pointer);
  simt::ptx::interpret(launch);
  std::stringstream text;
  profile.write(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

/// Space, access, bytes of a lane, executions, lanes, bytes, taken, least.
std::string counts_in(const std::string& line) {
  std::stringstream text(line);
  std::string file, kernel, counts, field;
  text >> file >> kernel;
  EXPECT_EQ(file + " " + kernel, "hand.ptx k");
  for (int i = 0; i < 8 && text >> field; ++i) counts += (i ? " " : "") + field;
  return counts;
}
std::string counts_of(const std::string& body, unsigned threads = 32) {
  const auto lines = profile_of(body, threads);
  EXPECT_EQ(lines.size(), 1u);
  return lines.empty() ? "" : counts_in(lines[0]);
}

/// `access` at base + first + stride * %tid.x.
std::string at_stride(int stride, const std::string& access, int first = 0) {
  return "mul.wide.s32 %offset, %t, " + std::to_string(stride) + "; add.s64 %at, %base, %offset; add.s64 %at, %at, " +
         std::to_string(first) + "; " + access;
}
const char* const kLoad = "ld.global.f32 %f0, [%at];";

TEST(PtxProfile, SectorsOfGlobalMemory) {
  EXPECT_EQ(counts_of(at_stride(4, kLoad)), "global load 4 1 32 128 4 4");
  EXPECT_EQ(counts_of(at_stride(4, "st.global.f32 [%at], %f0;")), "global store 4 1 32 128 4 4");
  EXPECT_EQ(counts_of(at_stride(4, "red.global.add.u32 [%at], 1;")), "global atomic 4 1 32 128 4 4");
  EXPECT_EQ(counts_of(at_stride(16, "ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%at];")), "global load 16 1 32 512 16 16");
  EXPECT_EQ(counts_of(at_stride(4, kLoad, 4)), "global load 4 1 32 128 5 4") << "begins inside a sector";
  EXPECT_EQ(counts_of(at_stride(8, kLoad)), "global load 4 1 32 128 8 4");
  EXPECT_EQ(counts_of(at_stride(128, kLoad)), "global load 4 1 32 128 32 4");
  EXPECT_EQ(counts_of(at_stride(0, kLoad)), "global load 4 1 32 128 1 1") << "all want the same";
  EXPECT_EQ(counts_of(at_stride(-4, kLoad, 124)), "global load 4 1 32 128 4 4") << "the order of lanes is free";
}

TEST(PtxProfile, LanesThatDoNotTakePartCostNothing) {
  const std::string few = "setp.lt.u32 %p, %t, 5; @%p ld.global.f32 %f0, [%at];";
  EXPECT_EQ(counts_of(at_stride(4, few)), "global load 4 1 5 20 1 1");
  EXPECT_EQ(counts_of(at_stride(4, few, 16)), "global load 4 1 5 20 2 1");
  EXPECT_EQ(counts_of(at_stride(4, kLoad), 40), "global load 4 2 40 160 5 5") << "a warp and a quarter";
}

TEST(PtxProfile, GenericAddressesCountWhereTheyLead) {
  const std::string shared = "mov.u64 %at, scratch; cvta.shared.u64 %at, %at; ld.f32 %f0, [%at];";
  EXPECT_EQ(counts_of(shared), "shared load 4 1 32 128 1 1");
  EXPECT_EQ(counts_of(at_stride(8, "ld.f32 %f0, [%at];")), "global load 4 1 32 128 8 4");
}

/// `access` at %own = scratch + stride * %tid.x.
std::string in_shared(int stride, const std::string& access) {
  return "mul.lo.u32 %own, %t, " + std::to_string(stride) + "; mov.u32 %r0, scratch; add.s32 %own, %own, %r0; " +
         access;
}

TEST(PtxProfile, WavefrontsOfSharedMemory) {
  const std::string word = "ld.shared.f32 %f0, [%own];", half = "st.shared.u16 [%own], 1;";
  EXPECT_EQ(counts_of(in_shared(4, word)), "shared load 4 1 32 128 1 1");
  EXPECT_EQ(counts_of(in_shared(8, word)), "shared load 4 1 32 128 2 1");
  EXPECT_EQ(counts_of(in_shared(128, word)), "shared load 4 1 32 128 32 1");
  EXPECT_EQ(counts_of(in_shared(132, word)), "shared load 4 1 32 128 1 1") << "a column of padded rows";
  EXPECT_EQ(counts_of(in_shared(0, word)), "shared load 4 1 32 128 1 1") << "one word for all";
  EXPECT_EQ(counts_of(in_shared(2, half)), "shared store 2 1 32 64 1 1") << "two lanes to a word";
  EXPECT_EQ(counts_of(in_shared(128, half)), "shared store 2 1 32 64 32 1");
}

TEST(PtxProfile, WavefrontsOfVectors) {
  const std::string two = "ld.shared.v2.f32 {%f0, %f1}, [%own];";
  const std::string four = "ld.shared.v4.f32 {%f0, %f1, %f2, %f3}, [%own];";
  EXPECT_EQ(counts_of(in_shared(8, two)), "shared load 8 1 32 256 2 2");
  EXPECT_EQ(counts_of(in_shared(16, two)), "shared load 8 1 32 256 4 2");
  EXPECT_EQ(counts_of(in_shared(16, four)), "shared load 16 1 32 512 4 4");
  EXPECT_EQ(counts_of(in_shared(32, four)), "shared load 16 1 32 512 8 4");
  EXPECT_EQ(counts_of(in_shared(16, "setp.lt.u32 %p, %t, 9; @%p " + four)), "shared load 16 1 9 144 2 2");
}

TEST(PtxProfile, WavefrontsOfMatrices) {
  const std::string four = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1, %r2, %r3}, [%own];";
  const std::string one = "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%own];";
  EXPECT_EQ(counts_of(in_shared(16, four)), "shared load 16 1 32 512 4 4");
  EXPECT_EQ(counts_of(in_shared(128, four)), "shared load 16 1 32 512 32 4");
  EXPECT_EQ(counts_of(in_shared(144, four)), "shared load 16 1 32 512 4 4") << "padded rows";
  EXPECT_EQ(counts_of(in_shared(128, one)), "shared load 16 1 8 128 8 1") << "the rows that are read";
}

TEST(PtxProfile, ACopyReadsGlobalAndWritesSharedMemory) {
  const auto lines = profile_of(at_stride(16, in_shared(128, R"(
  cp.async.cg.shared.global [%own], [%at], 16, 16;
  cp.async.wait_all;)"),
                                          16));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(counts_in(lines[0]), "global load 16 1 32 512 17 16");
  EXPECT_EQ(counts_in(lines[1]), "shared store 16 1 32 512 32 4");
}

TEST(PtxProfile, PlacesAreThoseOfTheSource) {
  const auto lines = profile_of(R"(
  .loc 1 30 5
  ld.global.f32 %f0, [%base];
  .loc 2 7 3, function_name $L__info_string0, inlined_at 1 30 5
  ld.global.f32 %f1, [%base];
  .loc 2 9 3, function_name $L__info_string1+4, inlined_at 2 7 3
  .loc 2 0 3
  ld.global.f32 %f2, [%base+64];
  ld.global.f32 %f2, [%base+96];)");
  ASSERT_EQ(lines.size(), 3u);
  const auto ends = [&](size_t i, const std::string& places) {
    const std::string end = "\t" + places;
    return lines[i].size() > end.size() && lines[i].substr(lines[i].size() - end.size()) == end;
  };
  EXPECT_TRUE(ends(0, "1\t1\t/src/kernel.cu:30")) << lines[0];
  EXPECT_TRUE(ends(1, "1\t1\t/src/helper.cuh:7\t/src/kernel.cu:30")) << lines[1];
  EXPECT_TRUE(ends(2, "2\t2\t/src/helper.cuh:9\t/src/helper.cuh:7\t/src/kernel.cu:30")) << lines[2];
}

}  // namespace
}  // namespace hourglass::test
