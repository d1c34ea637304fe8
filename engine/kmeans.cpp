// SPDX-License-Identifier: Apache-2.0
#include "engine/kmeans.h"

#include "engine/buffer.h"
#include "engine/dispatch.h"
#include "engine/host_values.h"
#include "engine/ops/check.h"
#include "engine/transfer.h"
#include "kernels/kmeans.h"
#include "kernels/nearest_codebook.h"
#include "kernels/vector_quantize.h"

namespace hourglass {
namespace {

/// The memory of a run, and its two halves of an iteration.
class Lloyd {
 public:
  Lloyd(const Context& ctx, const Var& x, const Var& codebook, int32_t* index)
      : ctx_(&ctx), x_(x), codebook_(codebook), s_{x.shape[0], x.shape[1], codebook.shape[0]}, index_(index) {
    const size_t element = size_of(x.dtype), K = static_cast<size_t>(s_.K), N = static_cast<size_t>(s_.N);
    const auto buffer = [&](size_t bytes) { return Buffer(ctx, std::max<size_t>(bytes, 1), "k-means"); };
    if (!index_) index_ = (own_index_ = buffer(N * sizeof(int32_t))).as<int32_t>();
    distance_ = buffer(N * element);
    offsets_ = buffer((K + 1) * sizeof(int32_t));
    order_ = buffer(N * sizeof(int32_t));
    counts_ = buffer(K * element);
    sums_ = buffer(K * static_cast<size_t>(s_.D) * element);
    fault_ = buffer(sizeof(Fault));
    scratch_ = buffer(ask_wide(ctx, x.dtype, [&](auto lane) {
      return std::max(nearest_codebook_scratch_bytes(lane, lookup()), sort_by_code_scratch_bytes(lane, quantize()));
    }));
  }

  void seed(uint32_t seed) {
    const Noise noise{seed, stream_id("k-means++")};
    dispatch_wide(*ctx_, x_.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      for (int k = 0; k < s_.K; ++k) {
        kmeans_seed(lane, s_, k, x_.as<const T>(), noise, distance_.as<T>(), codebook_.as<T>());
      }
    });
  }

  /// Each row to its nearest centre; returns the inertia.
  double assign() {
    dispatch_wide(*ctx_, x_.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      nearest_codebook(lane, lookup(), x_.as<const T>(), codebook_.as<const T>(), scratch_.data(), index_,
                       distance_.as<acc_t<T>>(), FaultReport{fault_.as<Fault>(), nullptr});
    });
    Fault fault;
    to_host(*ctx_, &fault, fault_.data(), sizeof fault);
    if (fault.code != 0) {
      throw Error(Exit::kNotFinite, std::string("kmeans: ") + (fault.op == kFaultCode ? "centre " : "row ") +
                                        std::to_string(fault.index) + " is not finite");
    }
    Var distances;
    distances.data = distance_.data();
    distances.shape = {s_.N};
    distances.dtype = accumulator_of(x_.dtype);
    double inertia = 0;
    for (const double d : host_values(*ctx_, distances)) inertia += d;
    return inertia;
  }

  /// Each centre to the mean of its rows.
  void update() {
    const CodeRows rows{offsets_.as<int32_t>(), order_.as<int32_t>()};
    dispatch_wide(*ctx_, x_.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      sort_by_code(lane, quantize(), index_, scratch_.data(), offsets_.as<int32_t>(), order_.as<int32_t>());
      code_sums(lane, quantize(), x_.as<const T>(), rows, Grad<acc_t<T>>{counts_.as<acc_t<T>>()},
                Grad<acc_t<T>>{sums_.as<acc_t<T>>()});
      kmeans_update(lane, s_, counts_.as<const T>(), sums_.as<const T>(), codebook_.as<T>());
    });
  }

 private:
  NearestCodebookShape lookup() const { return {s_.N, s_.D, s_.K}; }
  VectorQuantizeShape quantize() const { return {s_.N, s_.D, s_.K}; }

  const Context* ctx_;
  Var x_, codebook_;
  KMeansShape s_;
  int32_t* index_;
  Buffer own_index_, distance_, offsets_, order_, counts_, sums_, fault_, scratch_;
};

}  // namespace

KMeansResult kmeans(const Context& ctx, const Var& x, const Var& codebook, const KMeansOptions& options,
                    int32_t* index) {
  check_wide("kmeans", {x, codebook});
  check_rank("kmeans", "x", x, 2);
  check_rank("kmeans", "codebook", codebook, 2);
  if (codebook.shape[1] != x.shape[1] || x.shape[0] == 0 || codebook.shape[0] == 0) {
    refuse("kmeans", "expects rows and centres of one width, at least one of each, given x " + to_string(x.shape) +
                         " and codebook " + to_string(codebook.shape));
  }
  if (options.iterations < 0) refuse("kmeans", "iterations expects >= 0, given " + std::to_string(options.iterations));
  if (!(options.tolerance >= 0)) {
    refuse("kmeans", "tolerance expects >= 0, given " + std::to_string(options.tolerance));
  }
  Lloyd lloyd(ctx, x, codebook, index);
  lloyd.seed(options.seed);
  KMeansResult result;
  result.inertia = lloyd.assign();
  while (result.iterations < options.iterations && !result.converged) {
    lloyd.update();
    const double inertia = lloyd.assign();
    ++result.iterations;
    result.converged = !(result.inertia - inertia > options.tolerance * result.inertia);
    result.inertia = inertia;
  }
  return result;
}

}  // namespace hourglass
