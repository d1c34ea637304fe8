// SPDX-License-Identifier: Apache-2.0
#include "engine/batch_stream.h"

#include <array>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/buffer.h"
#include "engine/sample_file.h"
#include "engine/tensor.h"
#include "engine/transfer.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr int64_t kNone = -1;

struct ReleasePinned {
  void operator()(void* p) const { cuda::release_pinned(p); }
};
struct DestroyEvent {
  void operator()(void* p) const { cuda::destroy_event(p); }
};
struct CloseStream {
  void operator()(void* p) const { cuda::close_stream(p); }
};
using Event = std::unique_ptr<void, DestroyEvent>;

struct Slot {
  Buffer memory;                                ///< of the device
  std::unique_ptr<void, ReleasePinned> pinned;  ///< CUDA: where the reader writes
  Event copied, consumed;                       ///< CUDA: the slot was written; the step that read it has run
  // Of the reader and the host's thread, under the mutex:
  int64_t wanted = kNone;  ///< the batch that the reader is to read
  int64_t ready = kNone;   ///< the batch that it has read
  // Of the host's thread:
  int64_t copied_batch = kNone;  ///< the batch whose copy is under way or done
  bool was_consumed = false;     ///< `consumed` has been recorded
};

}  // namespace

struct BatchStream::State {
  Context ctx;
  SampleStore store;
  int batch;
  Rows rows;
  size_t row_bytes;
  std::array<Slot, kSlots> slots;
  Buffer pointers;
  std::unique_ptr<void, CloseStream> copies;
  int64_t current = kNone;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::exception_ptr error;
  std::vector<int32_t> numbers;  // of the reader: rows of the batch it reads
  std::thread reader;

  State(const Context& context, const SampleStore& samples, int batch_rows, Rows rows_of)
      : ctx(context),
        store(samples),
        batch(batch_rows),
        rows(std::move(rows_of)),
        row_bytes(static_cast<size_t>(samples.columns) * size_of(samples.dtype)),
        pointers(context, (kSlots + 1) * sizeof(void*), "pointers to staged batches"),
        numbers(static_cast<size_t>(batch_rows)) {
    std::array<void*, kSlots + 1> addresses{};
    for (size_t i = 0; i < slots.size(); ++i) {
      Slot& slot = slots[i];
      slot.memory = Buffer(ctx, batch_bytes(), "staged batches");
      addresses[i] = slot.memory.data();
      if (!on_cuda()) continue;
      slot.pinned.reset(cuda::allocate_pinned(batch_bytes()));
      if (!slot.pinned)
        throw Error(Exit::kDevice, "staged batches: no pinned memory of " + format_bytes(batch_bytes()));
      slot.copied.reset(cuda::make_event());
      slot.consumed.reset(cuda::make_event());
    }
    addresses[kSlots] = addresses[0];
    to_device(ctx, pointers.data(), addresses.data(), sizeof addresses);
    if (on_cuda()) copies.reset(cuda::open_side_stream());
    reader = std::thread([this] { read_ahead(); });
  }

  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    reader.join();
    try {
      finish_copies();
    } catch (const Error&) {  // of a device that has failed already
    }
  }

  bool on_cuda() const { return ctx.device == Device::kCuda; }
  size_t batch_bytes() const { return static_cast<size_t>(batch) * row_bytes; }
  Slot& slot_of(int64_t number) { return slots[static_cast<size_t>(number % kSlots)]; }
  uint8_t* host_side(Slot& slot) const {
    return static_cast<uint8_t*>(on_cuda() ? slot.pinned.get() : slot.memory.data());
  }

  // ---------------------------------------------------------------- the reader's thread

  Slot* next_wanted() {
    Slot* next = nullptr;
    for (Slot& slot : slots) {
      if (slot.wanted != slot.ready && (!next || slot.wanted < next->wanted)) next = &slot;
    }
    return next;
  }

  void read_ahead() {
    std::unique_lock lock(mutex);
    while (true) {
      Slot* slot = nullptr;
      changed.wait(lock, [&] { return stopping || (!error && (slot = next_wanted())); });
      if (stopping) return;
      const int64_t number = slot->wanted;
      lock.unlock();
      std::exception_ptr failed;
      try {
        read(number, host_side(*slot));
      } catch (...) {
        failed = std::current_exception();
      }
      lock.lock();
      error = failed;
      if (slot->wanted == number && !failed) slot->ready = number;
      changed.notify_all();
    }
  }

  void read(int64_t number, uint8_t* to) {
    rows(number, numbers.data());
    for (const int32_t row : numbers) {
      if (row >= 0 && store.data) {
        std::memcpy(to, static_cast<const uint8_t*>(store.data) + static_cast<size_t>(row) * row_bytes, row_bytes);
      } else if (row >= 0) {
        store.file->read(row, 1, to);
      }
      to += row_bytes;
    }
  }

  // ---------------------------------------------------------------- the host's thread

  void want(Slot& slot, int64_t number) {
    // Its copy may still read the host's side.
    if (on_cuda() && slot.copied_batch != kNone) cuda::synchronize_event(slot.copied.get());
    const std::lock_guard lock(mutex);
    slot.wanted = number;
    slot.ready = kNone;
    slot.copied_batch = kNone;
    changed.notify_all();
  }

  void consumed(Slot& slot) {
    if (!on_cuda()) return;
    cuda::record_event(slot.consumed.get(), ctx.stream);
    slot.was_consumed = true;
  }

  /// Sends what the reader has ready to the device.
  void copy_on() {
    for (Slot& slot : slots) {
      {
        const std::lock_guard lock(mutex);
        if (slot.ready == kNone || slot.ready != slot.wanted || slot.ready == slot.copied_batch) continue;
      }
      slot.copied_batch = slot.wanted;
      if (!on_cuda()) continue;
      if (slot.was_consumed) cuda::wait_event(copies.get(), slot.consumed.get());
      cuda::copy_ahead(copies.get(), slot.memory.data(), slot.pinned.get(), batch_bytes());
      cuda::record_event(slot.copied.get(), copies.get());
    }
  }

  void begin_at(int64_t number) {
    for (Slot& slot : slots) consumed(slot);
    {
      const std::lock_guard lock(mutex);
      error = nullptr;
    }
    for (int64_t i = number; i < number + kSlots; ++i) want(slot_of(i), i);
  }

  void wait_for(int64_t number) {
    std::unique_lock lock(mutex);
    const Slot& slot = slot_of(number);
    changed.wait(lock, [&] { return error || slot.ready == number; });
    if (slot.ready == number) return;
    const std::exception_ptr failed = std::exchange(error, nullptr);
    for (Slot& each : slots) each.wanted = each.ready = kNone;
    lock.unlock();
    current = kNone;
    std::rethrow_exception(failed);
  }

  void acquire(int64_t number) {
    if (number == current) return;
    if (current != kNone && number == current + 1) {
      Slot& last = slot_of(current);
      consumed(last);
      want(last, current + kSlots);
    } else {
      begin_at(number);
    }
    wait_for(number);
    copy_on();
    if (on_cuda()) cuda::wait_event(ctx.stream, slot_of(number).copied.get());
    current = number;
  }

  void finish_copies() {
    for (Slot& slot : slots) {
      if (on_cuda() && slot.copied_batch != kNone) cuda::synchronize_event(slot.copied.get());
    }
  }
};

BatchStream::BatchStream(const Context& ctx, const SampleStore& store, int batch, Rows rows)
    : state_(std::make_unique<State>(ctx, store, batch, std::move(rows))) {}
BatchStream::~BatchStream() = default;

void BatchStream::acquire(int64_t number) { state_->acquire(number); }

const void* const* BatchStream::slots() const { return state_->pointers.as<const void* const>(); }

void BatchStream::point_to(int64_t number) {
  void** const pointer = state_->pointers.as<void*>() + kSlots;
  write_device(state_->ctx, pointer, state_->slot_of(number).memory.data());
}

}  // namespace hourglass
