// SPDX-License-Identifier: Apache-2.0
// cp.async. As in the emulator, a copy arrives when its thread waits for it, and its destination is poisoned until
// then.
#include <algorithm>
#include <cstring>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"

namespace simt::ptx {
namespace {

/// in: destination, source, and how many of the `mode` bytes are copied; zeros follow.
void start_copy(const Instruction& i, Lanes& lanes) {
  const uint32_t bytes = i.mode;
  Lanes reading = lanes;  // those that read anything
  lanes.each([&](int l) {
    if (get<uint32_t>(lanes.column(i.in[2]), l) == 0) reading.active &= ~(1u << l);
  });
  Instruction source = i;
  source.space = Space::kGlobal;
  source.access = Access::kLoad;
  std::array<unsigned char*, kLanes> to, from{};
  resolve(source, reading, i.in[1], i.second_offset, bytes, from);
  resolve(i, lanes, i.in[0], i.offset, bytes, to);
  lanes.each([&](int l) {
    const auto lane = static_cast<size_t>(l);
    const uint32_t copied = std::min(bytes, get<uint32_t>(lanes.column(i.in[2]), l));
    std::memset(to[lane], lanes.block.poison, bytes);
    lanes.warp.copies[lane].push_back({static_cast<uint64_t>(to[lane] - lanes.block.shared), from[lane], bytes, copied,
                                       lanes.warp.copy_groups[lane]});
  });
}

void commit(const Instruction&, Lanes& lanes) {
  lanes.each([&](int l) { ++lanes.warp.copy_groups[static_cast<size_t>(l)]; });
}

/// in: how many of the latest groups may still be under way; nothing: not even what was not committed.
void wait(const Instruction& i, Lanes& lanes) {
  lanes.each([&](int l) {
    const auto lane = static_cast<size_t>(l);
    std::vector<Copy>& copies = lanes.warp.copies[lane];
    const unsigned pending = i.in.empty() ? 0 : get<uint32_t>(lanes.column(i.in[0]), l);
    const auto under_way = [&](const Copy& copy) {
      return !i.in.empty() && copy.group + pending >= lanes.warp.copy_groups[lane];
    };
    const auto end = std::find_if(copies.begin(), copies.end(), under_way);
    for (auto copy = copies.begin(); copy != end; ++copy) {
      unsigned char* const to = lanes.block.shared + copy->to;
      if (copy->copied) std::memcpy(to, copy->from, copy->copied);
      std::memset(to + copy->copied, 0, copy->bytes - copy->copied);
    }
    copies.erase(copies.begin(), end);
  });
}

}  // namespace

bool decode_copy(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  if (m.opcode() != "cp") return false;
  if (!m.take("async")) throw Unsupported("a copy that is not asynchronous");
  if (m.take("commit_group")) {
    expect_arguments(arguments, 0, 0);
    instruction.execute = &commit;
  } else if (m.take("wait_all")) {
    expect_arguments(arguments, 0, 0);
    instruction.execute = &wait;
  } else if (m.take("wait_group")) {
    expect_arguments(arguments, 1, 1);
    instruction.in = arguments[0].columns;
    instruction.execute = &wait;
  } else {
    m.ignore({"cg", "ca"});
    if (!m.take("shared") || !m.take("global")) throw Unsupported("a copy between other memories");
    expect_arguments(arguments, 3, 4);
    instruction.space = Space::kShared;
    instruction.access = Access::kStore;
    instruction.in = {arguments[0].columns[0], arguments[1].columns[0], arguments.back().columns[0]};
    instruction.offset = arguments[0].offset;
    instruction.second_offset = arguments[1].offset;
    instruction.mode = static_cast<uint8_t>(arguments[2].immediate);
    if (instruction.mode != 4 && instruction.mode != 8 && instruction.mode != 16) throw Unsupported("this size");
    instruction.execute = &start_copy;
  }
  return true;
}

}  // namespace simt::ptx
