// Reads that are answered from the page cache, without a buffer: the payload of the reply is a
// range of a file, and sendfile(2) gives the socket references to the pages.
//
//   in_page_cache(range)  ->  the header is queued, and with it the range  ->  send_file(...)
//
// What the client receives are the bytes of the pages at the moment at which the peer's system
// copies them, so they may be those of a write that began after the read. That is allowed: a read
// has not ended for the client before it has received its bytes, so the two were under way at the
// same time.
//
// THREAD: any.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/bytes.h"
#include "topology/step.h"

namespace ashlar::nbd {

// Shorter reads go through memory: the second system call, and the question after the pages, cost
// more than copying them. Measured with bench/nbd/file_reads.py (docs/benchmarks.md): over TCP the
// copy into the socket is cheaper, because it can be merged with what is queued there already.
inline constexpr std::uint32_t kLeastFileReplyUnix = 16 * kKiB;
inline constexpr std::uint32_t kLeastFileReplyTcp = 64 * kKiB;
// No read is so long.
inline constexpr std::uint32_t kNoFileReplies = ~std::uint32_t{0};

// True where all of `range` is in the page cache, so that sending it waits for no disk (but for a
// page that is being read at this moment). False also where the system cannot tell: before Linux
// 6.5, for files that this process might not write, for file systems without a page cache.
bool in_page_cache(const FileRange& range) noexcept;

// As sendfile(2), from `range` to the non-blocking `socket`: bytes sent, 0 where the file ends, or
// -1 and errno. May raise SIGPIPE, which must be blocked or ignored: sendfile has no MSG_NOSIGNAL.
ssize_t send_file(int socket, const FileRange& range) noexcept;

}  // namespace ashlar::nbd
