// SPDX-License-Identifier: Apache-2.0
// How the persistent form of vae_step.h is cut: the products, each into the blocks that the single op would launch
// (gemm_cut.h, small tiles), and the stages, between which all blocks of the grid meet. What stands in one stage needs
// nothing of it; weight gradients wait for stages that leave blocks idle. The grid decides where an item is computed,
// never how.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/gemm_cut.h"
#include "kernels/vae_step.h"

namespace hourglass {

/// The products; items are the blocks of their cuts.
enum class VaeWork : uint8_t {
  kEncoder,
  kHead,
  kDecoder,
  kLast,
  kLastInput,
  kLastWeight,
  kDecoderInput,
  kDecoderWeight,
  kHeadInput,
  kHeadWeight,
  kEncoderWeight,
};
inline constexpr int kVaeProducts = static_cast<int>(VaeWork::kEncoderWeight) + 1;

/// What the code of an item is. Its operands stand in a table at `number`, of products their VaeWork, so that the
/// compiler does not keep those of all products in registers.
enum class VaeKind : uint8_t { kForward, kLoss, kInput, kWeight, kHeadInput, kHeadWeight, kMean, kCheck, kUpdate };

struct VaeItems {
  VaeKind kind;
  uint8_t number;
  int first, count;
};
/// The numbers of kMean.
inline constexpr int kReconstructionMean = 0, kKlMean = 1;

struct VaeStage {
  static constexpr int kMostParts = 4;
  int parts = 0, total = 0;
  VaeItems items[kMostParts] = {};
  void add(VaeKind kind, int number, int first, int count) {
    items[parts++] = {kind, static_cast<uint8_t>(number), first, count};
    total += count;
  }
};

/// The stages of a step. The one before the step's first, which gathers its batch, exists once a launch: later batches
/// are gathered in kGatherStage of the step before. A step is finished in the first stage of the next.
inline constexpr int kVaeStages = 10, kGatherStage = 6, kCheckStage = 8, kUpdateStage = 9;

struct VaePlan {
  gpu::GemmCut cuts[kVaeProducts];
  VaeStage stages[kVaeStages];
  int check_shares = 0;

  const gpu::GemmCut& cut(VaeWork work) const { return cuts[static_cast<int>(work)]; }

  explicit VaePlan(const VaeStepShape& s) {
    using gpu::plan_products;
    using enum VaeWork;
    // As the single ops plan, with what they keep for themselves.
    set(kEncoder, plan_products<1>({{{s.N, s.H, s.D}}}, true).cuts[0]);
    set(kHead, plan_products<1>({{{s.N, 2 * s.Z, s.H}}}, true, {32, 0}).cuts[0]);
    set(kDecoder, plan_products<1>({{{s.N, s.H, s.Z}}}, true).cuts[0]);
    set(kLast, plan_products<1>({{{s.N, s.D, s.H}}}, true, {1, 64}).cuts[0]);
    set(kLastInput, kLastWeight, plan_products<2>({{{s.N, s.H, s.D}, {s.D, s.H + 1, s.N}}}, true));
    set(kDecoderInput, kDecoderWeight, plan_products<2>({{{s.N, s.Z, s.H}, {s.H, s.Z + 1, s.N}}}, true));
    set(kHeadInput, kHeadWeight, plan_products<2>({{{s.N, s.H, 2 * s.Z}, {2 * s.Z, s.H + 1, s.N}}}, true));
    set(kEncoderWeight, plan_products<2>({{{0, s.D, s.H}, {s.H, s.D + 1, s.N}}}, true).cuts[1]);
  }

  /// The stages on a grid of `blocks`, with `checks` and `updates` items of those kinds.
  void place(int blocks, int checks, int updates) {
    using enum VaeWork;
    check_shares = checks;
    whole(0, VaeKind::kForward, kEncoder);
    whole(1, VaeKind::kForward, kHead);
    whole(2, VaeKind::kForward, kDecoder);
    whole(3, VaeKind::kLoss, kLast);
    whole(4, VaeKind::kInput, kLastInput);
    stages[4].add(VaeKind::kMean, kReconstructionMean, 0, 1);
    whole(5, VaeKind::kInput, kDecoderInput);
    const int weights = count(kLastWeight), rest = stages[5].total % blocks;
    const int early = std::min(weights, rest ? blocks - rest : 0);
    part(5, VaeKind::kWeight, kLastWeight, 0, early);
    whole(kGatherStage, VaeKind::kHeadInput, kHeadInput);
    whole(kGatherStage, VaeKind::kWeight, kDecoderWeight);
    part(kGatherStage, VaeKind::kWeight, kLastWeight, early, weights - early);
    stages[kGatherStage].add(VaeKind::kMean, kKlMean, 0, 1);
    whole(7, VaeKind::kWeight, kEncoderWeight);
    whole(7, VaeKind::kHeadWeight, kHeadWeight);
    stages[kCheckStage].add(VaeKind::kCheck, 0, 0, checks);
    stages[kUpdateStage].add(VaeKind::kUpdate, 0, 0, updates);
  }

 private:
  void set(VaeWork work, const gpu::GemmCut& cut) {
    // Each has tickets and a workspace of its own: two plans may meet in one stage.
    gpu::GemmCut& mine = cuts[static_cast<int>(work)] = cut;
    mine.first_block = mine.first_ticket = 0;
    mine.first_partial = 0;
  }
  void set(VaeWork first, VaeWork second, const gpu::GemmPlan<2>& plan) {
    set(first, plan.cuts[0]);
    set(second, plan.cuts[1]);
  }
  int count(VaeWork work) const { return static_cast<int>(cut(work).blocks()); }
  void part(int stage, VaeKind kind, VaeWork work, int first, int items) {
    stages[stage].add(kind, static_cast<int>(work), first, items);
  }
  void whole(int stage, VaeKind kind, VaeWork work) { part(stage, kind, work, 0, count(work)); }
};

}  // namespace hourglass
