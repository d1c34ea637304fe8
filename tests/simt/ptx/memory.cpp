// SPDX-License-Identifier: Apache-2.0
// Loads, stores, atomics and address conversions. Global and generic addresses are addresses of this process; those of
// shared, local and parameter memory count from its beginning.
#include <algorithm>
#include <type_traits>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"
#include "tests/simt/ptx/profile.h"
#include "tests/simt/stream.h"

namespace simt::ptx {
namespace {

std::string hexadecimal(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

[[noreturn]] void bad_address(const char* what, uint64_t address, size_t bytes, int lane) {
  throw Fault(std::string(what) + ": lane " + std::to_string(lane) + " accesses " + std::to_string(bytes) +
              " bytes at " + hexadecimal(address));
}

/// A memory that begins at `base`, seen through offsets.
void resolve_in(const Lanes& lanes, const Column& addresses, int64_t offset, size_t bytes, unsigned char* base,
                size_t size, size_t stride, std::array<unsigned char*, kLanes>& to) {
  lanes.each([&](int l) {
    // 32-bit registers hold these addresses too: what stands above is not part of them.
    const uint64_t at = (get<uint64_t>(addresses, l) + static_cast<uint64_t>(offset)) & 0xFFFFFFFFu;
    if (at % bytes != 0) bad_address("misaligned", at, bytes, l);
    if (at + bytes > size) bad_address("outside of shared, local or parameter memory", at, bytes, l);
    to[static_cast<size_t>(l)] = base + static_cast<size_t>(l) * stride + at;
  });
}

bool lies_in(const unsigned char* p, size_t bytes, const unsigned char* memory, size_t size) {
  return p >= memory && p + bytes <= memory + size;
}

void check_generic(const Lanes& lanes, const unsigned char* p, size_t bytes, int lane) {
  if (is_device_memory(p, bytes) || is_pinned_memory(p, bytes)) return;
  if (lies_in(p, bytes, lanes.block.shared, lanes.block.shared_bytes)) return;
  if (lies_in(p, bytes, lanes.warp.local.data(), lanes.warp.local.size())) return;
  bad_address("outside of every allocation", reinterpret_cast<uint64_t>(p), bytes, lane);
}

void resolve_pointers(const Lanes& lanes, const Column& addresses, int64_t offset, size_t bytes,
                      std::array<unsigned char*, kLanes>& to) {
  uint64_t lowest = ~uint64_t{0}, highest = 0;
  lanes.each([&](int l) {
    const uint64_t at = get<uint64_t>(addresses, l) + static_cast<uint64_t>(offset);
    if (at % bytes != 0) bad_address("misaligned", at, bytes, l);
    lowest = std::min(lowest, at);
    highest = std::max(highest, at);
    to[static_cast<size_t>(l)] = reinterpret_cast<unsigned char*>(at);
  });
  if (lanes.active == 0 || is_device_memory(reinterpret_cast<void*>(lowest), highest - lowest + bytes)) return;
  lanes.each([&](int l) { check_generic(lanes, to[static_cast<size_t>(l)], bytes, l); });
}

// ---------------------------------------------------------------- loads and stores

/// A signed value fills the wider register that may receive it.
template <class T>
uint64_t widened(T value) {
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  } else {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
  }
}

struct Load {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    std::array<unsigned char*, kLanes> from;
    resolve(i, lanes, i.in[0], i.offset, sizeof(T) * i.out.size(), from);
    for (size_t k = 0; k < i.out.size(); ++k) {
      Column& d = lanes.column(i.out[k]);
      lanes.each([&](int l) {
        T value;
        std::memcpy(&value, from[static_cast<size_t>(l)] + k * sizeof(T), sizeof value);
        d[static_cast<size_t>(l)] = widened(value);
      });
    }
  }
  template <class T>
  static Execute of() {
    return &run<T>;
  }
};

struct Store {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    std::array<unsigned char*, kLanes> to;
    const size_t values = i.in.size() - 1;
    resolve(i, lanes, i.in[0], i.offset, sizeof(T) * values, to);
    for (size_t k = 0; k < values; ++k) {
      const Column& a = lanes.column(i.in[k + 1]);
      lanes.each([&](int l) {
        const T value = get<T>(a, l);
        std::memcpy(to[static_cast<size_t>(l)] + k * sizeof(T), &value, sizeof value);
      });
    }
  }
  template <class T>
  static Execute of() {
    return &run<T>;
  }
};

// ---------------------------------------------------------------- atomics

enum Atomic : uint8_t { kAdd, kMin, kMax, kExchange, kCompareAndSwap, kAnd, kOr, kXor, kIncrement, kDecrement };

template <class T>
T atomic_result(uint8_t mode, T old, T b, T c) {
  switch (mode) {
    case kMin:
      return std::min(old, b);
    case kMax:
      return std::max(old, b);
    case kExchange:
      return b;
    case kCompareAndSwap:
      return old == b ? c : old;
    case kIncrement:
      return old >= b ? T{0} : static_cast<T>(old + 1);
    case kDecrement:
      return old == 0 || old > b ? b : static_cast<T>(old - 1);
    default:
      break;
  }
  if constexpr (std::is_unsigned_v<T>) {
    if (mode == kAnd) return static_cast<T>(old & b);
    if (mode == kOr) return static_cast<T>(old | b);
    if (mode == kXor) return static_cast<T>(old ^ b);
  }
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(old) + static_cast<uint64_t>(b));
  } else {
    return old + b;
  }
}

struct AtomicUpdate {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    std::array<unsigned char*, kLanes> at;
    resolve(i, lanes, i.in[0], i.offset, sizeof(T), at);
    lanes.each([&](int l) {
      T old;
      std::memcpy(&old, at[static_cast<size_t>(l)], sizeof old);
      const T c = i.in.size() > 2 ? get<T>(lanes.column(i.in[2]), l) : T{0};
      const T updated = atomic_result(i.mode, old, get<T>(lanes.column(i.in[1]), l), c);
      std::memcpy(at[static_cast<size_t>(l)], &updated, sizeof updated);
      if (!i.out.empty()) set(lanes.column(i.out[0]), l, old);
    });
  }
  template <class T>
  static Execute of() {
    return &run<T>;
  }
};

// ---------------------------------------------------------------- decoding

Space take_space(Mnemonic& m) {
  constexpr Space kSpaces[] = {Space::kGlobal, Space::kShared, Space::kLocal, Space::kParameter, Space::kGeneric};
  return kSpaces[m.choose({"global", "shared", "local", "param"}, 4)];
}

void take_address(const Argument& argument, Instruction& instruction) {
  if (!argument.address) throw Unsupported("an access without an address");
  instruction.in.insert(instruction.in.begin(), argument.columns[0]);
  instruction.offset = argument.offset;
}

void decode_access(Mnemonic& m, const Arguments& arguments, Instruction& instruction, bool store) {
  expect_arguments(arguments, 2, 2);
  const int vector = m.choose({"v2", "v4"});
  const size_t values = vector < 0 ? 1 : vector == 0 ? 2 : 4;
  m.ignore({"nc", "cg", "ca", "cs", "lu", "wb", "wt", "volatile", "relaxed", "weak", "acquire", "gpu", "cta"});
  const Argument& data = arguments[store ? 1 : 0];
  if (data.columns.size() != values) throw Unsupported("a vector of another length");
  (store ? instruction.in : instruction.out) = data.columns;
  instruction.access = store ? Access::kStore : Access::kLoad;
  take_address(arguments[store ? 0 : 1], instruction);
  instruction.execute = store ? for_type<Store>(instruction.type) : for_type<Load>(instruction.type);
}

void decode_atomic(Mnemonic& m, const Arguments& arguments, Instruction& instruction, bool returns) {
  m.ignore({"relaxed", "gpu", "cta"});
  const int mode = m.choose({"add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec"});
  const size_t first = returns ? 1 : 0, values = mode == kCompareAndSwap ? 2 : 1;
  expect_arguments(arguments, first + 1 + values, first + 1 + values);
  if (mode < 0) throw Unsupported("this atomic");
  instruction.mode = static_cast<uint8_t>(mode);
  instruction.access = Access::kAtomic;
  if (returns) instruction.out = arguments[0].columns;
  for (size_t k = 0; k < values; ++k) instruction.in.push_back(arguments[first + 1 + k].columns[0]);
  take_address(arguments[first], instruction);
  instruction.execute = for_type<AtomicUpdate>(instruction.type);
}

/// Between a generic address and one of the memory `space`; the two directions differ by its base.
void convert_address(const Instruction& i, Lanes& lanes) {
  const Column& a = lanes.column(i.in[0]);
  lanes.each([&](int l) {
    uint64_t base = 0;
    if (i.space == Space::kShared) base = reinterpret_cast<uint64_t>(lanes.block.shared);
    if (i.space == Space::kLocal) {
      base = reinterpret_cast<uint64_t>(lanes.warp.local.data()) +
             static_cast<uint64_t>(l) * lanes.block.kernel->local_bytes;
    }
    const uint64_t from = get<uint64_t>(a, l);
    set(lanes.column(i.out[0]), l, i.mode ? from - base : from + base);
  });
}

void decode_address_conversion(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  instruction.mode = m.take("to");
  take_operands(arguments, 2, instruction);
  if (instruction.space == Space::kParameter) throw Unsupported("the address of a parameter");
  instruction.execute = &convert_address;
}

void locate(const Instruction& instruction, const Lanes& lanes, int column, int64_t offset, size_t bytes,
            std::array<unsigned char*, kLanes>& to) {
  const Column& addresses = lanes.column(column);
  Block& block = lanes.block;
  switch (instruction.space) {
    case Space::kShared:
      return resolve_in(lanes, addresses, offset, bytes, block.shared, block.shared_bytes, 0, to);
    case Space::kParameter:
      return resolve_in(lanes, addresses, offset, bytes, block.parameters.data(), block.parameters.size(), 0, to);
    case Space::kLocal:
      return resolve_in(lanes, addresses, offset, bytes, lanes.warp.local.data(), block.kernel->local_bytes,
                        block.kernel->local_bytes, to);
    default:
      return resolve_pointers(lanes, addresses, offset, bytes, to);
  }
}

/// Generic addresses may be any memory's; one instruction's are taken to be of the same.
Space space_of(const Instruction& instruction, const Lanes& lanes, const unsigned char* first) {
  if (instruction.space != Space::kGeneric) return instruction.space;
  if (lies_in(first, 1, lanes.block.shared, lanes.block.shared_bytes)) return Space::kShared;
  return lies_in(first, 1, lanes.warp.local.data(), lanes.warp.local.size()) ? Space::kLocal : Space::kGlobal;
}

}  // namespace

void resolve(const Instruction& instruction, const Lanes& lanes, int column, int64_t offset, size_t bytes,
             std::array<unsigned char*, kLanes>& to) {
  locate(instruction, lanes, column, offset, bytes, to);
  if (!lanes.block.profile || lanes.active == 0) return;
  const Space space = space_of(instruction, lanes, to[static_cast<size_t>(__builtin_ctz(lanes.active))]);
  lanes.block.profile->add(*lanes.block.kernel, instruction, space, bytes, lanes.active, to);
}

bool decode_memory(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  const std::string_view opcode = m.opcode();
  const bool load = opcode == "ld" || opcode == "ldu", store = opcode == "st", atom = opcode == "atom",
             reduction = opcode == "red", conversion = opcode == "cvta";
  if (!load && !store && !atom && !reduction && !conversion) return false;
  instruction.space = take_space(m);
  instruction.type = m.take_type();
  if (conversion) {
    decode_address_conversion(m, arguments, instruction);
  } else if (atom || reduction) {
    decode_atomic(m, arguments, instruction, atom);
  } else {
    decode_access(m, arguments, instruction, store);
  }
  if (!instruction.execute) throw Unsupported("this type");
  return true;
}

}  // namespace simt::ptx
