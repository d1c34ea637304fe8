// SPDX-License-Identifier: Apache-2.0
// Values of options as text: reading with range checks, and writing so that reading gives the same value.
#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>

#include "apps/option_table.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

/// What assign() knows while it reads one text.
struct Reading {
  const Accepts& accepts;
  const std::string& text;
  const std::string& where;

  [[noreturn]] void fail(const std::string& expected) const {
    throw Error(Exit::kUsage, where + " expects " + expected + ", given " + (text.empty() ? "nothing" : text));
  }
};

std::string shortest(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, result.ptr);
}

bool in_range(const Accepts& accepts, double value) {
  if (!std::isfinite(value)) return false;
  if (accepts.above_low ? !(value > accepts.low) : !(value >= accepts.low)) return false;
  return accepts.below_high ? value < accepts.high : value <= accepts.high;
}

std::string range_text(const Accepts& accepts, const char* kind) {
  std::ostringstream out;
  out.precision(10);
  out << kind;
  if (std::isfinite(accepts.low)) out << (accepts.above_low ? " above " : " of at least ") << accepts.low;
  if (std::isfinite(accepts.high)) {
    out << (std::isfinite(accepts.low) ? " and " : " ") << (accepts.below_high ? "below " : "at most ") << accepts.high;
  }
  return out.str();
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && result.ec == std::errc() && result.ptr == text.data() + text.size();
}

template <class Integer>
Integer read_integer(const Reading& r, std::string_view text, const char* kind) {
  Integer value = 0;
  if (!parse_number(text, value) || !in_range(r.accepts, static_cast<double>(value))) {
    r.fail(range_text(r.accepts, kind));
  }
  return value;
}

double read_double(const Reading& r, const std::string& or_else = "") {
  double value = 0;
  if (!parse_number(r.text, value) || !in_range(r.accepts, value)) {
    r.fail(range_text(r.accepts, "a finite number") + or_else);
  }
  return value;
}

bool read_bool(const Reading& r) {
  if (r.text != "true" && r.text != "false") r.fail("true or false");
  return r.text == "true";
}

std::string read_words(const Reading& r) {
  const std::vector<std::string>& words = r.accepts.words;
  if (r.text.empty()) r.fail("a value");
  if (words.empty()) return r.text;
  std::string known;
  for (size_t i = 0; i < words.size(); ++i) {
    if (r.text == words[i]) return r.text;
    known += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  }
  r.fail(known);
}

std::vector<int> read_widths(const Reading& r) {
  if (r.text == "none" || r.text == "0") return {};
  std::vector<int> widths;
  std::string_view rest = r.text;
  for (bool more = true; more;) {
    const size_t comma = rest.find(',');
    more = comma != std::string_view::npos;
    std::string_view item = rest.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    widths.push_back(read_integer<int>(r, item, "none, or integers separated by commas, each"));
    if (more) rest.remove_prefix(comma + 1);
  }
  return widths;
}

Sigma read_sigma(const Reading& r) {
  if (r.text == "learned") return {1, true, false};
  if (r.text == "optimal") return {1, false, true};
  return {read_double(r, ", learned or optimal"), false, false};
}

Duration read_duration(const Reading& r) {
  const char unit = r.text.empty() ? ' ' : r.text.back();
  const double seconds = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 0;
  double value = 0;
  if (seconds == 0 || !parse_number(std::string_view(r.text).substr(0, r.text.size() - 1), value) ||
      !in_range(r.accepts, value * seconds)) {
    r.fail("a time above 0 such as 90s, 10m or 2h");
  }
  return {value * seconds};
}

MemorySize read_memory_size(const Reading& r) {
  constexpr std::string_view kUnits = "KMG";
  std::string_view digits = r.text;
  int shift = 0;
  if (const size_t unit = r.text.empty() ? kUnits.npos : kUnits.find(r.text.back()); unit != kUnits.npos) {
    shift = 10 * (1 + static_cast<int>(unit));
    digits.remove_suffix(1);
  }
  int64_t value = 0;
  if (!parse_number(digits, value) || value < 1 || value > std::numeric_limits<int64_t>::max() >> shift) {
    r.fail("a number of bytes above 0 such as 500000, 64K, 500M or 4G");
  }
  return {value << shift};
}

ImageSize read_image_size(const Reading& r) {
  ImageSize size;
  if (!parse_image_size(r.text, size) || !in_range(r.accepts, size.height) || !in_range(r.accepts, size.width) ||
      (size.height == 0) != (size.width == 0)) {
    r.fail(range_text(r.accepts, "a side N, or HxW, each an integer"));
  }
  return size;
}

std::string join(const std::vector<int>& widths, const char* separator) {
  std::string text;
  for (const int width : widths) text += (text.empty() ? "" : separator) + std::to_string(width);
  return text;
}

std::string duration_text(double seconds) {
  if (std::fmod(seconds, 3600) == 0) return shortest(seconds / 3600) + "h";
  if (std::fmod(seconds, 60) == 0) return shortest(seconds / 60) + "m";
  return shortest(seconds) + "s";
}

std::string memory_text(int64_t bytes) {
  constexpr std::string_view kUnits = "GMK";
  for (size_t i = 0; i < kUnits.size(); ++i) {
    const int shift = 30 - 10 * static_cast<int>(i);
    if (bytes > 0 && bytes % (int64_t{1} << shift) == 0) return std::to_string(bytes >> shift) + kUnits[i];
  }
  return std::to_string(bytes);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

void assign(const OptionRow& row, const std::string& text, const std::string& where) {
  const Reading r{row.accepts, text, where};
  std::visit(Overloaded{
                 [&](bool* field) { *field = read_bool(r); },
                 [&](int* field) { *field = read_integer<int>(r, text, "an integer"); },
                 [&](int64_t* field) { *field = read_integer<int64_t>(r, text, "an integer"); },
                 [&](double* field) { *field = read_double(r); },
                 [&](std::string* field) { *field = read_words(r); },
                 [&](std::vector<int>* field) { *field = read_widths(r); },
                 [&](Sigma* field) { *field = read_sigma(r); },
                 [&](Duration* field) { *field = read_duration(r); },
                 [&](ImageSize* field) { *field = read_image_size(r); },
                 [&](MemorySize* field) { *field = read_memory_size(r); },
             },
             row.field);
}

void copy_value(const OptionRow& from, const OptionRow& to) {
  std::visit([&](auto* value) { *std::get<decltype(value)>(to.field) = *value; }, from.field);
}

std::string to_text(const OptionRow& row) {
  return std::visit(Overloaded{
                        [](const bool* field) { return std::string(*field ? "true" : "false"); },
                        [](const int* field) { return std::to_string(*field); },
                        [](const int64_t* field) { return std::to_string(*field); },
                        [](const double* field) { return shortest(*field); },
                        [](const std::string* field) { return *field; },
                        [](const std::vector<int>* field) { return field->empty() ? "none" : join(*field, ","); },
                        [](const Sigma* field) {
                          return field->learned ? "learned" : field->optimal ? "optimal" : shortest(field->value);
                        },
                        [](const Duration* field) { return duration_text(field->seconds); },
                        [](const ImageSize* field) { return to_text(*field); },
                        [](const MemorySize* field) { return memory_text(field->bytes); },
                    },
                    row.field);
}

std::string to_toml(const OptionRow& row) {
  if (const auto* field = std::get_if<std::vector<int>*>(&row.field)) return "[" + join(**field, ", ") + "]";
  const auto* sigma = std::get_if<Sigma*>(&row.field);
  const auto* size = std::get_if<ImageSize*>(&row.field);
  const bool is_text = std::holds_alternative<std::string*>(row.field) || (size && (*size)->height != (*size)->width) ||
                       std::holds_alternative<Duration*>(row.field) || std::holds_alternative<MemorySize*>(row.field) ||
                       (sigma && ((*sigma)->learned || (*sigma)->optimal));
  return is_text ? quoted(to_text(row)) : to_text(row);
}

}  // namespace hourglass
