// SPDX-License-Identifier: Apache-2.0
// What a command found out, for people as an aligned table or for programs as one JSON object.
#pragma once

#include <string>

#include "engine/io/json.h"

namespace hourglass {

/// One line a member, "  active units  20": underscores read as spaces, objects are indented below their name, null is
/// left out.
std::string facts_text(const Json& facts);

/// An environment variable; null where it is not set.
Json environment_variable(const char* name);

/// Writes the facts to standard output: with `json` as one object on one line and nothing else.
void print_facts(const Json& facts, bool json);

}  // namespace hourglass
