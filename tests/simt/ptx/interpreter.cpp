// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/ptx/interpreter.h"

#include <algorithm>
#include <set>

#include "tests/simt/ptx/lanes.h"

namespace simt::ptx {
namespace {

constexpr uint32_t kNowhere = ~0u;

class Grid {
 public:
  explicit Grid(const Launch& launch)
      : launch_(launch), kernel_(*launch.kernel), threads_(launch.block.x * launch.block.y * launch.block.z) {
    const size_t bytes = kernel_.shared_bytes + launch.dynamic_bytes;
    memory_.resize(bytes + kSharedAlignment);
    const auto first = reinterpret_cast<uintptr_t>(memory_.data());
    block_ = {&kernel_, parameters(),  memory_.data() + (kSharedAlignment - first % kSharedAlignment),
              bytes,    launch.poison, launch.profile};
    warps_.resize((threads_ + kLanes - 1) / kLanes);
    for (Warp& warp : warps_) {
      Column poison;
      poison.fill(0x0101010101010101u * launch.poison);
      warp.columns.assign(kernel_.columns, poison);
      warp.local.resize(kernel_.local_bytes * kLanes);
      for (const auto& [column, value] : kernel_.constants) warp.columns[static_cast<size_t>(column)].fill(value);
    }
  }

  void run() {
    const uint64_t blocks = uint64_t{launch_.grid.x} * launch_.grid.y * launch_.grid.z;
    for (uint64_t i = 0; i < blocks; ++i) {
      const uint64_t b = launch_.reverse ? blocks - 1 - i : i;
      index_ = {static_cast<unsigned>(b % launch_.grid.x), static_cast<unsigned>(b / launch_.grid.x % launch_.grid.y),
                static_cast<unsigned>(b / launch_.grid.x / launch_.grid.y)};
      begin_block();
      run_block();
    }
  }

 private:
  static constexpr size_t kSharedAlignment = 128;

  [[noreturn]] void fault(uint32_t pc, const std::string& what) const {
    throw Fault(kernel_.file + ":" + std::to_string(kernel_.code[pc].line) + ": " + what + ", block (" +
                std::to_string(index_.x) + "," + std::to_string(index_.y) + "," + std::to_string(index_.z) + ")");
  }

  std::vector<unsigned char> parameters() const {
    std::vector<unsigned char> bytes(kernel_.parameter_bytes);
    size_t from = 0;
    for (const Parameter& parameter : kernel_.parameters) {
      if (from + parameter.bytes > launch_.arguments.size()) break;
      std::memcpy(bytes.data() + parameter.offset, launch_.arguments.data() + from, parameter.bytes);
      from += parameter.bytes;
    }
    if (from != launch_.arguments.size() || (kernel_.parameters.size() > 0 && from == 0)) {
      throw Fault(kernel_.file + ": the launch passes " + std::to_string(launch_.arguments.size()) +
                  " bytes of arguments, not those of the kernel's parameters");
    }
    return bytes;
  }

  // ---------------------------------------------------------------- blocks

  void set_special(Warp& warp, Special special, unsigned x, int lane) {
    const int column = kernel_.specials[special];
    if (column >= 0) set(warp.columns[static_cast<size_t>(column)], lane, x);
  }

  void begin_block() {
    std::fill_n(block_.shared, block_.shared_bytes, launch_.poison);
    arrived_ = votes_ = 0;
    live_ = threads_;
    for (size_t w = 0; w < warps_.size(); ++w) {
      Warp& warp = warps_[w];
      warp.live = warp.waiting = warp.blocked = 0;
      std::fill(warp.local.begin(), warp.local.end(), launch_.poison);
      for (int l = 0; l < kLanes; ++l) {
        const auto lane = static_cast<size_t>(l);
        const auto rank = static_cast<unsigned>(w * kLanes + lane);
        warp.live |= (rank < threads_ ? 1u : 0u) << l;
        warp.pc[lane] = 0;
        warp.copies[lane].clear();
        warp.copy_groups[lane] = 0;
        set_thread(warp, rank, l);
      }
    }
  }

  void set_thread(Warp& warp, unsigned rank, int lane) {
    const dim3 &block = launch_.block, &grid = launch_.grid;
    const unsigned values[kSpecials] = {rank % block.x,
                                        rank / block.x % block.y,
                                        rank / block.x / block.y,
                                        block.x,
                                        block.y,
                                        block.z,
                                        index_.x,
                                        index_.y,
                                        index_.z,
                                        grid.x,
                                        grid.y,
                                        grid.z,
                                        static_cast<unsigned>(lane)};
    for (int special = 0; special < kSpecials; ++special) {
      set_special(warp, static_cast<Special>(special), values[special], lane);
    }
  }

  void run_block() {
    while (live_ > 0) {
      for (size_t i = 0; i < warps_.size(); ++i) run_warp(warps_[launch_.reverse ? warps_.size() - 1 - i : i]);
      if (live_ > 0) release_barrier();
    }
  }

  /// Every thread waits or has exited.
  void release_barrier() {
    for (const Warp& warp : warps_) {
      if (warp.blocked) {
        fault(warp.pc[static_cast<size_t>(__builtin_ctz(warp.blocked))],
              "lanes wait here for others of their warp that do not come");
      }
    }
    const auto waiting = std::find_if(warps_.begin(), warps_.end(), [](const Warp& warp) { return warp.waiting != 0; });
    const uint32_t pc = waiting->pc[static_cast<size_t>(__builtin_ctz(waiting->waiting))];
    if (arrived_ != threads_) {
      fault(pc, std::to_string(threads_ - live_) + " threads had exited before this barrier");
    }
    const unsigned votes = votes_;
    arrived_ = votes_ = 0;
    for (Warp& warp : warps_) {
      for (uint32_t rest = std::exchange(warp.waiting, 0); rest; rest &= rest - 1) {
        pass_barrier(warp, __builtin_ctz(rest), votes);
      }
    }
  }

  void pass_barrier(Warp& warp, int lane, unsigned votes) {
    const Instruction& i = kernel_.code[warp.pc[static_cast<size_t>(lane)]++];
    if (i.out.empty()) return;
    Column& out = warp.columns[static_cast<size_t>(i.out[0])];
    if (i.mode == 0) return set(out, lane, votes);
    set<uint8_t>(out, lane, i.mode == 1 ? votes == threads_ : votes > 0);
  }

  // ---------------------------------------------------------------- warps

  void run_warp(Warp& warp) {
    while (const uint32_t runnable = warp.live & ~(warp.waiting | warp.blocked)) {
      uint32_t pc = kNowhere, next = kNowhere, lanes = 0;
      for (uint32_t rest = runnable; rest; rest &= rest - 1) pc = std::min(pc, warp.pc[lowest(rest)]);
      for (uint32_t rest = runnable; rest; rest &= rest - 1) {
        const uint32_t of_lane = warp.pc[lowest(rest)];
        if (of_lane == pc)
          lanes |= rest & -rest;
        else
          next = std::min(next, of_lane);
      }
      run_together(warp, pc, lanes, next);
    }
  }

  static size_t lowest(uint32_t lanes) { return static_cast<size_t>(__builtin_ctz(lanes)); }
  static void move_to(Warp& warp, uint32_t lanes, uint32_t pc) {
    for (uint32_t rest = lanes; rest; rest &= rest - 1) warp.pc[lowest(rest)] = pc;
  }

  /// Those of `lanes` for which the instruction's guard holds.
  static uint32_t guarded(const Warp& warp, const Instruction& i, uint32_t lanes) {
    if (i.guard < 0) return lanes;
    const Column& guard = warp.columns[static_cast<size_t>(i.guard)];
    uint32_t holds = 0;
    for (int l = 0; l < kLanes; ++l) {
      holds |= ((static_cast<uint8_t>(guard[static_cast<size_t>(l)]) != 0) != i.negated ? 1u : 0u) << l;
    }
    return holds & lanes;
  }

  /// Runs `lanes`, which stand at `pc`, until they part, wait, exit, or reach `next`, where others stand.
  void run_together(Warp& warp, uint32_t pc, uint32_t lanes, uint32_t next) {
    while (pc < next) {
      const Instruction& i = kernel_.code[pc];
      const uint32_t active = guarded(warp, i, lanes);
      if (i.flow == Flow::kNext) {
        if (i.execute && active) execute(warp, i, pc, active);
        ++pc;
        continue;
      }
      if (active != lanes) move_to(warp, lanes & ~active, pc + 1);
      if (i.flow == Flow::kBranch && active == lanes) {
        pc = i.target;
        continue;
      }
      move_to(warp, active, i.flow == Flow::kBranch ? i.target : pc);
      if (i.flow != Flow::kBranch && active) stop(warp, i, pc, active);
      return;
    }
    move_to(warp, lanes, pc);
  }

  void execute(Warp& warp, const Instruction& i, uint32_t pc, uint32_t active) {
    Lanes lanes{block_, warp, active};
    try {
      i.execute(i, lanes);
    } catch (const Fault& problem) {
      fault(pc, problem.what());
    }
  }

  void stop(Warp& warp, const Instruction& i, uint32_t pc, uint32_t active) {
    switch (i.flow) {
      case Flow::kTrap:
        fault(pc, "a trap");
      case Flow::kBarrier:
        warp.waiting |= active;
        arrived_ += static_cast<unsigned>(__builtin_popcount(active));
        for (uint32_t rest = active; rest && !i.in.empty(); rest &= rest - 1) {
          votes_ += get<uint8_t>(warp.columns[static_cast<size_t>(i.in[0])], __builtin_ctz(rest)) != 0;
        }
        return;
      case Flow::kConverge:
        return converge(warp, i, pc, active);
      default:
        return exit(warp, pc, active);
    }
  }

  void exit(Warp& warp, uint32_t pc, uint32_t lanes) {
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      if (!warp.copies[lowest(rest)].empty()) fault(pc, "a thread exits with copies that it never waited for");
    }
    warp.live &= ~lanes;
    warp.blocked = 0;  // the others may be complete now: they look again
    live_ -= static_cast<unsigned>(__builtin_popcount(lanes));
  }

  /// Runs the instruction if all that its mask names, and that still live, have arrived.
  void converge(Warp& warp, const Instruction& i, uint32_t pc, uint32_t arriving) {
    uint32_t here = 0;
    for (uint32_t rest = warp.live & (arriving | warp.blocked); rest; rest &= rest - 1) {
      if (warp.pc[lowest(rest)] == pc) here |= rest & -rest;
    }
    const int first = __builtin_ctz(arriving);
    const uint32_t mask = get<uint32_t>(warp.columns[static_cast<size_t>(i.in.back())], first);
    if (!(mask >> first & 1u)) fault(pc, "lane " + std::to_string(first) + " is not in the mask that it gives");
    const uint32_t members = mask & warp.live;
    if ((here & members) != members) {
      warp.blocked |= members & arriving;
      return;
    }
    if (i.whole_warp && members != kAllLanes) fault(pc, "a matrix instruction needs all lanes; some have exited");
    warp.blocked &= ~members;
    if (i.execute) execute(warp, i, pc, members);
    move_to(warp, members, pc + 1);
  }

  const Launch& launch_;
  const Kernel& kernel_;
  const unsigned threads_;
  std::vector<unsigned char> memory_;
  Block block_{};
  std::vector<Warp> warps_;
  uint3 index_{0, 0, 0};
  unsigned live_ = 0, arrived_ = 0, votes_ = 0;
};

}  // namespace

void interpret(const Launch& launch) { Grid(launch).run(); }

}  // namespace simt::ptx
