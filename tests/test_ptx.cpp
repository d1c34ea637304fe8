// SPDX-License-Identifier: Apache-2.0
// The interpreter of PTX, on kernels written by hand: what instructions compute, how lanes part and meet, and what it
// refuses. What nvcc makes of our kernels runs in the tests ptx_*: see ptx.cmake and test_ptx_kernels.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/cuda_harness.h"
#include "tests/simt/ptx/interpreter.h"
#include "tests/simt/ptx/lanes.h"
#include "tests/simt/ptx/module.h"

namespace hourglass::test {
namespace {

using simt::ptx::Fault;
using simt::ptx::Unsupported;

/// A kernel of this body, which stores its result, a word a thread, by "st.global.u32 [%out], %r0;". %t is %tid.x.
std::string kernel_of(const std::string& body) {
  return R"(.version 8.0
.target sm_80
.extern .shared .align 16 .b8 dynamic[];
.shared .align 16 .b8 outer[32];
.shared .align 4 .u32 single;
.entry k(
  .param .u64 out_parameter,
  .param .u32 number
)
.maxntid 64, 1, 1
{
  .reg .pred %p, %q;
  .reg .b16 %h;
  .reg .b32 %r<2>, %t, %i, %odd, %votes, %own, %other, %start;
  .reg .b64 %d, %base, %offset, %out;
  .shared .align 16 .b8 scratch[256];
  ld.param.u64 %base, [out_parameter];
  mov.u32 %t, %tid.x;
  mul.wide.u32 %offset, %t, 4;
  add.s64 %out, %base, %offset;
)" + body +
         R"(
  ret;
}
)";
}

/// What is in memory when its threads have run: their stores into `memory`, where %base points to.
std::vector<uint32_t> run_on(const std::vector<uint32_t>& memory, const std::string& body, unsigned threads) {
  const uint32_t number = 7;
  const auto kernels = simt::ptx::parse_module(kernel_of(body), "hand.ptx");
  DeviceArray<uint32_t> out(memory);
  simt::ptx::Launch launch;
  launch.kernel = &kernels.at(0);
  launch.block = dim3(threads);
  launch.dynamic_bytes = 64;
  uint32_t* const pointer = out.data();
  launch.arguments.resize(sizeof pointer + sizeof number);
  std::memcpy(launch.arguments.data(), &pointer, sizeof pointer);
  std::memcpy(launch.arguments.data() + sizeof pointer, &number, sizeof number);
  simt::ptx::interpret(launch);
  return out.values();
}
std::vector<uint32_t> run(const std::string& body, unsigned threads = 32) {
  return run_on(std::vector<uint32_t>(threads), body, threads);
}

/// The one word that all threads of a warp store.
uint32_t word(const std::string& body) {
  const auto words = run(body + " st.global.u32 [%out], %r0;");
  EXPECT_EQ(std::count(words.begin(), words.end(), words[0]), 32);
  return words[0];
}

std::string bits_of(float x) {
  char text[16];
  std::snprintf(text, sizeof text, "0f%08X", std::bit_cast<uint32_t>(x));
  return text;
}
float number(const std::string& body) { return std::bit_cast<float>(word(body)); }

template <class Error>
void expect_thrown(const std::function<void()>& f, const std::string& part) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown; expected: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// ---------------------------------------------------------------- values

TEST(Ptx, Integers) {
  EXPECT_EQ(word("add.s32 %r0, -1, 3;"), 2u);
  EXPECT_EQ(word("mul.lo.s32 %r0, -3, 5;"), static_cast<uint32_t>(-15));
  EXPECT_EQ(word("mul.hi.s32 %r0, -1, 5;"), ~0u);
  EXPECT_EQ(word("mul.hi.u32 %r0, -1, 5;"), 4u);
  EXPECT_EQ(word("mul.wide.s32 %d, -1, 5; shr.u64 %d, %d, 32; cvt.u32.u64 %r0, %d;"), ~0u);
  EXPECT_EQ(word("mul.wide.u32 %d, -1, 5; shr.u64 %d, %d, 32; cvt.u32.u64 %r0, %d;"), 4u);
  EXPECT_EQ(word("mad.lo.s32 %r0, 3, 4, -5;"), 7u);
  EXPECT_EQ(word("div.s32 %r0, -7, 2;"), static_cast<uint32_t>(-3));
  EXPECT_EQ(word("div.u32 %r0, -7, 2;"), 0x7FFFFFFCu);
  EXPECT_EQ(word("rem.s32 %r0, -7, 2;"), ~0u);
  EXPECT_EQ(word("min.s32 %r0, -7, 2;"), static_cast<uint32_t>(-7));
  EXPECT_EQ(word("min.u32 %r0, -7, 2;"), 2u);
  EXPECT_EQ(word("shr.s32 %r0, -8, 1;"), static_cast<uint32_t>(-4));
  EXPECT_EQ(word("shr.s32 %r0, -8, 40;"), ~0u);
  EXPECT_EQ(word("shr.u32 %r0, -8, 40;"), 0u);
  EXPECT_EQ(word("shl.b32 %r0, 1, 32;"), 0u);
  EXPECT_EQ(word("not.b32 %r0, 5;"), ~5u);
  EXPECT_EQ(word("prmt.b32 %r0, 0x44332211, 0x88776655, 0xF715;"), 0xFF882266u);
  EXPECT_EQ(word("shf.l.wrap.b32 %r0, 0x80000000, 1, 1;"), 3u);
  EXPECT_EQ(word("mov.b32 %r0, {0x1234, 0x5678};"), 0x56781234u);
  EXPECT_EQ(word("mov.b32 {%h, %r0}, 0x56781234;"), 0x5678u);
  EXPECT_EQ(word("ld.param.u32 %r0, [number];"), 7u);
  EXPECT_EQ(word("ld.param.s8 %h, [number]; cvt.s32.s8 %r0, %h;"), 7u);
}

TEST(Ptx, Floats) {
  const std::string third = bits_of(1.0f / 3), tiny = bits_of(1e-9f), nan = bits_of(NAN);
  EXPECT_EQ(number("add.f32 %r0, " + third + ", " + tiny + ";"), 1.0f / 3);
  EXPECT_EQ(number("add.rz.f32 %r0, " + bits_of(1) + ", " + bits_of(-1e-9f) + ";"), std::nextafter(1.0f, 0.0f));
  EXPECT_EQ(number("add.rz.f32 %r0, " + bits_of(-1) + ", " + bits_of(-1e-9f) + ";"), -1.0f);
  EXPECT_EQ(number("fma.rn.f32 %r0, " + third + ", " + bits_of(3) + ", " + bits_of(-1) + ";"),
            std::fma(1.0f / 3, 3.0f, -1.0f));
  EXPECT_EQ(number("max.f32 %r0, " + nan + ", " + bits_of(2) + ";"), 2.0f);
  EXPECT_EQ(number("ex2.approx.ftz.f32 %r0, " + bits_of(3) + ";"), 8.0f);
  EXPECT_EQ(word("cvt.rzi.s32.f32 %r0, " + bits_of(-2.7f) + ";"), static_cast<uint32_t>(-2));
  EXPECT_EQ(word("cvt.rmi.s32.f32 %r0, " + bits_of(-2.2f) + ";"), static_cast<uint32_t>(-3));
  EXPECT_EQ(word("cvt.rni.s32.f32 %r0, " + bits_of(2.5f) + ";"), 2u);
  EXPECT_EQ(word("cvt.rzi.s32.f32 %r0, " + bits_of(1e20f) + ";"), 0x7FFFFFFFu);
  EXPECT_EQ(word("cvt.rzi.u32.f32 %r0, " + bits_of(-3) + ";"), 0u);
  EXPECT_EQ(word("cvt.rzi.s32.f32 %r0, " + nan + ";"), 0u);
  EXPECT_EQ(number("cvt.rn.f32.s32 %r0, -3;"), -3.0f);
  EXPECT_EQ(word("cvt.rn.bf16.f32 %h, " + bits_of(1.00390625f) + "; cvt.u32.u16 %r0, %h;"), 0x3F80u);  // a tie
  EXPECT_EQ(word("cvt.rn.bf16x2.f32 %r0, " + bits_of(2) + ", " + bits_of(1) + ";"), 0x40003F80u);
  EXPECT_EQ(word("cvt.rna.tf32.f32 %r0, 0x3F801000;"), 0x3F802000u);
}

TEST(Ptx, ComparisonsWithNan) {
  const std::string nan = bits_of(NAN), two = bits_of(2);
  const auto holds = [&](const std::string& test) {
    return word("setp." + test + ".f32 %p, " + nan + ", " + two + "; selp.u32 %r0, 1, 0, %p;") == 1;
  };
  for (const char* test : {"eq", "ne", "lt", "le", "gt", "ge", "num"}) EXPECT_FALSE(holds(test)) << test;
  for (const char* test : {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"}) EXPECT_TRUE(holds(test)) << test;
  EXPECT_EQ(word("setp.lt.s32 %p, -1, 1; setp.lt.and.u32 %q, -1, 1, %p; selp.u32 %r0, 1, 0, %q;"), 0u);
  EXPECT_EQ(word("setp.lt.s32 %p|%q, -1, 1; selp.u32 %r0, 1, 0, %q;"), 0u);
}

// ---------------------------------------------------------------- lanes

TEST(Ptx, LanesPartAndMeet) {
  const auto words = run(R"(
  and.b32 %odd, %t, 1;
  mov.u32 %r0, 0;
  mov.u32 %i, 0;
loop:
  add.s32 %r0, %r0, %i;
  add.s32 %i, %i, 1;
  setp.lt.u32 %p, %i, %t;
  @%p bra loop;
  setp.eq.u32 %p, %odd, 1;
  @!%p bra even;
  add.s32 %r0, %r0, 1000;
even:
  vote.sync.ballot.b32 %votes, %p, -1;
  setp.ne.u32 %q, %votes, 0xAAAAAAAA;
  @%q add.s32 %r0, %r0, 5000;
  st.global.u32 [%out], %r0;)");
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(words[t], (t ? t * (t - 1) / 2 : 0) + 1000 * (t % 2)) << t;
}

TEST(Ptx, WarpsExchangeThroughSharedMemory) {
  const auto words = run(R"(
  mul.lo.u32 %own, %t, 4;
  mov.u32 %start, scratch;
  add.s32 %own, %own, %start;
  st.shared.u32 [%own], %t;
  bar.sync 0;
  sub.s32 %other, 63, %t;
  mul.lo.u32 %other, %other, 4;
  ld.shared.u32 %r0, [%other];
  st.global.u32 [%out], %r0;)",
                         64);
  for (uint32_t t = 0; t < 64; ++t) EXPECT_EQ(words[t], 63 - t);
}

TEST(Ptx, DynamicSharedMemoryFollowsTheStatic) {
  EXPECT_EQ(word("mov.u32 %r0, dynamic;"), 256u);
  EXPECT_EQ(word("mov.u32 %r0, outer;"), 256u) << "the module's array, in the kernels that name it";
  EXPECT_EQ(word("mov.u32 %r1, outer; mov.u32 %r0, single;"), 288u);
  EXPECT_EQ(word("mov.u32 %r1, outer; mov.u32 %r0, dynamic;"), 384u);
  EXPECT_EQ(word("st.shared.u32 [dynamic+60], 9; ld.shared.u32 %r0, [dynamic+60];"), 9u);
}

// ---------------------------------------------------------------- matrices and copies

/// Whether the lanes of a warp, each with its words of A and B in memory, compute A B by this instruction.
bool multiplies(const std::string& instruction) {
  const auto a = [](int row, int k) { return static_cast<float>((row * 5 + k * 3) % 11 - 5); };
  const auto b = [](int k, int column) { return static_cast<float>((k * 7 + column * 2) % 9 - 4); };
  const auto two = [](float low, float high) {
    return std::bit_cast<uint32_t>(low) >> 16 | (std::bit_cast<uint32_t>(high) & 0xFFFF0000u);
  };
  std::vector<uint32_t> memory;
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, k = lane % 4 * 2;
    memory.insert(memory.end(), {two(a(g, k), a(g, k + 1)), two(a(g + 8, k), a(g + 8, k + 1)),
                                 two(a(g, k + 8), a(g, k + 9)), two(a(g + 8, k + 8), a(g + 8, k + 9)),
                                 two(b(k, g), b(k + 1, g)), two(b(k + 8, g), b(k + 9, g)), 0, 0});
  }
  const auto words = run_on(memory, R"(
  .reg .b32 %a<4>, %b<2>, %d<4>;
  mul.wide.u32 %offset, %t, 32;
  add.s64 %out, %base, %offset;
  ld.global.v4.u32 {%a0,%a1,%a2,%a3}, [%out];
  ld.global.v2.u32 {%b0,%b1}, [%out+16];
  mov.b32 %d0, 0; mov.b32 %d1, 0; mov.b32 %d2, 0; mov.b32 %d3, 0;
  )" + instruction + R"(
  st.global.v4.u32 [%out], {%d0,%d1,%d2,%d3};)",
                            32);
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a(row, k) * b(k, column);
      if (std::bit_cast<float>(words[static_cast<size_t>(8 * lane + i)]) != sum) return false;
    }
  }
  return true;
}

TEST(Ptx, MatrixProductsNeedTheirWordsInOrder) {
  const std::string opcode = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 ";
  EXPECT_TRUE(multiplies(opcode + "{%d0,%d1,%d2,%d3}, {%a0,%a1,%a2,%a3}, {%b0,%b1}, {%d0,%d1,%d2,%d3};"));
  EXPECT_FALSE(multiplies(opcode + "{%d0,%d1,%d2,%d3}, {%a0,%a2,%a1,%a3}, {%b0,%b1}, {%d0,%d1,%d2,%d3};"));
  EXPECT_FALSE(multiplies(opcode + "{%d0,%d1,%d2,%d3}, {%a0,%a1,%a2,%a3}, {%b1,%b0}, {%d0,%d1,%d2,%d3};"));
  EXPECT_FALSE(multiplies(opcode + "{%d0,%d2,%d1,%d3}, {%a0,%a1,%a2,%a3}, {%b0,%b1}, {%d0,%d2,%d1,%d3};"));
}

TEST(Ptx, LoadsMatrices) {
  const auto loaded = [](const std::string& transposed) {
    return run(R"(
  mul.lo.u32 %own, %t, 4;
  mov.u32 %start, scratch;
  add.s32 %own, %own, %start;
  shl.b32 %other, %t, 17;
  mad.lo.u32 %other, %t, 2, %other;
  add.s32 %other, %other, 0x10000;
  st.shared.u32 [%own], %other;
  bar.warp.sync -1;
  and.b32 %own, %t, 7;
  mad.lo.u32 %own, %own, 16, %start;
  ldmatrix.sync.aligned.m8n8.x1)" +
               transposed + R"(.shared.b16 {%r0}, [%own];
  st.global.u32 [%out], %r0;)");
  };
  const auto by_rows = loaded(""), by_columns = loaded(".trans");  // element i of the matrix is i
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t row = lane / 4, column = lane % 4 * 2;
    EXPECT_EQ(by_rows[lane], (8 * row + column) | (8 * row + column + 1) << 16) << lane;
    EXPECT_EQ(by_columns[lane], (8 * column + row) | (8 * (column + 1) + row) << 16) << lane;
  }
}

TEST(Ptx, CopiesArriveWhenTheirThreadWaits) {
  const auto copied = [](const std::string& bytes, const std::string& wait) {
    return run_on({9},
                  "cp.async.ca.shared.global [single], [%out], 4, " + bytes + "; cp.async.commit_group; " + wait + R"(
  ld.shared.u32 %r0, [single];
  cp.async.wait_all;
  st.global.u32 [%out], %r0;)",
                  1)[0];
  };
  EXPECT_EQ(copied("4", "cp.async.wait_group 0;"), 9u);
  EXPECT_EQ(copied("0", "cp.async.wait_group 0;"), 0u) << "of 4 bytes none is copied, and zeros follow";
  EXPECT_EQ(copied("4", "cp.async.wait_group 1;"), ~0u) << "the poison";
  EXPECT_EQ(copied("4", ""), ~0u);
}

// ---------------------------------------------------------------- faults

TEST(Ptx, FindsWhatKernelsMustNotDo) {
  const auto fault = [](const std::string& body, const std::string& part, unsigned threads = 32) {
    expect_thrown<Fault>([&] { run(body, threads); }, part);
  };
  fault("ld.global.u32 %r0, [%out+2];", "misaligned");
  fault("ld.global.u32 %r0, [%out+1048576];", "outside of every allocation");
  fault("st.shared.u32 [dynamic+64], 1;", "outside of shared");
  fault("setp.lt.u32 %p, %t, 5; @%p bra done; bar.sync 0; done:", "5 threads had exited");
  fault("setp.lt.u32 %p, %t, 5; @%p shfl.sync.idx.b32 %r0, %t, 0, 31, -1; bar.sync 0;", "that do not come");
  fault("shfl.sync.idx.b32 %r0, %t, 0, 31, 1;", "not in the mask");
  fault("setp.lt.u32 %p, %t, 5; @%p shfl.sync.idx.b32 %r0, %t, 9, 31, 31;", "which does not take part");
  fault("setp.lt.u32 %p, %t, 1; @%p bra done; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [scratch]; done:",
        "needs all lanes");
  fault("cp.async.cg.shared.global [scratch], [%base], 16, 16;", "never waited for");
  fault("trap;", "a trap");
  fault("add.s32 %r0, 1, 2;\n trap;", "hand.ptx:22: ");
}

TEST(Ptx, RefusesWhatItDoesNotKnow) {
  const auto refuses = [](const std::string& body, const std::string& part) {
    expect_thrown<Unsupported>([&] { simt::ptx::parse_module(kernel_of(body), "hand.ptx"); }, part);
  };
  refuses("frob.u32 %r0, 1;", "hand.ptx:21: PTX that the interpreter does not know: the opcode frob");
  refuses("add.sat.s32 %r0, 1, 2;", "modifier .sat");
  refuses("add.b16x2 %r0, 1, 2;", "this type");
  refuses("add.s32 %r0, 1;", "number of arguments");
  refuses("mov.u32 %r0, nothing;", "the name nothing");
  refuses("mov.u32 %r0, %clock;", "the register %clock");
  refuses("bra nowhere;", "the label nowhere");
  refuses("bar.sync 1;", "a barrier other than 0");
  refuses("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%r0,%r1}, {%t,%i}, {%odd}, {%r0,%r1};", "these types");
}

}  // namespace
}  // namespace hourglass::test
