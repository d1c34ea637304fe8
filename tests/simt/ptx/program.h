// SPDX-License-Identifier: Apache-2.0
// PTX kernels in the form that the interpreter runs. Every operand is a column: the 32 values that the lanes of a warp
// have of a register, a constant, or a special register such as %tid.x. Values stand in the low bytes of 64 bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace simt::ptx {

inline constexpr int kLanes = 32;
inline constexpr uint32_t kAllLanes = ~0u;
using Column = std::array<uint64_t, kLanes>;

enum class Type : uint8_t {
  kNone,
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF32,
  kF64,
  kBf16,
  kBf16x2,
  kTf32
};
size_t bytes_of(Type type);
/// kNone if `name` (without its dot) is no type.
Type type_named(std::string_view name);

enum class Space : uint8_t { kGeneric, kGlobal, kShared, kLocal, kParameter };

/// What an instruction does to the program counters of its lanes.
enum class Flow : uint8_t {
  kNext,
  kBranch,
  kExit,
  kTrap,
  kBarrier,   ///< waits for the threads of the block
  kConverge,  ///< waits for the lanes that the mask, its last operand, names, and runs for them together
};

/// What it does to memory.
enum class Access : uint8_t { kNone, kLoad, kStore, kAtomic };

struct Instruction;
struct Lanes;
using Execute = void (*)(const Instruction&, Lanes&);

struct Instruction {
  Execute execute = nullptr;  ///< null: nothing but its flow
  Flow flow = Flow::kNext;
  Type type = Type::kNone, from = Type::kNone;
  Space space = Space::kGeneric;
  Access access = Access::kNone;
  uint8_t mode = 0;         ///< what the opcode's modifiers chose
  bool whole_warp = false;  ///< none of the 32 lanes may be missing
  bool negated = false;     ///< runs where the guard is false
  int guard = -1;           ///< column of the predicate; -1: runs always
  uint32_t target = 0;      ///< of a branch: index in the code
  std::vector<int> out, in;
  int64_t offset = 0, second_offset = 0;  ///< of the addresses
  int line = 0;                           ///< in the PTX file
  int location = -1;                      ///< of the kernel's; -1: PTX without -lineinfo
};

/// A place in the sources.
struct Location {
  int file;  ///< its number in the module
  int line, column;
  int inlined_at;  ///< the location of the call; -1: in the kernel itself
};

struct Parameter {
  size_t offset, bytes;
};

/// %tid.x and so on, in this order.
enum Special {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kSpecials
};

struct Kernel {
  std::string symbol, file;
  std::vector<Instruction> code;
  std::vector<Location> locations;
  std::map<int, std::string> files;  ///< by their numbers in the module
  std::vector<Parameter> parameters;
  size_t parameter_bytes = 0;
  size_t columns = 0;
  std::vector<std::pair<int, uint64_t>> constants;  ///< column, value of all lanes
  std::array<int, kSpecials> specials;              ///< column, or -1
  size_t shared_bytes = 0;                          ///< static; dynamic shared memory begins behind them
  size_t local_bytes = 0;                           ///< a thread
};

/// PTX that this interpreter does not know.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace simt::ptx
