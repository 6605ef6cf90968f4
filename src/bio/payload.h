// The memory of a request: a view of a scatter/gather vector that somebody else owns.
//
//   segments  [ 4096 bytes ][ 512 ][ 16384 .......... ]      shared by a parent and all its clones
//                    ^start                  ^start+length
//
// A view is a value of 16 bytes; carving a request copies views, never bytes. The length of a view
// is the length of the bio that holds it.
//
// OWNERSHIP: the vector and the memory belong to whoever submitted the outermost bio, and stay
// valid until that bio ends.
// THREAD: a view is immutable; the bytes belong to one step at a time.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace ashlar {

// One run of memory; laid out as iovec so that a whole vector can be handed to the kernel.
struct Segment {
  std::byte* data = nullptr;
  std::size_t length = 0;  // bytes
};
static_assert(sizeof(Segment) == sizeof(iovec));
static_assert(offsetof(Segment, length) == offsetof(iovec, iov_len));

struct Payload {
  const Segment* segments = nullptr;
  std::uint32_t count = 0;  // segments from `segments` to the end of the shared vector
  std::uint32_t start = 0;  // bytes of the first segment that lie before the view

  // The view that begins `skip` bytes further on. REQUIRES: `skip` lies within the vector.
  Payload from(std::uint64_t skip) const noexcept;

  // True where the vector has room for `length` bytes from the start of the view.
  bool holds(std::uint64_t length) const noexcept;

  // The address when the first `length` bytes lie in one segment, else null.
  std::byte* contiguous(std::uint64_t length) const noexcept {
    if (count == 0 || segments->length - start < length) return nullptr;
    return segments->data + start;
  }

  // How many segments the first `length` bytes touch.
  std::uint32_t segments_of(std::uint64_t length) const noexcept;

  // Writes an iovec for each segment that the first `length` bytes touch; returns how many.
  // REQUIRES: room for segments_of(length).
  std::uint32_t to_iovec(std::uint64_t length, iovec* into) const noexcept;

  // Calls visit(ByteSpan) for each piece of the first `length` bytes, in order.
  // REQUIRES: holds(length).
  template <typename Visit>
  void for_each(std::uint64_t length, Visit&& visit) const {
    const Segment* segment = segments;
    std::size_t skip = start;
    while (length > 0) {
      ASHLAR_ASSERT(segment != segments + count);
      std::size_t piece = segment->length - skip;
      if (piece > length) piece = static_cast<std::size_t>(length);
      if (piece > 0) visit(ByteSpan(segment->data + skip, piece));
      length -= piece;
      skip = 0;
      ++segment;
    }
  }

  // Copies `length` bytes between the view and flat memory.
  void copy_to(std::byte* into, std::uint64_t length) const noexcept;
  void copy_from(const std::byte* from, std::uint64_t length) const noexcept;
  void fill_zero(std::uint64_t length) const noexcept;
};

}  // namespace ashlar
