// Describing the user's memory: which segments suit, which runs are bounced, and where to.
//
// Invariants: (1) every segment suits the needs; (2) the segments, in order, are the bytes of the
// user's memory, in order; (3) bounces are ascending and do not overlap.
#include "io/pinned_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "topology/parameters.h"

namespace ashlar {
namespace {

bool suits(const iovec& part, const MemoryNeeds& needs) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(part.iov_base);
  return (address & (needs.address_alignment - 1)) == 0 &&
         (part.iov_len & (needs.length_alignment - 1)) == 0;
}

// One segment of the description: parts [first, end) of the user's memory.
struct Run {
  std::size_t first;
  std::size_t end;
  std::uint64_t length;
  bool bounced;
};

// A misfit takes the parts after it along until their sum is of whole blocks.
Run next_run(std::span<const iovec> parts, std::size_t first, const MemoryNeeds& needs) noexcept {
  if (suits(parts[first], needs)) return {first, first + 1, parts[first].iov_len, false};
  Run run{first, first, 0, true};
  do {
    run.length += parts[run.end++].iov_len;
  } while (run.end < parts.size() && (run.length & (needs.length_alignment - 1)) != 0);
  return run;
}

std::vector<Run> find_runs(std::span<const iovec> parts, const MemoryNeeds& needs) {
  std::vector<Run> runs;
  for (std::size_t at = 0; at < parts.size(); at = runs.back().end) {
    runs.push_back(next_run(parts, at, needs));
  }
  return runs;
}

Result<std::uint64_t> length_of(std::span<const iovec> parts, const MemoryNeeds& needs) {
  std::uint64_t length = 0;
  for (const iovec& each : parts) {
    if (each.iov_len > kMaxRequestBytes - length) {
      return make_error(Errc::invalid, "a request moves {} at the most",
                        format_bytes(kMaxRequestBytes));
    }
    length += each.iov_len;
  }
  if (length == 0) return make_error(Errc::invalid, "there is no memory to pin");
  if (length % needs.block_bytes != 0) {
    return make_error(Errc::invalid, "{} bytes are not whole blocks of {}", length,
                      needs.block_bytes);
  }
  return length;
}

std::vector<iovec> without_empty(std::span<const iovec> memory) {
  std::vector<iovec> parts;
  for (const iovec& each : memory) {
    if (each.iov_len != 0) parts.push_back(each);
  }
  return parts;
}

ByteSpan span_of(const iovec& part) noexcept {
  return {static_cast<std::byte*>(part.iov_base), part.iov_len};
}

}  // namespace

MemoryNeeds needs_of(const Limits& limits) noexcept {
  const bool minds = limits.memory_alignment > 1;
  return {.address_alignment = limits.memory_alignment,
          .length_alignment = minds ? limits.block_bytes : 1,
          .block_bytes = limits.block_bytes};
}

PinnedMemory::PinnedMemory() : buffer_(nullptr, &std::free) {}

PinnedMemory::~PinnedMemory() { unlock(); }

PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  if (this == &other) return *this;
  this->~PinnedMemory();
  return *new (this) PinnedMemory(std::move(other));
}

Result<PinnedMemory> PinnedMemory::pin(std::span<const iovec> memory, const MemoryNeeds& needs,
                                       const PinOptions& options) {
  if (memory.size() > kMaxSegments) {
    return make_error(Errc::invalid, "{} segments, {} is the most", memory.size(), kMaxSegments);
  }
  PinnedMemory pin;
  if (auto described = pin.describe(memory, needs); !described) return described.error();
  if (!options.lock) return pin;
  if (auto locked = pin.lock(); !locked) return locked.error();
  return pin;
}

Result<void> PinnedMemory::describe(std::span<const iovec> memory, const MemoryNeeds& needs) {
  const std::vector<iovec> parts = without_empty(memory);
  auto length = length_of(parts, needs);
  if (!length) return length.error();
  length_ = *length;
  const std::vector<Run> runs = find_runs(parts, needs);
  std::uint64_t room = 0;
  for (const Run& run : runs) {
    if (!run.bounced) continue;
    bounced_bytes_ += run.length;
    room += align_up(run.length, needs.address_alignment);
  }
  if (room != 0) {
    const std::size_t alignment = std::max<std::size_t>(needs.address_alignment, sizeof(void*));
    buffer_.reset(
        static_cast<std::byte*>(std::aligned_alloc(alignment, align_up(room, alignment))));
    if (buffer_ == nullptr) return make_error(Errc::no_memory, "no memory for a bounce buffer");
  }
  std::byte* copy = buffer_.get();
  std::uint64_t at = 0;
  for (const Run& run : runs) {
    std::byte* const start = run.bounced ? copy : span_of(parts[run.first]).data();
    segments_.push_back({start, run.length});
    std::byte* into = start;
    for (std::size_t i = run.first; run.bounced && i < run.end; ++i) {
      bounces_.push_back({span_of(parts[i]), into, at + static_cast<std::uint64_t>(into - start)});
      into += parts[i].iov_len;
    }
    if (run.bounced) copy += align_up(run.length, needs.address_alignment);
    at += run.length;
  }
  return {};
}

// What the device and the copies touch: the description, and the user's memory that is bounced.
Result<void> PinnedMemory::lock() {
  std::vector<ByteSpan> wanted;
  for (const Segment& each : segments_) wanted.push_back({each.data, each.length});
  for (const Bounce& each : bounces_) wanted.push_back(each.user);
  for (const ByteSpan& each : wanted) {
    if (mlock(each.data(), each.size()) != 0) {
      return make_error(errc_from_errno(errno), "cannot lock {} bytes in memory: {}", each.size(),
                        std::strerror(errno));
    }
    locked_.push_back(each);
  }
  return {};
}

// Locks of a page do not nest: what the caller had locked himself in these pages is unlocked, too.
void PinnedMemory::unlock() noexcept {
  for (const ByteSpan& each : locked_) munlock(each.data(), each.size());
  locked_.clear();
}

void PinnedMemory::before_write() noexcept {
  for (const Bounce& each : bounces_) std::memcpy(each.copy, each.user.data(), each.user.size());
}

void PinnedMemory::after_read(std::uint64_t done_bytes) noexcept {
  for (const Bounce& each : bounces_) {
    if (each.at >= done_bytes) return;
    const std::size_t piece = std::min<std::uint64_t>(each.user.size(), done_bytes - each.at);
    std::memcpy(each.user.data(), each.copy, piece);
  }
}

}  // namespace ashlar
