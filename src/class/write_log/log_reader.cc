// Superblock and entries of a log, checked against the room that there is.
#include "class/write_log/log_reader.h"

#include <array>
#include <vector>

#include "topology/limits.h"

namespace ashlar::write_log {

Result<LogReader> LogReader::open(Read read, std::uint64_t size_bytes) {
  std::array<std::byte, kSuperBytes> raw{};
  if (size_bytes < raw.size()) return make_error(Errc::corrupt, "write_log: no room for a log");
  if (auto got = read(0, raw); !got) return got.error();
  if (load_le<std::uint64_t>(raw, 0) != kMagic) {
    return make_error(Errc::corrupt, "write_log: there is no log: the magic number is {:#x}",
                      load_le<std::uint64_t>(raw, 0));
  }
  if (const auto version = load_le<std::uint64_t>(raw, 8); version != kVersion) {
    return make_error(Errc::unsupported, "write_log: the log has version {}, known is {}", version,
                      kVersion);
  }
  const Super super{load_le<std::uint64_t>(raw, 16), load_le<std::uint32_t>(raw, 24)};
  const bool sound = is_power_of_two(super.sector_bytes) && super.sector_bytes >= kMinBlockBytes &&
                     super.sector_bytes <= kMaxBlockBytes;
  if (!sound) {
    return make_error(Errc::corrupt, "write_log: the log has sectors of {} bytes",
                      super.sector_bytes);
  }
  return LogReader(std::move(read), size_bytes, super);
}

Result<void> LogReader::check(const LogEntry& entry) const {
  const std::uint64_t sector = super_.sector_bytes;
  const Header& header = entry.header;
  const std::uint64_t most = size_bytes_ / sector;
  if (header.has_bytes() &&
      (header.sectors > most || !within(entry.at, header.sectors * sector, size_bytes_))) {
    return make_error(Errc::corrupt, "write_log: entry {} has {} sectors, past the end of the log",
                      entry.number, header.sectors);
  }
  if (header.sector > kMaxDeviceBytes / sector || header.sectors > kMaxDeviceBytes / sector) {
    return make_error(Errc::corrupt, "write_log: entry {} is of sector {}, past any device",
                      entry.number, header.sector);
  }
  if (header.has(kMarkFlag) && header.data_length > sector - kEntryBytes) {
    return make_error(Errc::corrupt, "write_log: entry {} has a mark of {} bytes", entry.number,
                      header.data_length);
  }
  return {};
}

Result<std::optional<LogEntry>> LogReader::next() {
  if (number_ == super_.entries) return std::optional<LogEntry>();
  const std::uint64_t sector = super_.sector_bytes;
  if (!within(at_, sector, size_bytes_)) {
    return make_error(Errc::corrupt, "write_log: entry {} of {} lies past the end of the log",
                      number_, super_.entries);
  }
  std::vector<std::byte> raw(sector);
  if (auto got = read_(at_, raw); !got) return got.error();
  LogEntry entry;
  entry.header = {load_le<std::uint64_t>(raw, 0), load_le<std::uint64_t>(raw, 8),
                  load_le<std::uint64_t>(raw, 16), load_le<std::uint64_t>(raw, 24)};
  entry.number = number_;
  entry.at = at_ + sector;
  if (auto sound = check(entry); !sound) return sound.error();
  if (entry.header.has(kMarkFlag)) {
    entry.mark.assign(reinterpret_cast<const char*>(raw.data()) + kEntryBytes,
                      entry.header.data_length);
  }
  ++number_;
  at_ = entry.at + (entry.header.has_bytes() ? entry.header.sectors * sector : 0);
  return std::optional<LogEntry>(std::move(entry));
}

Result<void> LogReader::bytes(const LogEntry& entry, std::uint64_t skip, ByteSpan into) const {
  ASHLAR_ASSERT(entry.header.has_bytes());
  ASHLAR_ASSERT(within(skip, into.size(), entry.header.sectors * super_.sector_bytes));
  return read_(entry.at + skip, into);
}

}  // namespace ashlar::write_log
