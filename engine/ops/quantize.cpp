// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "engine/ops/memory.h"
#include "kernels/nearest_codebook.h"
#include "kernels/vector_quantize.h"

namespace hourglass {
namespace {

VectorQuantizeShape quantize_shape(const char* op, const Var& x, const Var& codebook) {
  check_wide(op, {x, codebook});
  check_rank(op, "codebook", codebook, 2);
  const int rank = x.shape.rank();
  if (rank == 0 || x.shape[rank - 1] != codebook.shape[1]) {
    refuse(op, "x expects a last extent of " + std::to_string(codebook.shape[1]) + " as codebook " +
                   to_string(codebook.shape) + " has, given " + to_string(x.shape));
  }
  int64_t rows = 1;
  for (int i = 0; i + 1 < rank; ++i) rows *= x.shape[i];
  if (rows > std::numeric_limits<int>::max()) refuse(op, "more than 2147483647 positions: " + to_string(x.shape));
  return {static_cast<int>(rows), codebook.shape[1], codebook.shape[0]};
}

CodeRows rows_of(const SortedCodes& sorted) {
  return {sorted.offsets.as<const int32_t>(), sorted.order.as<const int32_t>()};
}

/// Codes of the nearest, straight through, and the commitment loss.
Quantized quantize_values(Tape& tape, const VectorQuantizeShape& s, const Var& x, const Var& codebook,
                          const FaultReport& report) {
  Quantized result;
  result.nearest = nearest_codebook(tape, x, codebook, report);
  const Var codes = tape.constant(x.shape, x.dtype), index = result.nearest.index;
  dispatch_wide(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    vector_quantize_forward(lane, s, codebook.as<const T>(), index.as<const int32_t>(), codes.as<T>());
  });
  result.codes = straight_through(x, codes);
  const Loss loss = result.commitment = tape.loss({x});
  tape.on_backward(
      "commitment_loss", {},
      [s, x, codes, loss](Tape& t) {
        const LossGrad grad = t.loss_grad(loss);
        const Slot dx = t.grad_slot(x);
        dispatch_wide(t.ctx(), x.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          commitment_loss(lane, s, x.as<const T>(), codes.as<const T>(), grad.weight, grad.value.as<acc_t<T>>(),
                          dx.as<T>());
        });
      },
      loss);
  return result;
}

}  // namespace

NearestCode nearest_codebook(Tape& tape, const Var& x, const Var& codebook, const FaultReport& report) {
  const VectorQuantizeShape rows = quantize_shape("nearest_codebook", x, codebook);
  const NearestCodebookShape s{rows.N, rows.D, rows.K};
  const NearestCode nearest{tape.constant({s.N}, Dtype::kI32), tape.constant({s.N}, accumulator_of(x.dtype))};
  const Var scratch = scratch_of(
      tape, ask_wide(tape.ctx(), x.dtype, [&](auto lane) { return nearest_codebook_scratch_bytes(lane, s); }));
  tape.check_alive(x);
  dispatch_wide(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    nearest_codebook(lane, s, x.as<const T>(), codebook.as<const T>(), scratch.data, nearest.index.as<int32_t>(),
                     nearest.distance.as<acc_t<T>>(), report);
  });
  return nearest;
}

SortedCodes sort_by_code(Tape& tape, const Var& index, int K) {
  if (index.dtype != Dtype::kI32)
    refuse("sort_by_code", std::string("index expects i32, given ") + name_of(index.dtype));
  const VectorQuantizeShape s{static_cast<int>(index.shape.elements()), 0, K};
  const SortedCodes sorted{tape.constant({int64_t{K} + 1}, Dtype::kI32), tape.constant({s.N}, Dtype::kI32)};
  const Var scratch = scratch_of(
      tape, ask_wide(tape.ctx(), Dtype::kF32, [&](auto lane) { return sort_by_code_scratch_bytes(lane, s); }));
  dispatch_wide(tape.ctx(), Dtype::kF32, [&](auto lane) {
    sort_by_code(lane, s, index.as<const int32_t>(), scratch.data, sorted.offsets.as<int32_t>(),
                 sorted.order.as<int32_t>());
  });
  return sorted;
}

Quantized vector_quantize(Tape& tape, const Var& x, const Var& codebook, const FaultReport& report, Leaf* counts) {
  const VectorQuantizeShape s = quantize_shape("vector_quantize", x, codebook);
  Quantized result = quantize_values(tape, s, x, codebook, report);
  const Loss loss = result.codebook = tape.loss({codebook});
  const bool learns = tape.mode() == Mode::kTrain && codebook.groups;
  const SortedCodes sorted = learns ? sort_by_code(tape, result.nearest.index, s.K) : SortedCodes{};
  if (learns && counts) {
    const Slot slot = statistic_slot(counts, x.dtype);
    dispatch_wide(tape.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      code_sums(lane, s, x.as<const T>(), rows_of(sorted), slot.as<acc_t<T>>(), Grad<acc_t<T>>{});
    });
  }
  tape.on_backward(
      "codebook_loss", {},
      [s, x, codebook, sorted, loss](Tape& t) {
        const LossGrad grad = t.loss_grad(loss);
        const Slot dcodebook = t.grad_slot(codebook);
        dispatch_wide(t.ctx(), x.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          codebook_loss(lane, s, x.as<const T>(), codebook.as<const T>(), rows_of(sorted), grad.weight,
                        grad.value.as<acc_t<T>>(), dcodebook.as<acc_t<T>>());
        });
      },
      loss);
  return result;
}

Var code_vectors(Tape& tape, const Var& index, const Var& codebook) {
  if (index.dtype != Dtype::kI32)
    refuse("code_vectors", std::string("index expects i32, given ") + name_of(index.dtype));
  check_wide("code_vectors", {codebook});
  check_rank("code_vectors", "codebook", codebook, 2);
  const int64_t rows = index.shape.elements();
  const VectorQuantizeShape s{static_cast<int>(rows), codebook.shape[1], codebook.shape[0]};
  const Var codes = tape.constant({rows, s.D}, codebook.dtype);
  dispatch_wide(tape.ctx(), codebook.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    vector_quantize_forward(lane, s, codebook.as<const T>(), index.as<const int32_t>(), codes.as<T>());
  });
  return codes;
}

EmaCodebook::EmaCodebook(Parameters& parameters, const std::string& name, int K, int D, Init init,
                         const CodebookEmaOptions& options)
    : options_(options),
      codebook_(&parameters.state(name, {K, D}, init)),
      counts_(&parameters.state(name + "_counts", {K}, Init::constant(1))),
      sums_(&parameters.state(name + "_sums", {K, D}, Init::zeros())),
      step_counts_(parameters.statistics(K)),
      step_sums_(parameters.statistics(int64_t{K} * D)) {}

void EmaCodebook::start(const Context& ctx) const {
  const CodebookEmaShape s{0, codebook_->shape[1], codebook_->shape[0]};
  dispatch_wide(ctx, codebook_->var.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    start_codebook_ema(lane, s, CodebookEma<T>{counts_->var.as<T>(), sums_->var.as<T>(), codebook_->var.as<T>()});
  });
}

Quantized EmaCodebook::quantize(Tape& tape, const Var& x, const Noise& restart, const FaultReport& report) const {
  const Var codebook = codebook_->var, counts = counts_->var, sums = sums_->var;
  const VectorQuantizeShape s = quantize_shape("vector_quantize", x, codebook);
  const Quantized result = quantize_values(tape, s, x, codebook, report);
  if (tape.mode() != Mode::kTrain) return result;
  const SortedCodes sorted = sort_by_code(tape, result.nearest.index, s.K);
  const Slot step_counts = statistic_slot(step_counts_, x.dtype), step_sums = statistic_slot(step_sums_, x.dtype);
  dispatch_wide(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    code_sums(lane, s, x.as<const T>(), rows_of(sorted), step_counts.as<acc_t<T>>(), step_sums.as<acc_t<T>>());
  });
  const CodebookEmaShape shape{s.N, s.D, s.K};
  const CodebookEmaOptions options = options_;
  void *const new_counts = step_counts.data, *const new_sums = step_sums.data;
  tape.on_commit([shape, options, x, codebook, counts, sums, new_counts, new_sums, restart](const Commit& commit) {
    Noise noise = restart;
    noise.step = commit.step;
    dispatch_wide(commit.ctx, x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      codebook_ema_update(lane, shape, options, commit.fault, static_cast<const T*>(new_counts),
                          static_cast<const T*>(new_sums), x.as<const T>(), noise,
                          CodebookEma<T>{counts.as<T>(), sums.as<T>(), codebook.as<T>()});
    });
  });
  return result;
}

void add_code_counts_on_commit(Tape& tape, const Leaf* counts, Dtype dtype, int K, int64_t* usage) {
  const void* const added = counts->grad;
  tape.on_commit([added, dtype, K, usage](const Commit& commit) {
    dispatch_wide(commit.ctx, dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      add_code_counts(lane, VectorQuantizeShape{0, 0, K}, static_cast<const T*>(added), commit.fault, usage);
    });
  });
}

double perplexity(const std::vector<int64_t>& usage) {
  double total = 0, entropy = 0;
  for (const int64_t count : usage) total += static_cast<double>(count);
  if (total == 0) return 0;
  for (const int64_t count : usage) {
    const double share = static_cast<double>(count) / total;
    if (count > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

}  // namespace hourglass
