// Phase one of direct I/O: the user's memory, described so that a device can use it as it lies.
//
//   auto memory = PinnedMemory::pin(vector, needs_of(device->limits()), {});
//   memory->before_write();                          // copies what is bounced; else nothing
//   operation.start(IoRequest::write(0, *memory), ...);   // phase two: any bio with this payload
//   ...
//   memory->after_read(done);                        // after a read: copies back what is bounced
//
// Phase two is Channel::submit (program/channel.h), which takes any bio; io/operation.h is its
// convenient form. The same memory may be used for any number of requests, one after the other.
//
// What "pinned" means here. The kernel pins pages by itself for as long as a direct transfer takes
// them; a program cannot do more for that, and need not. To Ashlar a pin is: (1) a vector of
// segments that stays where it is until the pin ends, so that payloads, children and the kernel may
// point into it; (2) a promise of the caller that the memory is there for as long; (3) addresses
// and lengths that suit the device, in place or by a bounce buffer that belongs to the pin; (4)
// where `lock` is asked for, pages that are present and stay so (mlock), so that no copy or
// transfer meets a page fault.
//
// THE RULE for memory that does not suit direct I/O, in the whole project: it is copied once, by
// whoever meets it first: the pin, if there is one; else the leaf (class/file), through its lane's
// buffers, piece by piece. A device's `memory_alignment` is 1 where nobody minds, and then nothing
// is ever bounced. Layers between never look at addresses.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bio/payload.h"
#include "topology/limits.h"

namespace ashlar {

// What a device asks of memory, so that it need not be copied.
struct MemoryNeeds {
  std::uint32_t address_alignment = 1;  // bytes, a power of two
  std::uint32_t length_alignment = 1;   // of each segment; bytes, a power of two
  std::uint32_t block_bytes = 1;        // of the whole; bytes, a power of two
};

// A device that minds about addresses (O_DIRECT below) wants segments of whole blocks, too.
MemoryNeeds needs_of(const Limits& limits) noexcept;

struct PinOptions {
  bool lock = false;  // keep the pages in memory: mlock(2)
};

// OWNERSHIP: the user's memory stays the user's and must outlive the pin; the bounce buffer is the
// pin's. THREAD: one at a time.
class PinnedMemory {
 public:
  // The most segments of one pin, as many as one system call takes (IOV_MAX).
  static constexpr std::size_t kMaxSegments = 1024;

  // Describes `memory`. Segments that suit are used in place; a run of others, with as many after
  // them as make whole blocks, is bounced. Empty ones are left out.
  // Errors: invalid where the whole is empty, no multiple of a block, longer than kMaxRequestBytes
  // or of too many segments; no_memory; what mlock says where `lock` is asked for.
  static Result<PinnedMemory> pin(std::span<const iovec> memory, const MemoryNeeds& needs,
                                  const PinOptions& options);

  PinnedMemory(PinnedMemory&&) noexcept = default;
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;
  ~PinnedMemory();  // REQUIRES: no request uses it.

  // Copies what is bounced from the user's memory. Before each write.
  void before_write() noexcept;
  // Copies what is bounced of the first `done_bytes` to the user's memory. After each read.
  void after_read(std::uint64_t done_bytes) noexcept;

  // All of it; valid until the pin ends, also when the pin is moved.
  Payload payload() const noexcept {
    return Payload{segments_.data(), static_cast<std::uint32_t>(segments_.size()), 0};
  }
  std::uint64_t length() const noexcept { return length_; }

  bool bounced() const noexcept { return !bounces_.empty(); }
  std::uint64_t bounced_bytes() const noexcept { return bounced_bytes_; }
  bool locked() const noexcept { return !locked_.empty(); }

 private:
  // A part of the user's memory, where it is bounced, in the order of the request.
  struct Bounce {
    ByteSpan user;
    std::byte* copy;
    std::uint64_t at;  // in the request, bytes
  };
  using Buffer = std::unique_ptr<std::byte, void (*)(void*)>;

  PinnedMemory();
  Result<void> describe(std::span<const iovec> memory, const MemoryNeeds& needs);
  Result<void> lock();
  void unlock() noexcept;

  std::vector<Segment> segments_;
  std::vector<Bounce> bounces_;
  std::vector<ByteSpan> locked_;
  Buffer buffer_;
  std::uint64_t length_ = 0;
  std::uint64_t bounced_bytes_ = 0;
};

}  // namespace ashlar
