// Memory for payloads and receive blocks of one lane: page-aligned, pooled, pinned by handles.
//
//   BufferRef buffer = pool.take(length);     // at least `length` bytes, one pin
//   BufferRef also = buffer;                  // two pins
//                                             // the last handle gives it back to the pool
//
// A receive block is pinned by the connection that fills it and by each write request whose payload
// lies in it, so that nothing is copied out of it. What was given back last is taken first: it is
// the memory that is still in the processor's cache.
//
// OWNERSHIP: the pool owns the memory and outlives every handle (asserted).
// THREAD: one lane's; handles of a pool are made, copied and dropped on that lane's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace ashlar::nbd {

class BufferPool;

class BufferRef {
 public:
  BufferRef() = default;
  BufferRef(const BufferRef& other) noexcept : slot_(other.slot_) {
    if (slot_ != nullptr) ++slot_->pins;
  }
  BufferRef(BufferRef&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~BufferRef() { reset(); }

  explicit operator bool() const noexcept { return slot_ != nullptr; }
  void reset() noexcept {
    if (slot_ != nullptr && --slot_->pins == 0) give_back(slot_);
    slot_ = nullptr;
  }

  // REQUIRES for all below: the handle holds a buffer.
  std::byte* data() const noexcept { return slot_->data; }
  std::size_t size() const noexcept { return slot_->size; }
  // True where nobody else holds the buffer, so that its bytes may be overwritten.
  bool is_only_pin() const noexcept { return slot_->pins == 1; }

 private:
  friend class BufferPool;
  struct Slot {
    std::byte* data = nullptr;
    std::size_t size = 0;  // bytes
    std::uint32_t pins = 0;
    std::uint32_t size_class = 0;
    BufferPool* pool = nullptr;
    Slot* next_idle = nullptr;
  };
  explicit BufferRef(Slot* slot) noexcept : slot_(slot) {}
  static void give_back(Slot* slot) noexcept;

  Slot* slot_ = nullptr;
};

class BufferPool {
 public:
  static constexpr std::size_t kAlignmentBytes = 4096;
  static constexpr std::size_t kLargestBytes = 32 * kMiB;
  // Idle memory beyond this goes back to the system: enough for a deep queue of small requests and
  // some large ones, little enough for many lanes.
  static constexpr std::size_t kDefaultIdleBytes = 64 * kMiB;

  explicit BufferPool(std::size_t idle_limit_bytes = kDefaultIdleBytes) noexcept
      : idle_limit_bytes_(idle_limit_bytes) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  // A buffer of `length` bytes rounded up to a power of two, with whatever it last held; an empty
  // handle where the system has no memory. REQUIRES: 0 < length <= kLargestBytes.
  BufferRef take(std::size_t length) noexcept;

  std::size_t idle_bytes() const noexcept { return idle_bytes_; }
  std::size_t buffers_in_use() const noexcept { return in_use_; }

 private:
  friend class BufferRef;
  using Slot = BufferRef::Slot;
  static constexpr std::size_t kClasses = 14;  // 4 KiB to 32 MiB

  static Slot* allocate(std::uint32_t size_class) noexcept;
  static void destroy(Slot* slot) noexcept;
  void put(Slot* slot) noexcept;

  std::array<Slot*, kClasses> idle_{};
  std::size_t idle_limit_bytes_;
  std::size_t idle_bytes_ = 0;
  std::size_t in_use_ = 0;
};

}  // namespace ashlar::nbd
