// SPDX-License-Identifier: Apache-2.0
// Reading goes through the SAX interface of nlohmann/json (the only unit that includes it): its DOM keeps the last of
// duplicate keys silently and has no limits.
#include "engine/io/json.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace hourglass {
namespace {

constexpr size_t kMaxDepth = 64;
/// Bounds what a hostile text can make us allocate, at about 150 bytes a value.
constexpr size_t kMaxValues = size_t{1} << 20;

std::string json_string(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "null";
  char buffer[32];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, end.ptr);
  // Without a point or an exponent it would read back as an integer.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

struct Json::Source {
  std::string what;
  Exit on_error;
};

/// Receives the parser's events and builds the value; returning false stops the parser.
class Json::Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(std::shared_ptr<const Source> source) : source_(std::move(source)) {}

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<int64_t>::max())) {
      return refuse("the integer " + std::to_string(value) + " is out of range");
    }
    return add(Json(value));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    if (!std::isfinite(value)) return refuse("the number " + text + " is out of range");
    return add(Json(value));
  }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return refuse("binary values are not JSON"); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!open_.back().keys.insert(name).second) return refuse("duplicate key " + json_string(name));
    open_.back().key = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...": the bracket is the library's own.
    const std::string_view message = error.what();
    const size_t bracket = message.find("] ");
    return refuse("not JSON at byte " + std::to_string(position) + ": " +
                  std::string(bracket == std::string_view::npos ? message : message.substr(bracket + 2)));
  }

  const std::string& error() const { return error_; }
  Json take() { return std::move(root_); }

 private:
  struct Open {
    Json value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  bool refuse(std::string message) {
    error_ = std::move(message);
    return false;
  }
  bool admit() { return ++values_ <= kMaxValues || refuse("more than " + std::to_string(kMaxValues) + " values"); }
  bool attach(Json value) {
    value.source_ = source_;
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.is_object()) {
      open_.back().value.members_.push_back({std::move(open_.back().key), std::move(value)});
    } else {
      open_.back().value.elements_.push_back(std::move(value));
    }
    return true;
  }
  bool add(Json value) { return admit() && attach(std::move(value)); }
  bool open(Json container) {
    if (open_.size() >= kMaxDepth) return refuse("nested deeper than " + std::to_string(kMaxDepth));
    open_.push_back({std::move(container), {}, {}});
    return admit();
  }
  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return attach(std::move(value));
  }

  std::shared_ptr<const Source> source_;
  std::vector<Open> open_;
  size_t values_ = 0;
  Json root_;
  std::string error_;
};

Json Json::array(std::initializer_list<Json> elements) {
  Json json;
  json.kind_ = Kind::kArray;
  json.elements_ = elements;
  return json;
}

Json Json::object(std::initializer_list<JsonMember> members) {
  Json json;
  json.kind_ = Kind::kObject;
  for (const JsonMember& member : members) json.set(member.key, member.value);
  return json;
}

Json Json::parse(std::string_view text, const std::string& what, Exit on_error) {
  Builder builder(std::make_shared<const Source>(Source{what, on_error}));
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    throw Error(on_error, what + ": " + builder.error());
  return builder.take();
}

const char* Json::kind_name() const {
  static constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                           "a string", "an array",  "an object"};
  return kNames[static_cast<size_t>(kind_)];
}

void Json::fail(const std::string& message) const {
  throw source_ ? Error(source_->on_error, source_->what + ": " + message) : Error(Exit::kInternal, "JSON: " + message);
}

void Json::fail_kind(const char* expected) const {
  fail(std::string("expected ") + expected + ", found " + kind_name());
}

void Json::fail_member(std::string_view key, const Json& value, const char* expected) const {
  fail(json_string(key) + ": expected " + expected + ", found " + value.kind_name());
}

bool Json::as_bool() const {
  if (!is_bool()) fail_kind("a boolean");
  return integer_ != 0;
}

int64_t Json::as_integer() const {
  if (!is_integer()) fail_kind("an integer");
  return integer_;
}

double Json::as_number() const {
  if (!is_number()) fail_kind("a number");
  return is_integer() ? static_cast<double>(integer_) : number_;
}

const std::string& Json::as_string() const {
  if (!is_string()) fail_kind("a string");
  return text_;
}

const std::vector<Json>& Json::elements() const& {
  if (!is_array()) fail_kind("an array");
  return elements_;
}

const std::vector<JsonMember>& Json::members() const& {
  if (!is_object()) fail_kind("an object");
  return members_;
}

const Json* Json::find(std::string_view key) const {
  for (const JsonMember& member : members()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* value = find(key);
  if (!value) fail("the key " + json_string(key) + " is missing");
  return *value;
}

bool Json::get_bool(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_bool()) fail_member(key, value, "a boolean");
  return value.as_bool();
}

int64_t Json::get_integer(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_integer()) fail_member(key, value, "an integer");
  return value.as_integer();
}

double Json::get_number(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_number()) fail_member(key, value, "a number");
  return value.as_number();
}

const std::string& Json::get_string(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_string()) fail_member(key, value, "a string");
  return value.as_string();
}

Json& Json::set(std::string_view key, Json value) {
  if (is_null()) kind_ = Kind::kObject;
  if (!is_object()) fail_kind("an object");
  for (JsonMember& member : members_) {
    if (member.key == key) {
      member.value = std::move(value);
      return *this;
    }
  }
  members_.push_back({std::string(key), std::move(value)});
  return *this;
}

Json& Json::push_back(Json value) {
  if (is_null()) kind_ = Kind::kArray;
  if (!is_array()) fail_kind("an array");
  elements_.push_back(std::move(value));
  return *this;
}

std::string Json::dump(int indent) const {
  std::string out;
  append_to(out, indent, 0);
  return out;
}

void Json::append_to(std::string& out, int indent, int level) const {
  const auto new_line = [&](int at) {
    if (indent >= 0) out.append("\n").append(static_cast<size_t>(indent) * static_cast<size_t>(at), ' ');
  };
  const auto append_all = [&](const auto& items, char open, char close, auto&& append_item) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) out += ',';
      new_line(level + 1);
      append_item(item);
    }
    if (!first) new_line(level);
    out += close;
  };
  if (is_array()) {
    append_all(elements(), '[', ']', [&](const Json& element) { element.append_to(out, indent, level + 1); });
  } else if (is_object()) {
    append_all(members(), '{', '}', [&](const JsonMember& member) {
      out.append(json_string(member.key)).append(indent >= 0 ? ": " : ":");
      member.value.append_to(out, indent, level + 1);
    });
  } else if (is_string()) {
    out += json_string(as_string());
  } else if (is_null()) {
    out += "null";
  } else if (is_bool()) {
    out += as_bool() ? "true" : "false";
  } else {
    out += is_integer() ? std::to_string(as_integer()) : number_text(as_number());
  }
}

}  // namespace hourglass
