// SPDX-License-Identifier: Apache-2.0
// How far two partitions of the same rows agree: clusters and classes, say. Neither depends on how groups are numbered.
#pragma once

#include <cstdint>
#include <span>

namespace hourglass {

/// Hubert and Arabie 1985: over pairs of rows, 1 for equal partitions, 0 expected for independent ones of these sizes;
/// it can be negative. With tp, fn, fp and tn the ordered pairs together in both, in `a` only, in `b` only, in neither:
///
///   2 (tp tn - fn fp) / ((tp + fn) (fn + tn) + (tp + fp) (fp + tn)),    1 where fn = fp = 0
///
/// Throws Error(kInternal) for spans of different lengths, as below.
double adjusted_rand_index(std::span<const int32_t> a, std::span<const int32_t> b);

/// I(a; b) / ((H(a) + H(b)) / 2), the arithmetic mean: 1 for equal partitions, 0 for independent ones. 1 where both
/// have one group only.
double normalized_mutual_information(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace hourglass
