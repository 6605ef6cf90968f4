// Goal: a log that the kernel wrote is read, and one that lies is refused, whatever it says.
// Method: logs put together byte by byte here, from the published format, then spoiled in one place
// at a time; and random bytes.
#include "class/write_log/log_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

namespace ashlar::write_log {
namespace {

class Image {
 public:
  explicit Image(std::size_t bytes = 16 * 512) : bytes_(bytes) {
    number(0, 0x6a736677736872);
    number(8, 1);
    number(16, 3);
    number(24, 512);
    entry(512, 7, 2, 0, 0);      // a write
    entry(4 * 512, 0, 0, 8, 4);  // a mark
    std::memcpy(&bytes_[4 * 512 + 32], "mkfs", 4);
    entry(5 * 512, 1, 1000, 4, 0);  // a discard, longer than the log
    bytes_[2 * 512] = std::byte{0x5a};
  }

  void number(std::size_t at, std::uint64_t value) {
    for (std::size_t i = 0; i < 8; ++i) bytes_[at + i] = static_cast<std::byte>(value >> 8 * i);
  }
  void entry(std::size_t at, std::uint64_t sector, std::uint64_t sectors, std::uint64_t flags,
             std::uint64_t length) {
    number(at, sector);
    number(at + 8, sectors);
    number(at + 16, flags);
    number(at + 24, length);
  }
  std::vector<std::byte>& bytes() { return bytes_; }

  Result<LogReader> open() {
    return LogReader::open(
        [this](std::uint64_t offset, ByteSpan into) -> Result<void> {
          EXPECT_TRUE(within(offset, into.size(), bytes_.size()));
          std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(),
                      into.begin());
          return {};
        },
        bytes_.size());
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(LogReader, reads_writes_marks_and_discards) {
  Image image;
  LogReader log = image.open().value();
  EXPECT_EQ(log.super().entries, 3u);
  const auto write = log.next().value();
  EXPECT_EQ(write->header.sector, 7u);
  EXPECT_EQ(write->header.sectors, 2u);
  std::array<std::byte, 1> first{};
  ASSERT_TRUE(log.bytes(*write, 0, first).ok());
  EXPECT_EQ(first[0], std::byte{0x5a});
  const auto mark = log.next().value();
  EXPECT_EQ(mark->mark, "mkfs");
  const auto discard = log.next().value();
  EXPECT_TRUE(discard->header.has(kDiscardFlag));
  EXPECT_EQ(discard->header.sectors, 1000u);
  EXPECT_FALSE(log.next().value());
}

TEST(LogReader, refuses_what_is_no_log) {
  struct Case {
    std::size_t at;
    std::uint64_t value;
    std::string_view sentence;
  };
  const Case cases[] = {
      {0, 1, "write_log: there is no log: the magic number is 0x1"},
      {8, 2, "write_log: the log has version 2, known is 1"},
      {24, 513, "write_log: the log has sectors of 513 bytes"},
      {24, 0, "write_log: the log has sectors of 0 bytes"},
      {24, 1 << 20, "write_log: the log has sectors of 1048576 bytes"},
  };
  for (const Case& each : cases) {
    Image image;
    image.number(each.at, each.value);
    const auto refused = image.open();
    ASSERT_FALSE(refused.ok()) << each.sentence;
    EXPECT_EQ(refused.error().message, each.sentence);
  }
}

TEST(LogReader, refuses_entries_that_cannot_be) {
  struct Case {
    std::size_t at;
    std::uint64_t value;
    std::uint64_t good;  // entries before the bad one
  };
  const Case cases[] = {
      {512, ~std::uint64_t{0}, 0},                // a sector past any device
      {512 + 8, 100, 0},                          // more sectors than the log has
      {512 + 8, ~std::uint64_t{0} / 512 + 1, 0},  // that wrap around
      {4 * 512 + 24, 481, 1},                     // a mark that leaves its sector
      {4 * 512 + 24, ~std::uint64_t{0}, 1},       //
      {5 * 512 + 8, ~std::uint64_t{0}, 2},        // a discard past any device
  };
  for (const Case& each : cases) {
    Image image;
    image.number(each.at, each.value);
    LogReader log = image.open().value();
    for (std::uint64_t i = 0; i < each.good; ++i) ASSERT_TRUE(log.next().ok());
    EXPECT_FALSE(log.next().ok()) << each.value << " at " << each.at;
  }
  Image image;
  image.number(16, ~std::uint64_t{0});  // more entries than there is room for
  LogReader log = image.open().value();
  Result<std::optional<LogEntry>> last = log.next();
  while (last.ok()) last = log.next();
  EXPECT_EQ(last.error().code, Errc::corrupt);
}

TEST(LogReader, random_bytes_never_lead_outside) {
  Random random(3);
  for (int round = 0; round < 2000; ++round) {
    Image image;
    for (int i = 0; i < 6; ++i) {
      const std::size_t at = 16 + random.below(image.bytes().size() - 16);
      image.bytes()[at < 32 ? at : at / 512 * 512 + at % 32] =
          static_cast<std::byte>(random.next());
    }
    auto log = image.open();
    for (int i = 0; log.ok() && i < 64; ++i) {
      const auto entry = log->next();
      if (!entry.ok() || !*entry) break;
      if (!(*entry)->header.has_bytes()) continue;
      std::vector<std::byte> bytes((*entry)->header.sectors * log->super().sector_bytes);
      EXPECT_TRUE(log->bytes(**entry, 0, bytes).ok());
    }
  }
}

}  // namespace
}  // namespace ashlar::write_log
