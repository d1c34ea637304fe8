// SPDX-License-Identifier: Apache-2.0
// The reverse-mode tape: a list of named closures. Backward is that list walked backwards.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "engine/arena.h"
#include "engine/tensor.h"
#include "kernels/base/context.h"

namespace hourglass {

class Profiler;
class Tape;
struct Fault;

/// The gradient of a parameter, or the slot of a statistic: a place in the gradient slab that outlives the step.
struct Leaf {
  void* grad = nullptr;
  bool written = false;  ///< since the last commit: the next contribution adds
};

/// Where an op writes the gradient of an input. Null: not wanted.
struct Slot {
  void* data = nullptr;
  Write mode = Write::kSet;
  Dtype dtype = Dtype::kF32;
  const char* op = "";  ///< that writes it
  explicit operator bool() const { return data != nullptr; }
  /// Throws Error(kUsage) if the op writes another type: in bf16 the gradient of a parameter is f32, that of an
  /// activation bf16, and an op that reads either writes one of them.
  template <class T>
  Grad<T> as() const {
    if (data && dtype != dtype_of<T>) refuse_type(dtype_of<T>);
    return {static_cast<T*>(data), mode};
  }

 private:
  [[noreturn]] void refuse_type(Dtype written) const;
};

/// A loss: a mean over samples whose gradient is a weight, not a tensor, so that one kernel writes value and weighted
/// gradient together. It is launched by `Tape::backward`, or never.
struct Loss {
  int32_t node = -1;
  uint32_t generation = 0;
};

/// What a loss op reads in its backward.
struct LossGrad {
  Weight weight{0};  ///< zero when the loss is no term of this backward
  Slot value;        ///< where the unweighted value goes; may be null
};

/// One term of an objective: backward(sum of weight * loss). `value`, if given, receives the unweighted value.
struct Term {
  Term(Loss l, Weight w, Leaf* v = nullptr) : loss(l), weight(w), value(v) {}
  Term(Loss l, double w, Leaf* v = nullptr) : loss(l), weight{w}, value(v) {}
  /// Every element of `var` receives the weight as its gradient.
  Term(Var v, double w) : var(v), weight{w} {}
  Loss loss;
  Var var;
  Weight weight;
  Leaf* value = nullptr;
};

enum class Mode : uint8_t { kTrain, kEvaluate };

/// What a commit reads: it writes nothing while the fault is set. Device memory, as `step` is.
struct Commit {
  const Context& ctx;
  const Fault* fault = nullptr;
  const int64_t* step = nullptr;
};

class Tape {
 public:
  Tape(const Context& ctx, Arena& arena) : ctx_(&ctx), arena_(&arena) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  const Context& ctx() const { return *ctx_; }
  Arena& arena() { return *arena_; }
  Mode mode() const { return mode_; }

  /// Forgets every record and value; evaluation records nothing.
  void rewind(Mode mode = Mode::kTrain);

  // For ops. An op checks, allocates its outputs, launches, and calls on_backward with a closure of shapes and views.

  /// A new value computed from `inputs`, in the arena. Refuses inputs from before the last rewind.
  Var output(const Shape& shape, Dtype dtype, std::initializer_list<Var> inputs);
  /// A new value that depends on no parameter.
  Var constant(const Shape& shape, Dtype dtype) { return output(shape, dtype, {}); }
  Loss loss(std::initializer_list<Var> inputs);

  /// Records how gradients flow from `outputs` (and `loss`) to the inputs. The closure gets this tape.
  template <class F>
  void on_backward(const char* name, std::initializer_list<Var> outputs, F closure, Loss loss = {}) {
    static_assert(std::is_trivially_copyable_v<F>, "a record owns nothing: capture shapes and views by value");
    record(name, outputs, loss, &closure, sizeof closure,
           [](Tape& tape, const std::byte* capture) { reinterpret_cast<const F*>(capture)->operator()(tape); });
  }

  /// Records what the step changes besides parameters: kernels on state that run with the optimizers' update, once the
  /// check has passed. Evaluation records none. Same rules for the closure, which gets a Commit.
  template <class F>
  void on_commit(F closure) {
    static_assert(std::is_trivially_copyable_v<F>, "a record owns nothing: capture shapes and views by value");
    record_commit(&closure, sizeof closure, [](const Commit& commit, const std::byte* capture) {
      reinterpret_cast<const F*>(capture)->operator()(commit);
    });
  }
  /// Runs them in their order, and forgets them. The optimizers' commit calls it.
  void run_commits(const Commit& commit);

  // For closures of on_backward.

  /// The gradient that arrived at an output of the record; null when none did.
  void* output_grad(const Var& v) const;
  /// Where to write the gradient of an input: set the first contribution, add the later ones. Null: not wanted.
  Slot grad_slot(const Var& v);
  /// The same, for an op that launches once per input, so that `mul(x, x)` may ask twice.
  Slot next_grad_slot(const Var& v);
  LossGrad loss_grad(Loss loss);
  /// Memory until the end of this record.
  void* scratch(size_t bytes);

  /// Runs the records that lie between the terms and the parameters of `groups`, last first. May be called several
  /// times before the commit: gradients of parameters add up, those of activations do not.
  void backward(std::initializer_list<Term> terms, Groups groups = kAllGroups) {
    backward(terms.begin(), terms.size(), groups);
  }
  void backward(const Term* terms, size_t count, Groups groups = kAllGroups);

  /// Times what is launched, until it is told null; see profiler.h.
  void profile(Profiler* profiler) { profiler_ = profiler; }
  /// What was launched since the last entry of the tape, and belongs to none of its ops, is `name`.
  void mark(const char* name) {
    if (profiler_) add_entry(name, {});
  }

  /// Called by the first commit of a step: parameters change now, so nothing more may be recorded or differentiated.
  void close() { closed_ = true; }

  /// After each op, forward and backward, look for values that are not finite; throws Error(kNotFinite) naming the op.
  void detect_anomaly(bool on) { detect_anomaly_ = on; }

  /// Records run by the last backward.
  int64_t records_run() const { return records_run_; }
  size_t records() const { return records_.size(); }
  /// Throws if `v` is from before the last rewind.
  void check_alive(const Var& v) const;

 private:
  struct Node {
    Shape shape;
    Dtype dtype = Dtype::kF32;
    Groups groups = 0;
    void* data = nullptr;
    void* grad = nullptr;   // allocated at its first contribution, null after its record has run
    Weight weight{0};       // of a loss
    Leaf* value = nullptr;  // of a loss
    bool written = false;
    int32_t asked_by = -1;  // record
    uint32_t first_input = 0, inputs = 0;
  };
  struct Scratch {
    void* data;
    size_t bytes;
  };
  struct Record {
    const char* name;
    uint32_t first_node, nodes;  // in output_nodes_
    Groups groups;
    size_t capture;
    void (*run)(Tape&, const std::byte*);
    size_t entry;  // of the profile
  };

  struct CommitRecord {
    size_t capture;
    void (*run)(const Commit&, const std::byte*);
  };

  /// Copies a closure to memory of the tape and says where.
  size_t keep(const void* capture, size_t bytes);
  void record_commit(const void* capture, size_t bytes, void (*run)(const Commit&, const std::byte*));
  void record(const char* name, std::initializer_list<Var> outputs, Loss loss, const void* capture, size_t bytes,
              void (*run)(Tape&, const std::byte*));
  int32_t new_node(const Shape& shape, Dtype dtype, std::initializer_list<Var> inputs);
  Slot slot(const Var& v, bool once);
  bool asked_before(const Var& v);
  void seed(const Term& term);
  void release(Node& node);
  size_t add_entry(const char* name, const Shape& shape);
  void check_open(const char* what) const;
  void check_finite(const char* op, const char* what, const void* data, const Shape& shape, Dtype dtype) const;
  void check_outputs(const Record& record) const;
  void check_gradients(const Record& record) const;

  const Context* ctx_;
  Arena* arena_;
  Mode mode_ = Mode::kTrain;
  bool closed_ = true;  // until the first rewind
  bool detect_anomaly_ = false;
  Profiler* profiler_ = nullptr;
  size_t entries_ = 0;  // of the profile, since the rewind
  std::vector<Node> nodes_;
  std::vector<Var> inputs_;
  std::vector<int32_t> output_nodes_;
  std::vector<Record> records_;
  std::vector<CommitRecord> commits_;
  std::vector<std::byte> captures_;
  std::vector<Scratch> scratch_;
  std::vector<const Leaf*> leaves_asked_;  // by the record that runs
  Groups wanted_ = 0;
  int32_t running_ = -1;
  int64_t records_run_ = 0;
};

/// The same values without a gradient.
Var detach(Var v);
/// Values of `values`, gradient of `gradient`: backward passes straight through (VQ-VAE). Both are of one step.
Var straight_through(const Var& gradient, const Var& values);

}  // namespace hourglass
