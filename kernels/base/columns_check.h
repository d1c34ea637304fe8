// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/columns.h"

namespace hourglass {

inline void check_column_block(const char* matrix, int64_t columns, int64_t first, int64_t count) {
  if (first >= 0 && count >= 0 && first + count <= columns) return;
  throw Error(Exit::kUsage, "copy_columns: columns [" + std::to_string(first) + ", " + std::to_string(first + count) +
                                ") leave the " + matrix + ", which has " + std::to_string(columns));
}

inline void check_columns(const ColumnsShape& s) {
  if (s.rows < 0) throw Error(Exit::kUsage, "copy_columns: expected rows >= 0, got " + std::to_string(s.rows));
  check_column_block("source", s.src_cols, s.src_first, s.count);
  check_column_block("destination", s.dst_cols, s.dst_first, s.count);
}

}  // namespace hourglass
