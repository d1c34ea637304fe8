// SPDX-License-Identifier: Apache-2.0
#include "apps/config_file.h"

#include "engine/io/files.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr int64_t kMaxConfigBytes = 1 << 20;

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
  } else {
    out += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
            static_cast<char>(0x80 | (code & 63))};
  }
}

/// A cursor in one line.
class Line {
 public:
  Line(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  [[noreturn]] void fail(const std::string& message) const { throw Error(Exit::kUsage, where_ + ": " + message); }

  bool done() {
    skip_spaces();
    return at_ == text_.size() || text_[at_] == '#';
  }

  bool take(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c, const char* after) {
    if (!take(c)) fail(std::string("expected ") + c + " after " + after);
  }

  void expect_end() {
    if (!done()) fail("expected the end of the line, found \"" + std::string(text_.substr(at_)) + "\"");
  }

  std::string name(const char* what) {
    skip_spaces();
    const size_t first = at_;
    while (at_ < text_.size() && is_bare(text_[at_])) ++at_;
    if (at_ == first) fail(std::string("expected ") + what + ", found \"" + std::string(text_.substr(at_)) + "\"");
    return std::string(text_.substr(first, at_ - first));
  }

  /// A string, a number, true or false.
  std::string scalar() {
    if (take('"')) return string('"');
    if (take('\'')) return string('\'');
    const size_t first = at_;
    while (at_ < text_.size() && (is_bare(text_[at_]) || text_[at_] == '.' || text_[at_] == '+')) ++at_;
    const std::string word(text_.substr(first, at_ - first));
    if (word.empty()) fail("expected a value");
    if (word != "true" && word != "false" && word != "nan" && word != "inf" && word.find_first_of("0123456789") > 1) {
      fail("expected a number, true, false or a text in quotes, found " + word);
    }
    return word;
  }

 private:
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  std::string string(char quote) {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return out;
      if (c == '\\' && quote == '"') {
        escape(out);
      } else {
        out += c;
      }
    }
    fail("expected a closing quote");
  }

  void escape(std::string& out) {
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    constexpr std::string_view kFrom = "\"\\bfnrt", kTo = "\"\\\b\f\n\r\t";
    if (const size_t i = kFrom.find(c); c != '\0' && i != std::string_view::npos) {
      out += kTo[i];
      return;
    }
    if (c != 'u') fail("unknown escape in a string");
    unsigned code = 0;
    for (int digit = 0; digit < 4; ++digit) {
      constexpr std::string_view kHex = "0123456789abcdef";
      const char h = at_ < text_.size() ? text_[at_++] : ' ';
      const size_t value = kHex.find(h >= 'A' && h <= 'F' ? static_cast<char>(h + 32) : h);
      if (value == std::string_view::npos) fail("expected four hexadecimal digits after \\u");
      code = code * 16 + static_cast<unsigned>(value);
    }
    if (code == 0 || (code >= 0xD800 && code < 0xE000)) fail("\\u names no character");
    append_utf8(out, code);
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

/// Length of the well-formed UTF-8 character at `at`; 0 if there is none.
size_t character_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Neither a longer form than needed, nor a surrogate, nor beyond U+10FFFF.
  const bool none = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
                    (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F);
  return none ? 0 : length;
}

bool is_control(unsigned char c) { return c == 0x7F || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'); }

void check_characters(std::string_view text, const std::string& what) {
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text, at);
    if (length == 0 || is_control(static_cast<unsigned char>(text[at]))) {
      throw Error(Exit::kUsage, what + ":" + std::to_string(line) + ": expected text in UTF-8, found a byte of value " +
                                    std::to_string(static_cast<unsigned char>(text[at])));
    }
    line += text[at] == '\n';
    at += length;
  }
}

/// A scalar, or an array as one text: "400,200", or "none" without elements.
std::string value_of(Line& line) {
  if (!line.take('[')) return line.scalar();
  std::string joined;
  bool first = true;
  while (!line.take(']')) {
    if (!first) line.expect(',', "an element");
    if (!first && line.take(']')) break;
    joined += (first ? "" : ",") + line.scalar();
    first = false;
  }
  return first ? "none" : joined;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t at = 0, length; at < text.size(); at += length) {
    if ((length = character_length(text, at)) == 0) return false;
  }
  return true;
}

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& what) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the mark that some editors put first
  check_characters(text, what);
  std::vector<ConfigEntry> entries;
  std::string section;
  int number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view content = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!content.empty() && content.back() == '\r') content.remove_suffix(1);
    Line line(content, what + ":" + std::to_string(++number));
    if (line.done()) continue;
    if (line.take('[')) {
      section = line.name("the name of a section");
      line.expect(']', "the name of a section");
    } else {
      ConfigEntry entry{section, line.name("a key"), "", number};
      for (const ConfigEntry& other : entries) {
        if (other.section == section && other.key == entry.key) {
          line.fail(entry.key + " stands in line " + std::to_string(other.line) + " already");
        }
      }
      line.expect('=', "a key");
      entry.value = value_of(line);
      entries.push_back(std::move(entry));
    }
    line.expect_end();
  }
  return entries;
}

std::string read_config_file(const std::filesystem::path& path) {
  return read_text_file(path, Exit::kUsage, kMaxConfigBytes);
}

}  // namespace hourglass
