// SPDX-License-Identifier: Apache-2.0
// What a container lets its programs have.
#pragma once

#include <cstddef>
#include <filesystem>

namespace hourglass {

/// Bytes of memory that the control group (version 2) in `folder` still allows: its limit less what is in use and not
/// given back on demand. SIZE_MAX where there is no limit or no such group.
size_t available_to_group(const std::filesystem::path& folder);

}  // namespace hourglass
