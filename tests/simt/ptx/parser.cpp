// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/ptx/parser.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <unordered_map>

#include "tests/simt/ptx/decode.h"

namespace simt::ptx {
namespace {

struct Token {
  std::string_view text;
  int line;
};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

/// Words, numbers with their sign, and single characters; a string is one token.
std::vector<Token> tokens_of(std::string_view text, int line) {
  std::vector<Token> tokens;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    size_t end = i + 1;
    if (c == '\n') {
      ++line;
    } else if (std::isspace(static_cast<unsigned char>(c))) {
    } else if (c == '/' && text.substr(i, 2) == "//") {
      end = std::min(text.find('\n', i), text.size());
    } else {
      if (c == '"') {
        end = text.find('"', i + 1) + 1;
      } else if (is_word(c) || (c == '-' && end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])))) {
        while (end < text.size() &&
               (is_word(text[end]) || text.substr(end, 2) == "::" || text.substr(end - 1, 2) == "::")) {
          ++end;
        }
      }
      tokens.push_back({text.substr(i, end - i), line});
    }
    i = end;
  }
  return tokens;
}

constexpr std::string_view kSpecialNames[kSpecials] = {"%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",  "%ntid.y",
                                                       "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z", "%nctaid.x",
                                                       "%nctaid.y", "%nctaid.z", "%laneid"};

size_t rounded_up(size_t n, size_t alignment) { return (n + alignment - 1) / alignment * alignment; }

class Parser final : Constants {
 public:
  Parser(std::string_view text, const std::string& file, int line, const std::vector<SharedArray>& shared)
      : tokens_(tokens_of(text, line)), shared_(shared) {
    kernel_.file = file;
    kernel_.specials.fill(-1);
  }

  Kernel parse() {
    try {
      header();
      while (!scopes_.empty()) statement();
      finish();
    } catch (const Unsupported& error) {
      throw Unsupported(kernel_.file + ":" + std::to_string(line()) +
                        ": PTX that the interpreter does not know: " + error.what() + " in '" + statement_text() + "'");
    }
    return std::move(kernel_);
  }

  int constant(uint64_t value) override {
    const auto [found, fresh] = constants_.try_emplace(value, 0);
    if (fresh) {
      found->second = new_column();
      kernel_.constants.emplace_back(found->second, value);
    }
    return found->second;
  }

 private:
  // ---------------------------------------------------------------- tokens

  std::string_view peek(size_t ahead = 0) const {
    return next_ + ahead < tokens_.size() ? tokens_[next_ + ahead].text : std::string_view();
  }
  std::string_view take() {
    if (next_ >= tokens_.size()) throw Unsupported("the end of the text");
    return tokens_[next_++].text;
  }
  bool accept(std::string_view text) {
    if (peek() != text) return false;
    ++next_;
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) throw Unsupported("'" + std::string(peek()) + "' instead of '" + std::string(text) + "'");
  }
  int line() const { return tokens_[std::min(statement_, tokens_.size() - 1)].line; }
  std::string statement_text() const {
    std::string text;
    for (size_t i = statement_; i < tokens_.size() && i < statement_ + 24 && tokens_[i].text != ";"; ++i) {
      text += (text.empty() ? "" : " ") + std::string(tokens_[i].text);
    }
    return text;
  }
  static uint64_t number(std::string_view text) {
    const bool negative = text[0] == '-';
    std::string_view digits = text.substr(negative);
    int base = 10;
    const std::string_view prefix = digits.substr(0, 2);
    if (prefix == "0x" || prefix == "0X" || prefix == "0f" || prefix == "0F" || prefix == "0d" || prefix == "0D") {
      base = 16;  // of a float: its bits
      digits.remove_prefix(2);
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc() || end != digits.data() + digits.size()) throw Unsupported("this number");
    return negative ? ~value + 1 : value;
  }

  // ---------------------------------------------------------------- declarations

  /// [.align n] .type name[count]: its size and alignment.
  struct Declared {
    std::string_view name;
    size_t bytes, alignment;
  };
  Declared declared() {
    size_t alignment = 0, bytes = 0;
    std::string_view word = take();
    for (; word[0] == '.'; word = take()) {
      if (word == ".align") {
        alignment = number(take());
      } else {
        bytes = bytes_of(type_named(word.substr(1)));
        if (bytes == 0) throw Unsupported("the declaration " + std::string(word));
      }
    }
    alignment = std::max(alignment, bytes);
    if (accept("[")) {
      bytes *= number(take());
      expect("]");
    }
    return {word, bytes, alignment};
  }
  static size_t placed(size_t& total, const Declared& variable) {
    const size_t at = rounded_up(total, variable.alignment);
    total = at + variable.bytes;
    return at;
  }

  void header() {
    expect(".entry");
    kernel_.symbol = take();
    expect("(");
    while (!accept(")")) {
      expect(".param");
      const Declared parameter = declared();
      const size_t at = placed(kernel_.parameter_bytes, parameter);
      symbols_[parameter.name] = at;
      kernel_.parameters.push_back({at, parameter.bytes});
      accept(",");
    }
    while (peek() != "{") take();  // .maxntid and the like
    expect("{");
    scopes_.emplace_back();
  }

  /// .type a, b, c<count>; those of an inner scope may hide others.
  void declare_registers() {
    if (type_named(take().substr(1)) == Type::kNone) throw Unsupported("registers of this type");
    do {
      const std::string name(take());
      if (!accept("<")) {
        scopes_.back()[name] = new_column();
        continue;
      }
      const uint64_t count = number(take());
      for (uint64_t i = 0; i < count; ++i) scopes_.back()[name + std::to_string(i)] = new_column();
      expect(">");
    } while (accept(","));
  }

  void directive() {
    const std::string_view name = take();
    if (name == ".shared" || name == ".local") {
      const Declared variable = declared();
      symbols_[variable.name] = placed(name == ".shared" ? kernel_.shared_bytes : kernel_.local_bytes, variable);
    } else if (name == ".reg") {
      declare_registers();
    } else if (name == ".loc") {
      return locate();
    } else if (name != ".pragma") {
      throw Unsupported("the directive " + std::string(name));
    }
    while (!accept(";")) take();
  }

  // ---------------------------------------------------------------- places in the sources

  using Position = std::array<int, 3>;  // file, line, column
  Position take_position() {
    Position position;
    for (int& part : position) part = static_cast<int>(number(take()));
    return position;
  }

  /// .loc file line column[, function_name label[+n], inlined_at file line column] up to the end of the line. nvcc
  /// gives the place of a call a directive of its own before it names it.
  void locate() {
    const Position position = take_position();
    int inlined_at = -1;
    while (tokens_[next_].line == line()) {
      if (take() == "inlined_at") inlined_at = latest(take_position(), -1);
    }
    if (position[1] > 0) location_ = latest(position, inlined_at);  // 0: of the compiler's own making
  }

  /// The latest location at this position; a new one if it was inlined elsewhere.
  int latest(const Position& position, int inlined_at) {
    const auto [found, fresh] = latest_.try_emplace(position, static_cast<int>(kernel_.locations.size()));
    if (!fresh) {
      if (inlined_at < 0 || kernel_.locations[static_cast<size_t>(found->second)].inlined_at == inlined_at) {
        return found->second;
      }
      found->second = static_cast<int>(kernel_.locations.size());
    }
    kernel_.locations.push_back({position[0], position[1], position[2], inlined_at});
    return found->second;
  }

  // ---------------------------------------------------------------- operands

  int new_column() { return static_cast<int>(kernel_.columns++); }

  int column_of(std::string_view word) {
    for (size_t i = 0; i < kSpecials; ++i) {
      if (word != kSpecialNames[i]) continue;
      if (kernel_.specials[i] < 0) kernel_.specials[i] = new_column();
      return kernel_.specials[i];
    }
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const auto found = scope->find(std::string(word)); found != scope->end()) return found->second;
    }
    throw Unsupported("the register " + std::string(word));
  }

  /// A register, a number or the address of a variable.
  void operand(std::string_view word, Argument& argument) {
    if (word[0] == '%') {
      argument.columns.push_back(column_of(word));
    } else if (word == "_") {
      argument.columns.push_back(new_column());
    } else if (std::isdigit(static_cast<unsigned char>(word[0])) || word[0] == '-') {
      argument.immediate = number(word);
      argument.columns.push_back(constant(argument.immediate));
    } else {
      argument.columns.push_back(address_of(word));
    }
  }

  /// Of a variable in its memory.
  int address_of(std::string_view name) {
    if (const auto symbol = symbols_.find(name); symbol != symbols_.end()) return constant(symbol->second);
    for (const SharedArray& array : shared_) {
      if (array.name != name) continue;
      if (array.dynamic) return dynamic_column_ < 0 ? dynamic_column_ = new_column() : dynamic_column_;
      symbols_[name] = placed(kernel_.shared_bytes, {name, array.bytes, array.alignment});
      return constant(symbols_[name]);
    }
    throw Unsupported("the name " + std::string(name));
  }

  Argument argument() {
    Argument result;
    if (accept("{")) {
      result.vector = true;
      do operand(take(), result);
      while (accept(","));
      expect("}");
    } else if (accept("[")) {
      result.address = true;
      operand(take(), result);
      if (accept("+")) result.offset = static_cast<int64_t>(number(take()));
      expect("]");
    } else {
      operand(take(), result);
      if (accept("|")) {
        Argument second;
        operand(take(), second);
        result.second = second.columns[0];
      }
    }
    return result;
  }

  // ---------------------------------------------------------------- statements

  void statement() {
    statement_ = next_;
    if (accept("{")) return static_cast<void>(scopes_.emplace_back());
    if (accept("}")) return scopes_.pop_back();
    if (peek()[0] == '.') return directive();
    if (peek(1) == ":") {
      labels_[take()] = static_cast<uint32_t>(kernel_.code.size());
      return expect(":");
    }
    Instruction instruction;
    instruction.line = line();
    instruction.location = location_;
    if (accept("@")) {
      instruction.negated = accept("!");
      instruction.guard = column_of(take());
    }
    Mnemonic mnemonic(take());
    if (mnemonic.opcode() == "bra") {
      mnemonic.ignore({"uni"});
      instruction.flow = Flow::kBranch;
      branches_.emplace_back(kernel_.code.size(), take());
    } else {
      Arguments arguments;
      while (peek() != ";") {
        arguments.push_back(argument());
        accept(",");
      }
      decode(mnemonic, arguments, instruction);
    }
    expect(";");
    mnemonic.expect_understood();
    kernel_.code.push_back(std::move(instruction));
  }

  void decode(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
    const std::string_view opcode = m.opcode();
    if (opcode == "ret" || opcode == "exit") {
      instruction.flow = Flow::kExit;
    } else if (opcode == "trap") {
      instruction.flow = Flow::kTrap;
    } else if (opcode == "membar" || opcode == "fence" || opcode == "nanosleep") {  // one order of all accesses
      m.ignore({"gl", "cta", "sys", "acq_rel", "sc", "gpu", "u32"});
    } else if (!decode_arithmetic(m, arguments, instruction) && !decode_logic(m, arguments, instruction) &&
               !decode_comparison(m, arguments, instruction) && !decode_conversion(m, arguments, instruction) &&
               !decode_memory(m, arguments, instruction) && !decode_copy(m, arguments, instruction) &&
               !decode_collective(m, arguments, instruction) && !decode_tensor_core(m, arguments, instruction, *this)) {
      throw Unsupported("the opcode " + std::string(opcode));
    }
  }

  void finish() {
    for (const auto& [index, label] : branches_) {
      const auto found = labels_.find(label);
      if (found == labels_.end()) throw Unsupported("the label " + std::string(label));
      kernel_.code[index].target = found->second;
    }
    Instruction end;
    end.flow = Flow::kExit;
    kernel_.code.push_back(end);
    kernel_.shared_bytes = rounded_up(kernel_.shared_bytes, 128);
    kernel_.local_bytes = rounded_up(kernel_.local_bytes, 16);
    if (dynamic_column_ >= 0) kernel_.constants.emplace_back(dynamic_column_, kernel_.shared_bytes);
  }

  std::vector<Token> tokens_;
  const std::vector<SharedArray>& shared_;
  size_t next_ = 0, statement_ = 0;
  Kernel kernel_;
  std::vector<std::unordered_map<std::string, int>> scopes_;  ///< registers; braces open a new scope
  std::unordered_map<std::string_view, uint64_t> symbols_;
  std::unordered_map<std::string_view, uint32_t> labels_;
  std::map<uint64_t, int> constants_;
  std::map<Position, int> latest_;
  int location_ = -1;
  std::vector<std::pair<size_t, std::string_view>> branches_;
  int dynamic_column_ = -1;
};

}  // namespace

Kernel parse_kernel(std::string_view text, const std::string& file, int first_line,
                    const std::vector<SharedArray>& shared) {
  return Parser(text, file, first_line, shared).parse();
}

}  // namespace simt::ptx
