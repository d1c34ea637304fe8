// SPDX-License-Identifier: Apache-2.0
// A small JSON value: what metrics.jsonl, run.json, summary.json, `eval --json` and the safetensors header need.
// Objects keep the order in which keys were set. Reading is strict: duplicate keys, nesting deeper than 64, invalid
// UTF-8 and trailing text are refused.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/error.h"

namespace hourglass {

struct JsonMember;

class Json {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInteger, kNumber, kString, kArray, kObject };

  Json() = default;  ///< null
  Json(std::nullptr_t) {}
  Json(std::same_as<bool> auto value) : kind_(Kind::kBool), integer_(value) {}
  Json(std::integral auto value) requires(!std::same_as<decltype(value), bool>)
      : kind_(Kind::kInteger), integer_(static_cast<int64_t>(value)) {}
  /// NaN and Inf are written as null.
  Json(std::floating_point auto value) : kind_(Kind::kNumber), number_(static_cast<double>(value)) {}
  Json(const char* text) : kind_(Kind::kString), text_(text) {}
  Json(std::string_view text) : kind_(Kind::kString), text_(text) {}
  Json(std::string text) : kind_(Kind::kString), text_(std::move(text)) {}

  /// Json::array({1, "two"}); Json::object({{"step", 12}, {"loss", 0.5}}).
  static Json array(std::initializer_list<Json> elements = {});
  static Json object(std::initializer_list<JsonMember> members = {});

  /// Reads one document. `what` (a path) begins every message about it, later ones of the getters included; they all
  /// carry `on_error`.
  static Json parse(std::string_view text, const std::string& what, Exit on_error = Exit::kData);

  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_integer() const { return kind_ == Kind::kInteger; }
  bool is_number() const { return kind_ == Kind::kNumber || is_integer(); }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // The value itself. Another kind is an Error (of the parse's exit; kInternal for a value built in the program).
  bool as_bool() const;
  int64_t as_integer() const;  ///< a number written without fraction or exponent, within int64
  double as_number() const;    ///< integers too
  const std::string& as_string() const;
  const std::vector<Json>& elements() const&;       ///< of an array
  const std::vector<JsonMember>& members() const&;  ///< of an object, in their order
  // Of a temporary they would dangle in the head of a range-for.
  const std::vector<Json>& elements() const&& = delete;
  const std::vector<JsonMember>& members() const&& = delete;

  // Members of an object. The message of a missing or mistyped one names the key.
  const Json* find(std::string_view key) const;  ///< null if absent
  const Json& at(std::string_view key) const;
  bool get_bool(std::string_view key) const;
  int64_t get_integer(std::string_view key) const;
  double get_number(std::string_view key) const;
  const std::string& get_string(std::string_view key) const;

  Json& set(std::string_view key, Json value);  ///< adds or replaces; a null value becomes an object first
  Json& push_back(Json value);                  ///< a null value becomes an array first

  /// `indent` < 0: one line without spaces. Doubles are printed in the fewest digits that read back to the same value;
  /// bytes that are not UTF-8 become U+FFFD.
  std::string dump(int indent = -1) const;

 private:
  struct Source;
  class Builder;

  const char* kind_name() const;
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void fail_kind(const char* expected) const;
  [[noreturn]] void fail_member(std::string_view key, const Json& value, const char* expected) const;
  void append_to(std::string& out, int indent, int level) const;

  // Plain members rather than a variant: small documents only, and no copy or move is written by hand.
  Kind kind_ = Kind::kNull;
  int64_t integer_ = 0;  ///< of a boolean, too
  double number_ = 0;
  std::string text_;
  std::vector<Json> elements_;
  std::vector<JsonMember> members_;
  std::shared_ptr<const Source> source_;  ///< where it was read; null for a value built in the program
};

struct JsonMember {
  std::string key;
  Json value;
};

}  // namespace hourglass
