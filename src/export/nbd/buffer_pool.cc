// Pooled, pinned memory; see buffer_pool.h.
#include "export/nbd/buffer_pool.h"

#include <bit>
#include <cstdlib>
#include <new>

namespace ashlar::nbd {
namespace {

constexpr unsigned kSmallestShift = 12;
static_assert(BufferPool::kAlignmentBytes == std::size_t{1} << kSmallestShift);

std::uint32_t size_class_of(std::size_t length) noexcept {
  if (length <= BufferPool::kAlignmentBytes) return 0;
  return static_cast<std::uint32_t>(std::bit_width(length - 1)) - kSmallestShift;
}

}  // namespace

void BufferRef::give_back(Slot* slot) noexcept { slot->pool->put(slot); }

BufferPool::~BufferPool() {
  ASHLAR_ASSERT(in_use_ == 0);
  for (Slot* slot : idle_) {
    while (slot != nullptr) destroy(std::exchange(slot, slot->next_idle));
  }
}

BufferRef BufferPool::take(std::size_t length) noexcept {
  ASHLAR_ASSERT(length > 0 && length <= kLargestBytes);
  const std::uint32_t size_class = size_class_of(length);
  Slot* slot = idle_[size_class];
  if (slot != nullptr) {
    idle_[size_class] = slot->next_idle;
    idle_bytes_ -= slot->size;
  } else {
    slot = allocate(size_class);
    if (slot == nullptr) return {};
    slot->pool = this;
  }
  slot->pins = 1;
  ++in_use_;
  return BufferRef(slot);
}

BufferPool::Slot* BufferPool::allocate(std::uint32_t size_class) noexcept {
  Slot* slot = new (std::nothrow) Slot;
  if (slot == nullptr) return nullptr;
  slot->size_class = size_class;
  slot->size = kAlignmentBytes << size_class;
  slot->data = static_cast<std::byte*>(std::aligned_alloc(kAlignmentBytes, slot->size));
  if (slot->data != nullptr) return slot;
  delete slot;
  return nullptr;
}

void BufferPool::destroy(Slot* slot) noexcept {
  std::free(slot->data);
  delete slot;
}

void BufferPool::put(Slot* slot) noexcept {
  ASHLAR_ASSERT(in_use_ > 0);
  --in_use_;
  if (idle_bytes_ + slot->size > idle_limit_bytes_) return destroy(slot);
  slot->next_idle = idle_[slot->size_class];
  idle_[slot->size_class] = slot;
  idle_bytes_ += slot->size;
}

}  // namespace ashlar::nbd
