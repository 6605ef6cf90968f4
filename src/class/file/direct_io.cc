// What O_DIRECT asks is told by statx(2) where the kernel and the file system know (Linux 6.1);
// elsewhere a block device asks for its logical blocks, and a file is tried.
#include "class/file/direct_io.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "base/bytes.h"

namespace ashlar {
namespace {

constexpr std::uint32_t kLargestAlignment = 4096;  // past it, nothing on the market

struct Alignment {
  std::uint32_t memory;
  std::uint32_t offset;
};

// Nothing: the kernel or the file system does not tell. Offset 0: there is no direct I/O.
std::optional<Alignment> told_by_statx(int fd) {
#if defined(STATX_DIOALIGN)
  struct statx told = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &told) != 0) return std::nullopt;
  if ((told.stx_mask & STATX_DIOALIGN) == 0) return std::nullopt;
  return Alignment{told.stx_dio_mem_align, told.stx_dio_offset_align};
#else
  (void)fd;
  return std::nullopt;
#endif
}

bool reads_directly(int fd, std::byte* memory, std::size_t length) {
  ssize_t got;
  do {
    got = pread(fd, memory, length, 0);
  } while (got < 0 && errno == EINTR);
  return got >= 0;
}

// Tries reads of a block at the start of the file. REQUIRES: O_DIRECT is set.
Alignment found_by_reading(int fd) {
  const std::unique_ptr<void, decltype(&std::free)> memory(
      std::aligned_alloc(kLargestAlignment, kLargestAlignment), &std::free);
  if (memory == nullptr) return {0, 0};
  for (const std::uint32_t each : {512u, 1024u, 2048u, kLargestAlignment}) {
    if (reads_directly(fd, static_cast<std::byte*>(memory.get()), each)) return {each, each};
  }
  return {0, 0};
}

Alignment alignment_of(int fd, const struct stat& status, std::uint32_t block_bytes) {
  if (const auto told = told_by_statx(fd)) return *told;
  if (S_ISBLK(status.st_mode)) return {block_bytes, block_bytes};
  return found_by_reading(fd);
}

bool set_direct(int fd, bool direct) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  return fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

// File systems whose files are nothing but page cache: O_DIRECT is refused or means nothing.
const char* memory_file_system(int fd) {
  struct statfs system = {};
  if (fstatfs(fd, &system) != 0) return nullptr;
  switch (system.f_type) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case HUGETLBFS_MAGIC:
      return "hugetlbfs";
    default:
      return nullptr;
  }
}

// Fills `rule`, or says why the file is to be buffered.
std::string try_direct(int fd, const struct stat& status, std::uint32_t block_bytes,
                       DirectRule& rule) {
  if (const char* name = memory_file_system(fd)) {
    return fmt::format("{} keeps its files in memory", name);
  }
  if (!set_direct(fd, true)) return "the file system refuses O_DIRECT";
  const Alignment found = alignment_of(fd, status, block_bytes);
  if (!is_power_of_two(found.memory) || !is_power_of_two(found.offset)) {
    return "the file system has no direct I/O for this file";
  }
  if (found.offset > block_bytes || found.memory > kLargestAlignment) {
    return fmt::format("O_DIRECT asks for blocks of {} bytes, the device has {}", found.offset,
                       block_bytes);
  }
  rule.direct = true;
  rule.memory_alignment = found.memory;
  rule.offset_alignment = found.offset;
  return {};
}

}  // namespace

Result<DirectRule> choose_direct(int fd, const struct stat& status, std::uint32_t block_bytes,
                                 DirectWish wish, std::string_view path) {
  DirectRule rule;
  const std::string refusal = wish == DirectWish::off ? std::string("direct = off")
                                                      : try_direct(fd, status, block_bytes, rule);
  if (rule.direct) {
    rule.reason = fmt::format("direct: blocks of {} bytes, memory aligned to {}",
                              rule.offset_alignment, rule.memory_alignment);
    return rule;
  }
  if (wish == DirectWish::on) {
    return make_error(Errc::unsupported, "file: {}: direct = on is impossible: {}", path, refusal);
  }
  set_direct(fd, false);
  rule.reason = "buffered: " + refusal;
  return rule;
}

}  // namespace ashlar
