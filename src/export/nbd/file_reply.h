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

// Shorter reads go through memory, where many replies leave in one system call; one from a file
// takes three: to ask after the pages, for the head, for the data. Measured with
// bench/nbd/file_reads.py (docs/benchmarks.md). On a unix socket 32 KiB are the same either way for
// a client that asks one by one, and a fifth more work at depth 16.
inline constexpr std::uint32_t kLeastFileReplyUnix = 64 * kKiB;
// No read is so long. The rule over TCP: there usual clients at depth (nbdcopy, qemu-img) took up
// to 1.4 times the processor time from a file, however long the reads, and the server saved little.
inline constexpr std::uint32_t kNoFileReplies = ~std::uint32_t{0};

// True where all of `range` is in the page cache, so that sending it waits for no disk (but for a
// page that is being read at this moment). False also where the system cannot tell: before Linux
// 6.5, for files that this process might not write, for file systems without a page cache.
bool in_page_cache(const FileRange& range) noexcept;

// As sendfile(2), from `range` to the non-blocking `socket`: bytes sent, 0 where the file ends, or
// -1 and errno. May raise SIGPIPE, which must be blocked or ignored: sendfile has no MSG_NOSIGNAL.
ssize_t send_file(int socket, const FileRange& range) noexcept;

}  // namespace ashlar::nbd
