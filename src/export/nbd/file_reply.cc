// cachestat(2) and sendfile(2); see file_reply.h.
#include "export/nbd/file_reply.h"

#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ashlar::nbd {
namespace {

// Of Linux 6.5 (include/uapi/linux/mman.h), for systems whose headers are older. The number is the
// same on every architecture but alpha.
#ifdef SYS_cachestat
constexpr long kCachestat = SYS_cachestat;
#else
constexpr long kCachestat = 451;
#endif

struct CachestatRange {
  std::uint64_t offset;
  std::uint64_t length;
};
struct Cachestat {  // in pages
  std::uint64_t cached;
  std::uint64_t dirty;
  std::uint64_t under_writeback;
  std::uint64_t evicted;
  std::uint64_t recently_evicted;
};

std::uint64_t page_bytes() noexcept {
  static const auto bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

bool in_page_cache(const FileRange& range) noexcept {
  CachestatRange asked{range.offset, range.length};
  Cachestat found{};
  if (syscall(kCachestat, range.fd, &asked, &found, 0) != 0) return false;
  const std::uint64_t first = range.offset / page_bytes();
  const std::uint64_t last = (range.offset + range.length - 1) / page_bytes();
  return found.cached == last - first + 1;
}

ssize_t send_file(int socket, const FileRange& range) noexcept {
  auto offset = static_cast<off_t>(range.offset);
  return sendfile(socket, range.fd, &offset, range.length);
}

}  // namespace ashlar::nbd
