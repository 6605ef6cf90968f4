// Views over scatter/gather vectors: carving and copying.
#include "bio/payload.h"

#include <cstring>

namespace ashlar {

Payload Payload::from(std::uint64_t skip) const noexcept {
  Payload view = *this;
  std::uint64_t begin = start + skip;
  while (view.count > 1 && begin >= view.segments->length) {
    begin -= view.segments->length;
    ++view.segments;
    --view.count;
  }
  ASHLAR_ASSERT(view.count == 0 ? begin == 0 : begin <= view.segments->length);
  view.start = static_cast<std::uint32_t>(begin);
  return view;
}

bool Payload::holds(std::uint64_t length) const noexcept {
  std::uint64_t room = 0;
  for (std::uint32_t i = 0; i < count && room < start + length; ++i) room += segments[i].length;
  return room >= start + length;
}

std::uint32_t Payload::segments_of(std::uint64_t length) const noexcept {
  std::uint32_t pieces = 0;
  for_each(length, [&](ByteSpan) { ++pieces; });
  return pieces;
}

std::uint32_t Payload::to_iovec(std::uint64_t length, iovec* into) const noexcept {
  std::uint32_t pieces = 0;
  for_each(length, [&](ByteSpan piece) { into[pieces++] = iovec{piece.data(), piece.size()}; });
  return pieces;
}

void Payload::copy_to(std::byte* into, std::uint64_t length) const noexcept {
  for_each(length, [&](ByteSpan piece) {
    std::memcpy(into, piece.data(), piece.size());
    into += piece.size();
  });
}

void Payload::copy_from(const std::byte* from, std::uint64_t length) const noexcept {
  for_each(length, [&](ByteSpan piece) {
    std::memcpy(piece.data(), from, piece.size());
    from += piece.size();
  });
}

void Payload::fill_zero(std::uint64_t length) const noexcept {
  for_each(length, [&](ByteSpan piece) { std::memset(piece.data(), 0, piece.size()); });
}

}  // namespace ashlar
