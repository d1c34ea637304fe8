// SPDX-License-Identifier: Apache-2.0
#include "apps/facts.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "apps/terminal.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

std::string value_text(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_bool()) return value.as_bool() ? "yes" : "no";
  if (value.is_integer()) return count_text(value.as_integer());
  if (value.is_number()) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.6g", value.as_number());
    return buffer;
  }
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& element : value.elements()) text += (text.empty() ? "" : ", ") + value_text(element);
  return text.empty() ? "none" : text;
}

/// A text of several lines, as a block.
std::string indented(const std::string& text, const std::string& indent) {
  std::string out;
  for (size_t from = 0; from < text.size();) {
    const size_t to = std::min(text.find('\n', from), text.size());
    out += indent + text.substr(from, to - from) + "\n";
    from = to + 1;
  }
  return out;
}

void append_facts(std::string& out, const Json& facts, const std::string& indent) {
  size_t width = 0;
  for (const JsonMember& member : facts.members()) {
    if (!member.value.is_object()) width = std::max(width, member.key.size());
  }
  for (const JsonMember& member : facts.members()) {
    std::string name = member.key;
    const bool is_tensor = name.find('/') != std::string::npos;
    if (!is_tensor) std::replace(name.begin(), name.end(), '_', ' ');
    if (member.value.is_object()) {
      const auto& inner = member.value.members();
      const auto absent = [](const JsonMember& m) { return m.value.is_null(); };
      if (std::all_of(inner.begin(), inner.end(), absent)) continue;
      out += indent + name + "\n";
      append_facts(out, member.value, indent + "  ");
    } else if (member.value.is_string() && member.value.as_string().find('\n') != std::string::npos) {
      out += indent + name + "\n" + indented(member.value.as_string(), indent + "  ");
    } else if (!member.value.is_null()) {
      out += indent + name + std::string(width - name.size() + 2, ' ') + value_text(member.value) + "\n";
    }
  }
}

}  // namespace

std::string facts_text(const Json& facts) {
  std::string text;
  append_facts(text, facts, "  ");
  return text;
}

Json environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? Json(value) : Json();
}

void print_facts(const Json& facts, bool json) {
  const std::string text = json ? facts.dump() + "\n" : facts_text(facts);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(Exit::kIo, "standard output: cannot write");
  }
}

}  // namespace hourglass
