// SPDX-License-Identifier: Apache-2.0
// From an opcode with its modifiers and arguments to an Instruction. Each part of the instruction set stands in a file
// of its own, beside the functions that carry it out. A modifier that nobody asked for is refused: it may mean
// something.
#pragma once

#include <string_view>
#include <vector>

#include "tests/simt/ptx/program.h"

namespace simt::ptx {

/// `fma.rn.f32`: opcode "fma", modifiers "rn" and "f32".
class Mnemonic {
 public:
  explicit Mnemonic(std::string_view text);
  std::string_view opcode() const { return opcode_; }
  /// Whether the modifier is there; it counts as understood.
  bool take(std::string_view modifier);
  /// Takes whichever of these are there: they make no difference here.
  void ignore(std::initializer_list<std::string_view> modifiers);
  /// Index of the modifier that is there, or `otherwise`.
  int choose(std::initializer_list<std::string_view> modifiers, int otherwise = -1);
  /// The next type; kNone if there is none.
  Type take_type();
  /// Throws Unsupported if a modifier was not taken.
  void expect_understood() const;

 private:
  struct Modifier {
    std::string_view text;
    bool taken = false;
  };
  std::string_view text_, opcode_;
  std::vector<Modifier> modifiers_;
};

struct Argument {
  std::vector<int> columns;  ///< one; several of {a, b}; that of the base of [a + offset]
  int second = -1;           ///< b of a|b
  int64_t offset = 0;        ///< of an address
  uint64_t immediate = 0;    ///< of a constant
  bool vector = false, address = false;
};
using Arguments = std::vector<Argument>;

/// The column of a constant.
class Constants {
 public:
  virtual int constant(uint64_t value) = 0;

 protected:
  ~Constants() = default;
};

/// True if the opcode is theirs.
bool decode_arithmetic(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_logic(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_comparison(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_conversion(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_memory(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_copy(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_collective(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction);
bool decode_tensor_core(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction, Constants& constants);

/// out = the first argument, in = the others, in order; `count` arguments in all.
void take_operands(const Arguments& arguments, size_t count, Instruction& instruction);
void expect_arguments(const Arguments& arguments, size_t least, size_t most);

/// The function of Form that carries out the instruction for values of this type: Form::of<T>(rest...) for the C++ type
/// T, null where it has none.
template <class Form, class... Rest>
Execute for_type(Type type, Rest... rest) {
  switch (type) {
    case Type::kPred:
    case Type::kB8:
    case Type::kU8:
      return Form::template of<uint8_t>(rest...);
    case Type::kS8:
      return Form::template of<int8_t>(rest...);
    case Type::kB16:
    case Type::kU16:
      return Form::template of<uint16_t>(rest...);
    case Type::kS16:
      return Form::template of<int16_t>(rest...);
    case Type::kB32:
    case Type::kU32:
      return Form::template of<uint32_t>(rest...);
    case Type::kS32:
      return Form::template of<int32_t>(rest...);
    case Type::kB64:
    case Type::kU64:
      return Form::template of<uint64_t>(rest...);
    case Type::kS64:
      return Form::template of<int64_t>(rest...);
    case Type::kF32:
      return Form::template of<float>(rest...);
    case Type::kF64:
      return Form::template of<double>(rest...);
    default:
      return nullptr;
  }
}

}  // namespace simt::ptx
