// Memory that requests may name without this process having mapped it: a range of a memfd (a
// guest's memory, a client's shared buffer) or of another file.
//
//   auto memory = UnmappedMemory::create(fd, 0, 64 * kGiB, /*writable=*/true).value();
//   const Segment segment = memory->segment(offset, length);
//   bio.payload = Payload{&segment, 1, 0};
//   bio.flags = kUnmapped;                       // to a device opened with .unmapped = true
//
//   address space   |  PROT_NONE  | window | window |  PROT_NONE ...   |
//                    ^ reserved                ^ mapped, 2 MiB each, when a layer must see bytes
//
// The addresses are real but nothing lies behind them: the range is reserved. So a payload looks
// like any other, layers that only move requests need not know, and one that touches bytes without
// having said so (ClassFacts::payload) ends the process at once. The program's mapping steps map
// what a request needs, a window at a time; a window stays mapped, because mapping one anew for
// each request costs ten times the copy (docs/adr/0010).
//
// A file that is cut short while it is mapped ends the process with SIGBUS, as any mapping does:
// memory of a stranger should be a memfd sealed against shrinking (F_SEAL_SHRINK).
//
// OWNERSHIP: whoever made it; it outlives every request whose payload names it.
// THREAD: any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "bio/payload.h"

namespace ashlar {

// What is mapped at once, and the alignment of a reserved range.
inline constexpr std::uint64_t kMapWindowBytes = std::uint64_t{2} << 20;

class UnmappedMemory {
 public:
  // Bytes [offset, offset + length) of `fd`, which is duplicated. Writable: reads may put bytes
  // there. Errors: invalid (nothing, or `offset` not on a page), no_memory (no address space),
  // system's.
  static Result<std::unique_ptr<UnmappedMemory>> create(int fd, std::uint64_t offset,
                                                        std::uint64_t length, bool writable);
  ~UnmappedMemory();
  UnmappedMemory(const UnmappedMemory&) = delete;
  UnmappedMemory& operator=(const UnmappedMemory&) = delete;

  std::uint64_t size_bytes() const noexcept { return length_; }
  bool writable() const noexcept { return writable_; }

  // REQUIRES: the range lies within size_bytes().
  Segment segment(std::uint64_t offset, std::uint64_t length) const noexcept {
    ASHLAR_ASSERT(within(offset, length, length_));
    return {base_ + offset, length};
  }

  // How much of it is mapped by now.
  std::uint64_t mapped_bytes() const noexcept;

 private:
  friend class UnmappedTable;
  UnmappedMemory(int fd, std::uint64_t offset, std::uint64_t length, bool writable) noexcept
      : fd_(fd), offset_(offset), length_(length), writable_(writable) {}

  const int fd_;
  const std::uint64_t offset_;  // in the file
  const std::uint64_t length_;
  const bool writable_;
  std::byte* base_ = nullptr;  // of the reserved range
};

// Maps what of the first `length` bytes of `payload` is not mapped yet; ordinary memory is passed
// over. `fills`: bytes will be put there. Errors: permission (it is not writable), io.
Errc map_payload(const Payload& payload, std::uint64_t length, bool fills) noexcept;

// Where memory comes from, for whoever can use it without an address: splice, or a copy in the
// kernel. Nothing: it is not of an UnmappedMemory. The descriptor is the memory's.
struct UnmappedPlace {
  int fd = -1;
  std::uint64_t offset = 0;  // bytes, in the file
};
std::optional<UnmappedPlace> locate_unmapped(const std::byte* address) noexcept;

}  // namespace ashlar
