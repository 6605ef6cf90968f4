// Reads a log of dm-log-writes: one that the class write_log wrote, or the kernel.
//
//   LogReader log = LogReader::open(read, size_bytes).value();
//   while (auto entry = log.next().value()) {
//     if (entry->header.has_bytes()) ... log.bytes(*entry, 0, into);
//   }
//
// The log is not trusted: what does not fit the device that it lies on is `corrupt`.
// THREAD: one.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "class/write_log/log_format.h"

namespace ashlar::write_log {

struct LogEntry {
  Header header;
  std::string mark;          // with kMarkFlag
  std::uint64_t at = 0;      // where its bytes lie in the log
  std::uint64_t number = 0;  // from 0
};

class LogReader {
 public:
  // Fills the span from a byte offset of the log's device.
  using Read = std::function<Result<void>(std::uint64_t offset, ByteSpan into)>;

  // `size_bytes`: of the log's device. Errors: corrupt, unsupported (another version), those of
  // `read`.
  static Result<LogReader> open(Read read, std::uint64_t size_bytes);

  const Super& super() const { return super_; }

  // The next entry; nothing behind the last. Errors: corrupt, those of `read`.
  Result<std::optional<LogEntry>> next();

  // Bytes of an entry, from `skip` bytes into it. REQUIRES: the entry has so many.
  Result<void> bytes(const LogEntry& entry, std::uint64_t skip, ByteSpan into) const;

 private:
  LogReader(Read read, std::uint64_t size_bytes, Super super)
      : read_(std::move(read)), size_bytes_(size_bytes), super_(super), at_(super.sector_bytes) {}

  Result<void> check(const LogEntry& entry) const;

  Read read_;
  std::uint64_t size_bytes_;
  Super super_;
  std::uint64_t at_;
  std::uint64_t number_ = 0;
};

}  // namespace ashlar::write_log
