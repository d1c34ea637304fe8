// SPDX-License-Identifier: Apache-2.0
// mma.sync and ldmatrix. Written from the PTX ISA ("Matrix Fragments for mma.m16n8k16", "... m16n8k8", "ldmatrix"),
// without a look at the emulator's: element by element, so that one can be held to the other.
#include <bit>
#include <cstring>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"
#include "tests/simt/tensor_core_sum.h"

namespace simt::ptx {
namespace {

struct Place {
  int row, column;
};

/// Element i of the fragment of A that a lane holds: 8 of bf16, 4 of tf32.
Place place_in_a(bool bf16, int lane, int i) {
  const int group = lane >> 2, thread = lane & 3;
  if (!bf16) return {i == 0 || i == 2 ? group : group + 8, i < 2 ? thread : thread + 4};
  const bool upper = (i >= 0 && i < 2) || (i >= 4 && i < 6);
  return {upper ? group : group + 8, thread * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
}
/// Of B: 4 of bf16, 2 of tf32.
Place place_in_b(bool bf16, int lane, int i) {
  const int group = lane >> 2, thread = lane & 3;
  if (!bf16) return {i == 0 ? thread : thread + 4, group};
  return {thread * 2 + (i & 1) + (i >= 2 ? 8 : 0), group};
}
/// Of C and D: 4.
Place place_in_d(int lane, int i) { return {i < 2 ? lane >> 2 : (lane >> 2) + 8, (lane & 3) * 2 + (i & 1)}; }

/// Element i of the words that begin at `in[first]`.
float element(const Instruction& instruction, const Lanes& lanes, size_t first, bool bf16, int lane, int i) {
  const size_t word = first + static_cast<size_t>(bf16 ? i / 2 : i);
  const uint32_t bits = get<uint32_t>(lanes.column(instruction.in[word]), lane);
  if (!bf16) return std::bit_cast<float>(bits & ~0x1FFFu);  // the unit reads 19 bits
  return std::bit_cast<float>((i & 1 ? bits >> 16 : bits & 0xFFFFu) << 16);
}

/// in: 4 words of A, 2 of B, 4 of C. mode: whether the operands are bf16, else tf32.
void multiply(const Instruction& i, Lanes& lanes) {
  const bool bf16 = i.mode != 0;
  const int depth = bf16 ? 16 : 8, per_word = bf16 ? 2 : 1;
  double a[16][16], b[16][8];
  float d[kLanes][4];
  for (int l = 0; l < kLanes; ++l) {
    for (int k = 0; k < 4 * per_word; ++k) {
      const Place place = place_in_a(bf16, l, k);
      a[place.row][place.column] = element(i, lanes, 0, bf16, l, k);
    }
    for (int k = 0; k < 2 * per_word; ++k) {
      const Place place = place_in_b(bf16, l, k);
      b[place.row][place.column] = element(i, lanes, 4, bf16, l, k);
    }
  }
  for (int l = 0; l < kLanes; ++l) {
    for (int k = 0; k < 4; ++k) {
      const Place place = place_in_d(l, k);
      float sum = get<float>(lanes.column(i.in[static_cast<size_t>(6 + k)]), l);
      for (int at = 0; at < depth; at += bf16 ? kTermsOfBf16 : kTermsOfTf32) {
        const double *row = a[place.row] + at, *column = &b[at][place.column];
        sum = bf16 ? add_products<kTermsOfBf16>(sum, row, column, 8) : add_products<kTermsOfTf32>(sum, row, column, 8);
      }
      d[l][k] = sum;
    }
  }
  for (int l = 0; l < kLanes; ++l) {
    for (int k = 0; k < 4; ++k) set(lanes.column(i.out[static_cast<size_t>(k)]), l, d[l][k]);
  }
}

/// Lanes 8 m to 8 m + 7 give the rows of matrix m. mode: transposed.
void load_matrices(const Instruction& i, Lanes& lanes) {
  std::array<unsigned char*, kLanes> rows;
  Lanes giving = lanes;
  if (i.out.size() < 4) giving.active = (1u << 8 * i.out.size()) - 1;
  resolve(i, giving, i.in[0], i.offset, 16, rows);
  uint16_t matrices[4][8][8];
  for (size_t row = 0; row < 8 * i.out.size(); ++row) std::memcpy(matrices[row / 8][row % 8], rows[row], 16);
  for (size_t m = 0; m < i.out.size(); ++m) {
    for (int l = 0; l < kLanes; ++l) {
      const int major = l / 4, minor = l % 4 * 2;
      const uint16_t low = i.mode ? matrices[m][minor][major] : matrices[m][major][minor];
      const uint16_t high = i.mode ? matrices[m][minor + 1][major] : matrices[m][major][minor + 1];
      set(lanes.column(i.out[m]), l, static_cast<uint32_t>(high) << 16 | low);
    }
  }
}

void decode_multiply(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  const bool bf16 = m.take("m16n8k16");
  if (!bf16 && !m.take("m16n8k8")) throw Unsupported("this shape");
  if (!m.take("row") || !m.take("col")) throw Unsupported("this layout");
  const Type operand = bf16 ? Type::kBf16 : Type::kTf32;
  if (m.take_type() != Type::kF32 || m.take_type() != operand || m.take_type() != operand ||
      m.take_type() != Type::kF32) {
    throw Unsupported("these types");
  }
  expect_arguments(arguments, 4, 4);
  constexpr size_t kWords[] = {4, 4, 2, 4};
  for (size_t k = 0; k < 4; ++k) {
    if (arguments[k].columns.size() != kWords[k]) throw Unsupported("a fragment of this size");
    std::vector<int>& columns = k == 0 ? instruction.out : instruction.in;
    columns.insert(columns.end(), arguments[k].columns.begin(), arguments[k].columns.end());
  }
  instruction.mode = bf16;
  instruction.execute = &multiply;
}

void decode_load(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  const int count = m.choose({"x1", "x2", "x4"});
  instruction.mode = m.take("trans");
  if (!m.take("m8n8") || !m.take("b16") || !m.take("shared")) throw Unsupported("this form");
  expect_arguments(arguments, 2, 2);
  if (count < 0 || arguments[0].columns.size() != size_t{1} << count) throw Unsupported("this number of matrices");
  instruction.space = Space::kShared;
  instruction.access = Access::kLoad;
  instruction.out = arguments[0].columns;
  instruction.in = arguments[1].columns;
  instruction.offset = arguments[1].offset;
  instruction.execute = &load_matrices;
}

}  // namespace

bool decode_tensor_core(Mnemonic& m, const Arguments& arguments, Instruction& instruction, Constants& constants) {
  if (m.opcode() != "mma" && m.opcode() != "ldmatrix") return false;
  if (!m.take("sync") || !m.take("aligned")) throw Unsupported("without .sync.aligned");
  if (m.opcode() == "mma") {
    decode_multiply(m, arguments, instruction);
  } else {
    decode_load(m, arguments, instruction);
  }
  instruction.flow = Flow::kConverge;
  instruction.whole_warp = true;
  instruction.in.push_back(constants.constant(kAllLanes));
  return true;
}

}  // namespace simt::ptx
