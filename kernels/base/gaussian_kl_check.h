// SPDX-License-Identifier: Apache-2.0
// What both devices' forms of kernels/gaussian_kl.h refuse.
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/base/row_loss.h"
#include "kernels/gaussian_kl.h"

namespace hourglass {

/// `prior_mu` and `prior_logvar`: whether these were given.
inline void check_gaussian_kl(GaussianKlShape s, bool prior_mu, bool prior_logvar) {
  if (s.N < 0 || s.D < 0 || s.stride < 0 || (s.stride != 0 && s.stride < s.D)) {
    throw Error(Exit::kUsage,
                "gaussian_kl: expected N >= 0, D >= 0 and stride 0 or >= D, got N = " + std::to_string(s.N) +
                    ", D = " + std::to_string(s.D) + ", stride = " + std::to_string(s.stride));
  }
  const bool some = s.N != 0 && s.D != 0;
  if ((s.general_prior && some && !(prior_mu && prior_logvar)) || (!s.general_prior && (prior_mu || prior_logvar))) {
    throw Error(Exit::kUsage, std::string("gaussian_kl: a ") + (s.general_prior ? "general" : "standard normal") +
                                  " prior expects prior_mu and prior_logvar " + (s.general_prior ? "given" : "null") +
                                  ", got prior_mu " + (prior_mu ? "given" : "null") + ", prior_logvar " +
                                  (prior_logvar ? "given" : "null"));
  }
}

/// Refuses gradients of a prior that has none.
inline void check_prior_gradients(GaussianKlShape s, bool any) {
  if (!s.general_prior && any) {
    throw Error(Exit::kUsage, "gaussian_kl: the standard normal prior has no gradients, got somewhere to write them");
  }
}

/// What `_loss` refuses.
inline void check_gaussian_kl_loss(GaussianKlShape s) {
  if (s.general_prior) {
    throw Error(Exit::kUsage, "gaussian_kl_loss: expected the standard normal prior, got a general one");
  }
  check_gaussian_kl(s, false, false);
  check_mean("gaussian_kl_loss", s.N);
}

}  // namespace hourglass
