// Anonymous memory that the system gives page by page.
#include "class/overlay/own_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ashlar::overlay {
namespace {

constexpr std::uint64_t kPage = 4096;

}  // namespace

Result<void> OwnMemory::open(std::uint64_t device_bytes, std::uint64_t most_bytes) {
  most_ = most_bytes;
  if (most_bytes == 0) return {};
  const std::uint64_t length = align_up(device_bytes, kPage);
  void* data = mmap(nullptr, length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return make_error(Errc::no_memory, "overlay: no addresses for a device of {} bytes: {}",
                      device_bytes, std::strerror(errno));
  }
  data_ = static_cast<std::byte*>(data);
  length_ = length;
  // Huge pages would take more than what is counted. Where it is refused there are none.
  (void)madvise(data, length, MADV_NOHUGEPAGE);
  return {};
}

OwnMemory::~OwnMemory() {
  if (data_ != nullptr) munmap(data_, length_);
}

// Only the first and the last page may have sectors of others. Of two who claim one page at once
// both pay: then a page less than there may be is used.
bool OwnMemory::claim(const SectorMap& map, Extent range) noexcept {
  const std::uint64_t first = align_down(range.offset, kPage);
  const std::uint64_t last = align_down(range.end() - 1, kPage);
  std::uint64_t bytes = last - first + kPage;
  if (bytes > most_) return false;
  if (!map.page_is_free(first)) bytes -= kPage;
  if (last != first && !map.page_is_free(last)) bytes -= kPage;
  if (bytes == 0) return true;
  if (used_.fetch_add(bytes, std::memory_order_relaxed) <= most_ - bytes) return true;
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

// Whole pages go back to the system; they stay paid for.
void OwnMemory::zero(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::uint64_t end = offset + length;
  const std::uint64_t first = align_up(offset, kPage);
  const std::uint64_t last = align_down(end, kPage);
  if (first >= last || madvise(data_ + first, last - first, MADV_DONTNEED) != 0) {
    std::memset(data_ + offset, 0, length);
    return;
  }
  std::memset(data_ + offset, 0, first - offset);
  std::memset(data_ + last, 0, end - last);
}

}  // namespace ashlar::overlay
