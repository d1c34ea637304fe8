// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/ptx/decode.h"

#include <algorithm>
#include <string>

namespace simt::ptx {
namespace {

struct Named {
  std::string_view name;
  Type type;
  size_t bytes;
};
constexpr Named kTypes[] = {
    {"pred", Type::kPred, 1}, {"b8", Type::kB8, 1},         {"b16", Type::kB16, 2}, {"b32", Type::kB32, 4},
    {"b64", Type::kB64, 8},   {"u8", Type::kU8, 1},         {"u16", Type::kU16, 2}, {"u32", Type::kU32, 4},
    {"u64", Type::kU64, 8},   {"s8", Type::kS8, 1},         {"s16", Type::kS16, 2}, {"s32", Type::kS32, 4},
    {"s64", Type::kS64, 8},   {"f32", Type::kF32, 4},       {"f64", Type::kF64, 8}, {"bf16", Type::kBf16, 2},
    {"tf32", Type::kTf32, 4}, {"bf16x2", Type::kBf16x2, 4},
};

}  // namespace

size_t bytes_of(Type type) {
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [=](const Named& t) { return t.type == type; });
  return found == std::end(kTypes) ? 0 : found->bytes;
}

Type type_named(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [=](const Named& t) { return t.name == name; });
  return found == std::end(kTypes) ? Type::kNone : found->type;
}

Mnemonic::Mnemonic(std::string_view text) : text_(text) {
  size_t end = text.find('.');
  opcode_ = text.substr(0, end);
  while (end != std::string_view::npos) {
    const size_t begin = end + 1;
    end = text.find('.', begin);
    modifiers_.push_back({text.substr(begin, end == std::string_view::npos ? end : end - begin)});
  }
}

bool Mnemonic::take(std::string_view modifier) {
  for (Modifier& m : modifiers_) {
    if (m.taken || m.text != modifier) continue;
    return m.taken = true;
  }
  return false;
}

void Mnemonic::ignore(std::initializer_list<std::string_view> modifiers) {
  for (std::string_view modifier : modifiers) take(modifier);
}

int Mnemonic::choose(std::initializer_list<std::string_view> modifiers, int otherwise) {
  int index = 0;
  for (std::string_view modifier : modifiers) {
    if (take(modifier)) return index;
    ++index;
  }
  return otherwise;
}

Type Mnemonic::take_type() {
  for (Modifier& m : modifiers_) {
    if (m.taken || type_named(m.text) == Type::kNone) continue;
    m.taken = true;
    return type_named(m.text);
  }
  return Type::kNone;
}

void Mnemonic::expect_understood() const {
  for (const Modifier& m : modifiers_) {
    if (!m.taken) throw Unsupported("modifier ." + std::string(m.text) + " of " + std::string(text_));
  }
}

void expect_arguments(const Arguments& arguments, size_t least, size_t most) {
  if (arguments.size() < least || arguments.size() > most) throw Unsupported("this number of arguments");
}

void take_operands(const Arguments& arguments, size_t count, Instruction& instruction) {
  expect_arguments(arguments, count, count);
  for (size_t i = 0; i < count; ++i) {
    if (arguments[i].vector || arguments[i].address || arguments[i].second >= 0) throw Unsupported("such an argument");
    (i == 0 ? instruction.out : instruction.in).push_back(arguments[i].columns[0]);
  }
}

}  // namespace simt::ptx
