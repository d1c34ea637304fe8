// SPDX-License-Identifier: Apache-2.0
// The differentiable ops. Each checks its inputs, launches its kernel, and records its backward right below
// (engine/ops/<family>.cpp). The maths stands in the kernel's header. Errors name the op, what it expected and what it
// was given. Inputs are f32, bf16 (on CUDA) or f64 (on the CPU), all of one dtype: cast() converts.
#pragma once

#include <string>
#include <vector>

#include "engine/parameters.h"
#include "engine/tape.h"
#include "kernels/activation.h"
#include "kernels/base/noise.h"
#include "kernels/codebook_ema.h"
#include "kernels/corrupt.h"
#include "kernels/step_state.h"

namespace hourglass {

// Linear algebra --------------------------------------------------------------------------------- kernels/linear.h

/// y = activation(x w^T + b). x (N, C), w (K, C), or (C, K) with `transposed_weight`; b (K) or empty; y (N, K).
Var linear(Tape& tape, const Var& x, const Var& w, const Var& b, Activation activation = Activation::kNone,
           bool transposed_weight = false);

// Convolution --------------------------------------------------------------------------------- kernels/conv2d.h

/// A number for the rows and one for the columns of an image.
struct Pair {
  int h = 0, w = 0;
  Pair(int both) : h(both), w(both) {}
  Pair(int rows, int columns) : h(rows), w(columns) {}
  bool operator==(const Pair&) const = default;
};
/// "(2, 1)", for messages.
std::string to_string(Pair pair);

struct Conv2dOptions {
  Pair stride = 1;
  Pair padding = 0;   ///< on each of the two sides
  Pair dilation = 1;  ///< distance between neighbours of the window
  /// Padding so that a convolution's output has extent ceil(input / stride), a transposed one's input * stride; an odd
  /// sum of both sides is one wider below and right.
  bool same = false;
  Pair output_padding = 0;  ///< conv_transpose2d: rows and columns added below and right, less than the stride
  Pair output_size = 0;     ///< conv_transpose2d with `same`: its output, which `same` takes back to x; 0: x * stride
  int groups = 1;           ///< others are refused
};

/// y = activation(conv(x, w) + b + residual). x (N, H, W, C), w (K, R, S, C), b (K) or empty, residual like y or empty,
/// y (N, P, Q, K): P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1, as in PyTorch.
Var conv2d(Tape& tape, const Var& x, const Var& w, const Var& b, const Conv2dOptions& options = {},
           Activation activation = Activation::kNone, const Var& residual = {});

/// The transposed convolution, adjoint of conv2d with the same options and weight. x (N, P, Q, K), w (K, R, S, C), b
/// (C) or empty, residual like y or empty, y (N, H, W, C): H = (P - 1) stride - 2 padding + dilation (R - 1) +
/// output_padding + 1, as in PyTorch.
Var conv_transpose2d(Tape& tape, const Var& x, const Var& w, const Var& b, const Conv2dOptions& options = {},
                     Activation activation = Activation::kNone, const Var& residual = {});

// Elementwise -------------------------------------------------------- kernels/activation.h, kernels/elementwise.h

Var activation(Tape& tape, const Var& x, Activation activation);
Var add(Tape& tape, const Var& a, const Var& b);
Var sub(Tape& tape, const Var& a, const Var& b);
Var mul(Tape& tape, const Var& a, const Var& b);
Var scale(Tape& tape, const Var& x, double factor);

// Shape ----------------------------------------------------------------------------------------- kernels/columns.h

/// A constant with `value` everywhere.
Var full(Tape& tape, const Shape& shape, Dtype dtype, double value);
/// Another shape over the same elements; records nothing.
Var reshape(const Var& x, const Shape& shape);
/// The same numbers as `dtype`, rounded to nearest; x itself if it has it.                          kernels/cast.h
Var cast(Tape& tape, const Var& x, Dtype dtype);
/// Columns [first, first + count) of x (N, D): y (N, count).
Var slice(Tape& tape, const Var& x, int first, int count);
/// a (N, A) and b (N, B) side by side: y (N, A + B).
Var concat(Tape& tape, const Var& a, const Var& b);

// Images: x (N, H, W, C) ---------------------------------- kernels/pool2d.h, kernels/upsample2d.h, kernels/corrupt.h

/// Windows over an image, side by side unless a stride is given. `same` pads to ceil(extent / stride) outputs, the odd
/// row below and the odd column right, as Keras does.
struct Pool2d {
  int window_h = 2, window_w = 2;
  int stride_h = 0, stride_w = 0;  ///< 0: as the window
  int pad_h = 0, pad_w = 0;        ///< on both sides
  bool same = false;
  bool count_padding = false;  ///< averages count padded pixels as zeros: PyTorch's default
};
/// The largest value of each window and channel.
Var max_pool2d(Tape& tape, const Var& x, const Pool2d& pool);
/// The average of each window and channel.
Var average_pool2d(Tape& tape, const Var& x, const Pool2d& pool);
/// Each pixel becomes factor_h x factor_w equal pixels.
Var upsample2d(Tape& tape, const Var& x, int factor_h, int factor_w);
/// Data x (N, ...) in [0, 1] with noise on them, for denoising. Takes no gradient. Row n draws the numbers of row n of
/// `noise`, of one draw.
Var corrupt(Tape& tape, const Var& x, const Corruption& corruption, const Noise& noise);

// Normalization: x (N, H, W, C) or (N, C); gamma and beta (C), or empty: 1 and 0
// ---------------------------------------------------------------- kernels/group_norm.h, kernels/batch_norm.h

/// Normalizes groups of neighbouring channels of each sample over its pixels.
Var group_norm(Tape& tape, const Var& x, const Var& gamma, const Var& beta, int groups, double eps = 1e-5);

/// The moving averages by which batch_norm normalizes outside training: state of the model, changed by the commit of a
/// training step alone.
class RunningMoments {
 public:
  /// Adds states `name`.running_mean and `name`.running_var, zeros and ones, and the statistics of a step. Before the
  /// slabs are allocated.
  RunningMoments(Parameters& parameters, const std::string& name, int channels, double momentum = 0.1);

  Var mean() const { return mean_->var; }
  Var var() const { return var_->var; }

 private:
  friend Var batch_norm(Tape&, const Var&, const Var&, const Var&, const RunningMoments&, double);
  double momentum_;
  const State *mean_, *var_;
  Leaf* moments_;
};

/// Normalizes each channel over all samples and pixels: in training with the moments of this batch, which join the
/// running ones when the step commits; in evaluation with the running ones.
Var batch_norm(Tape& tape, const Var& x, const Var& gamma, const Var& beta, const RunningMoments& running,
               double eps = 1e-5);

// Reductions over the last index: x (N, D) to y (N), in fixed order --------------------------- kernels/row_reduce.h

Var row_sum(Tape& tape, const Var& x);
Var row_mean(Tape& tape, const Var& x);
Var row_norm(Tape& tape, const Var& x);
Var row_log_sum_exp(Tape& tape, const Var& x);
/// Over all elements: y (1).
Var sum(Tape& tape, const Var& x);
Var mean(Tape& tape, const Var& x);

// Latents ------------------------------ kernels/reparameterize.h, kernels/gaussian_kl.h, kernels/gaussian_latent.h

/// z = mu + sigma(logvar) eps with `noise.draws` rows a sample: mu, logvar (N, D), z (N draws, D). eps is redrawn in
/// backward, never stored.
Var reparameterize(Tape& tape, const Var& mu, const Var& logvar, const Noise& noise);

/// KL( N(mu, sigma^2) || N(prior_mu, prior_sigma^2) ) per sample: (N), in nats. The prior is N(0, I) where empty.
Var gaussian_kl_per_sample(Tape& tape, const Var& mu, const Var& logvar, const Var& prior_mu = {},
                           const Var& prior_logvar = {});
/// The mean over samples of the KL to N(0, I).
Loss gaussian_kl(Tape& tape, const Var& mu, const Var& logvar);

/// Sampling and KL of a Gaussian head in one pass each way.
struct GaussianLatent {
  Var z;              ///< (N draws, D)
  Var kl_per_sample;  ///< (N), a value only: its gradient flows through `kl`
  Loss kl;            ///< mean over the N samples
};
/// head (N, 2 D): mu in the first D columns, logvar in the last.
GaussianLatent gaussian_latent(Tape& tape, const Var& head, const Noise& noise);

// Reconstruction losses ----------- kernels/bernoulli_nll.h, kernels/squared_error.h, kernels/gaussian_nll.h
//
// y (N, ...) is compared with the data x, which has N or N / draws rows and takes no gradient. Sums over the elements
// of a row, in nats. The Loss form is the mean over the N rows.

/// Bernoulli log-likelihood (binary cross-entropy with logits).
Loss bernoulli_nll(Tape& tape, const Var& logits, const Var& x);
Var bernoulli_nll_per_sample(Tape& tape, const Var& logits, const Var& x);
/// Sum of squared differences.
Loss squared_error(Tape& tape, const Var& y, const Var& x);
Var squared_error_per_sample(Tape& tape, const Var& y, const Var& x);
/// Gaussian log-likelihood with standard deviation exp(log_sigma): (1) or one a column; constant or learned; f32
/// beside bf16.
Loss gaussian_nll(Tape& tape, const Var& y, const Var& x, const Var& log_sigma);
Var gaussian_nll_per_sample(Tape& tape, const Var& y, const Var& x, const Var& log_sigma);
/// 8-bit data under a logistic distribution around mu, for bits per dimension. log_scale of K elements serves the
/// columns d % K: (1), (C) for one a channel, or one a column.                          kernels/discretized_logistic.h
Loss discretized_logistic(Tape& tape, const Var& mu, const Var& x, const Var& log_scale);
Var discretized_logistic_per_sample(Tape& tape, const Var& mu, const Var& x, const Var& log_scale);
/// Gaussian log-likelihood with the sigma that suits this batch best: (D/2) log(2 pi e mse). kernels/optimal_gaussian.h
Loss optimal_gaussian_nll(Tape& tape, const Var& y, const Var& x);

// Vector quantisation -------------- kernels/nearest_codebook.h, kernels/vector_quantize.h, kernels/codebook_ema.h
//
// x (..., D) is a batch of positions: all indices but the last count as rows, N of them. codebook (K, D).

/// The nearest code of each position, found exactly; values only. What is not finite sets the fault, if one is given.
struct NearestCode {
  Var index;     ///< (N), i32; -1 for a position that is not finite
  Var distance;  ///< (N), squared
};
NearestCode nearest_codebook(Tape& tape, const Var& x, const Var& codebook, const FaultReport& report = {});

/// The codes' rows in ascending order, for sums over them.
struct SortedCodes {
  Var offsets;  ///< (K + 1), i32
  Var order;    ///< (N), i32
};
SortedCodes sort_by_code(Tape& tape, const Var& index, int K);

struct Quantized {
  Var codes;  ///< straight through, of x's shape: the values are codes, the gradient is x's
  NearestCode nearest;
  Loss commitment;  ///< mean over positions and dimensions of (x - code)^2; its gradient goes to x
  Loss codebook;    ///< the same number; its gradient goes to the codebook
};
/// `counts`, if given, is a statistic of K numbers that receives how often each code was chosen.
Quantized vector_quantize(Tape& tape, const Var& x, const Var& codebook, const FaultReport& report = {},
                          Leaf* counts = nullptr);
/// The codes of an index: what vector_quantize makes of positions with this index, bit for bit. Values only. index
/// (N), i32, to (N, D); outside [0, K): NaN.
Var code_vectors(Tape& tape, const Var& index, const Var& codebook);

/// A codebook that follows its rows as a moving average instead of a gradient: state of the model, changed by the
/// commit of a training step alone.
class EmaCodebook {
 public:
  /// Adds states `name`, `name`_counts, `name`_sums, and the statistics of a step. Before the slabs are allocated.
  EmaCodebook(Parameters& parameters, const std::string& name, int K, int D, Init init,
              const CodebookEmaOptions& options);

  /// After the slabs, or whatever filled the codebook (k-means): the averages start at it, each with count 1.
  void start(const Context& ctx) const;
  Var codebook() const { return codebook_->var; }
  Var counts() const { return counts_->var; }
  /// The statistic of a step: how often each code was chosen.
  const Leaf* step_counts() const { return step_counts_; }

  /// As the op, without the codebook's loss. In training the step's counts and sums join the statistics, and its commit
  /// updates the codebook; `restart` names the random numbers of restarts.
  Quantized quantize(Tape& tape, const Var& x, const Noise& restart, const FaultReport& report = {}) const;

 private:
  CodebookEmaOptions options_;
  const State *codebook_, *counts_, *sums_;
  Leaf *step_counts_, *step_sums_;
};

/// usage (K, int64, device memory) += `counts`, a statistic of K numbers of `dtype`, when the step commits.
void add_code_counts_on_commit(Tape& tape, const Leaf* counts, Dtype dtype, int K, int64_t* usage);
/// exp of the entropy of how often codes are used, 1 (one code) to K (all alike); 0 without any use.
double perplexity(const std::vector<int64_t>& usage);

// Fusions: what a model calls for several ops at once ---------------- kernels/gaussian_head.h, kernels/linear_bce.h

/// gaussian_latent(linear(x, w, b), noise): x (N, C), w (2 D, C), b (2 D) or empty.
GaussianLatent gaussian_head(Tape& tape, const Var& x, const Var& w, const Var& b, const Noise& noise);

/// bernoulli_nll(linear(x, w, b), target) without the logits: those are never stored.
Loss linear_bce(Tape& tape, const Var& x, const Var& w, const Var& b, const Var& target,
                bool transposed_weight = false);

}  // namespace hourglass
