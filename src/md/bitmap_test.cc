// Goal: bitmaps and logs of bad blocks are read and written as the kernel does, and hostile ones
// are refused before anybody allocates by their numbers.
// Method: headers and lists written word by word; ranges set and cleared against a plain array.
#include "md/bitmap.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"
#include "md/bad_blocks.h"

namespace ashlar::md {
namespace {

using Block = std::vector<std::byte>;

template <typename T>
void put(Block& block, std::size_t at, T value) {
  store_le<T>(ByteSpan(block), at, value);
}

// 1000 sectors in chunks of 64 KiB: 8 bits, the last of which covers 53248 bytes.
Block header() {
  Block block(kBitmapHeaderBytes);
  put<std::uint32_t>(block, 0, 0x6d746962);
  put<std::uint32_t>(block, 4, 4);
  for (std::uint8_t i = 0; i < 16; ++i) block[8 + i] = std::byte{i};
  put<std::uint64_t>(block, 24, 12);
  put<std::uint64_t>(block, 32, 10);
  put<std::uint64_t>(block, 40, 1000);
  put<std::uint32_t>(block, 48, 1 << 15);  // a bit of the kernel's own
  put<std::uint32_t>(block, 52, 65536);
  put<std::uint32_t>(block, 56, 5);
  put<std::uint32_t>(block, 60, 256);
  put<std::uint32_t>(block, 64, 8);
  block[200] = std::byte{0x99};
  return block;
}

TEST(MdBitmap, EveryField) {
  const auto parsed = parse_bitmap(header(), 4096);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->version, 4u);
  EXPECT_EQ(std::to_integer<int>(parsed->set_uuid[15]), 15);
  EXPECT_EQ(parsed->events, 12u);
  EXPECT_EQ(parsed->events_cleared, 10u);
  EXPECT_EQ(parsed->sync_bytes, 512000u);
  EXPECT_FALSE(parsed->stale || parsed->write_error);
  EXPECT_EQ(parsed->chunk_bytes, 65536u);
  EXPECT_EQ(parsed->daemon_sleep_seconds, 5u);
  EXPECT_EQ(parsed->write_behind, 256u);
  EXPECT_EQ(parsed->reserved_bytes, 4096u);
  EXPECT_EQ(parsed->bits(), 8u);
  EXPECT_EQ(parsed->total_bytes(), 257u);
  EXPECT_EQ(serialise_bitmap(*parsed), header());
}

TEST(MdBitmap, WhatIsChangedIsReadAgain) {
  BitmapHeader changed = *parse_bitmap(header(), 4096);
  changed.events = 13;
  changed.stale = true;
  changed.chunk_bytes = 131072;
  const Block written = serialise_bitmap(changed);
  EXPECT_EQ(written[200], std::byte{0x99});
  const auto parsed = parse_bitmap(written, 4096);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->events, 13u);
  EXPECT_TRUE(parsed->stale);
  EXPECT_FALSE(parsed->write_error);
  EXPECT_EQ(parsed->bits(), 4u);
}

TEST(MdBitmap, LiesAreRefused) {
  struct Lie {
    Errc code;
    std::function<void(Block&)> tell;
  };
  const Lie lies[] = {
      {Errc::not_found, [](Block& b) { put<std::uint32_t>(b, 0, 1); }},
      {Errc::unsupported, [](Block& b) { put<std::uint32_t>(b, 4, 2); }},
      {Errc::unsupported, [](Block& b) { put<std::uint32_t>(b, 4, 5); }},
      {Errc::unsupported, [](Block& b) { put<std::uint32_t>(b, 4, 6); }},
      {Errc::corrupt, [](Block& b) { put<std::uint32_t>(b, 52, 0); }},
      {Errc::corrupt, [](Block& b) { put<std::uint32_t>(b, 52, 256); }},
      {Errc::corrupt, [](Block& b) { put<std::uint32_t>(b, 52, 65537); }},
      {Errc::corrupt, [](Block& b) { put<std::uint32_t>(b, 56, 0); }},
      {Errc::corrupt, [](Block& b) { put<std::uint32_t>(b, 60, 16384); }},
      {Errc::corrupt, [](Block& b) { put<std::uint64_t>(b, 40, ~std::uint64_t{0}); }},
      {Errc::corrupt, [](Block& b) { put<std::uint64_t>(b, 40, std::uint64_t{1} << 50); }},
  };
  for (const Lie& lie : lies) {
    Block block = header();
    lie.tell(block);
    const auto parsed = parse_bitmap(block, 4096);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, lie.code) << parsed.error().message;
  }
  EXPECT_EQ(parse_bitmap(header(), 256).error().code, Errc::corrupt);  // no room for a byte of bits
  EXPECT_EQ(parse_bitmap({}, 4096).error().code, Errc::not_found);
}

TEST(MdBitmap, TrustsWhatBelongsToTheArray) {
  const BitmapHeader bitmap = *parse_bitmap(header(), 4096);
  Superblock superblock;
  superblock.set_uuid = bitmap.set_uuid;
  superblock.events = 11;
  EXPECT_EQ(*distrust_bitmap(bitmap, superblock, 512000), "");
  EXPECT_NE(*distrust_bitmap(bitmap, superblock, 512512), "");
  superblock.events = 13;
  EXPECT_NE(distrust_bitmap(bitmap, superblock, 512000)->find("out of date"), std::string::npos);
  superblock.set_uuid[0] = std::byte{1};
  EXPECT_EQ(distrust_bitmap(bitmap, superblock, 512000).error().code, Errc::corrupt);
}

TEST(MdBitmap, RangesAreJoinedAndCut) {
  const BitmapHeader bitmap = *parse_bitmap(header(), 4096);
  const Block bits = {std::byte{0b11000110}};
  EXPECT_EQ(bitmap_ranges(bitmap, bits),
            (std::vector<Extent>{{65536, 131072}, {6 * 65536, 512000 - 6 * 65536}}));
  EXPECT_TRUE(bitmap_ranges(bitmap, Block{std::byte{0}}).empty());
}

TEST(MdBitmap, SetsWhatItTouchesAndClearsWhatLiesWithin) {
  BitmapHeader bitmap = *parse_bitmap(header(), 4096);
  bitmap.sync_bytes = 37 * 65536 + 512;
  std::vector<bool> model(38);
  Block bits(5);
  Random random(7);
  for (int i = 0; i < 3000; ++i) {
    Extent range{random.below(bitmap.sync_bytes), 0};
    range.length = random.below(bitmap.sync_bytes - range.offset + 1);
    const bool set = random.one_in(2);
    set ? set_bitmap_range(bitmap, bits, range) : clear_bitmap_range(bitmap, bits, range);
    for (std::uint64_t bit = 0; bit < model.size(); ++bit) {
      const std::uint64_t start = bit * 65536;
      const std::uint64_t end = std::min(start + 65536, bitmap.sync_bytes);
      const bool touches = range.length > 0 && range.offset < end && start < range.end();
      const bool within = range.offset <= start && end <= range.end();
      if (set && touches) model[bit] = true;
      if (!set && within) model[bit] = false;
    }
    std::vector<bool> seen(model.size());
    for (const Extent& each : bitmap_ranges(bitmap, bits)) {
      for (std::uint64_t at = each.offset; at < each.end(); at += 65536) seen[at / 65536] = true;
    }
    ASSERT_EQ(seen, model) << i;
  }
}

constexpr std::uint64_t kDevice = 16 * kMiB;

TEST(MdBadBlocks, ReadsTheList) {
  Block log(4096, std::byte{0xff});
  put<std::uint64_t>(log, 0, 300 << 10 | 8);
  put<std::uint64_t>(log, 8, 100 << 10 | 1);
  put<std::uint64_t>(log, 16, 308 << 10 | 1023);
  const BadBlockLog place{-8, 4096, 0, true};
  const auto parsed = parse_bad_blocks(log, place, kDevice);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, (std::vector<Extent>{{51200, 512}, {153600, 1031 * 512}}));
  EXPECT_EQ(parse_bad_blocks(log, {-8, 4096, 3, true}, kDevice)->front(),
            (Extent{100 * 4096, 4096}));
  EXPECT_TRUE(parse_bad_blocks(Block(4096, std::byte{0xff}), place, kDevice)->empty());
}

TEST(MdBadBlocks, LiesAreRefused) {
  const BadBlockLog place{-8, 4096, 0, true};
  for (const std::uint64_t entry : {std::uint64_t{0}, std::uint64_t{32768} << 10 | 1,
                                    std::uint64_t{32767} << 10 | 2, ~std::uint64_t{0} - 1}) {
    Block log(4096, std::byte{0xff});
    put(log, 0, entry);
    EXPECT_FALSE(parse_bad_blocks(log, place, kDevice)) << entry;
    EXPECT_FALSE(parse_bad_blocks(log, {-8, 4096, 255, true}, kDevice)) << entry;
  }
}

TEST(MdBadBlocks, WhatIsWrittenIsReadAgain) {
  const BadBlockLog place{-8, 4096, 1, true};
  const auto log = serialise_bad_blocks({{4096, 512}, {8192, kMiB}, {1536, 1}, {5120, 10}}, place);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(load_le<std::uint64_t>(ByteView(*log), 0), 1u << 10 | 1);
  // The longest that the kernel makes: 512 units.
  EXPECT_EQ(load_le<std::uint64_t>(ByteView(*log), 16), 8u << 10 | 512);
  EXPECT_EQ(*parse_bad_blocks(*log, place, kDevice),
            (std::vector<Extent>{{1024, 1024}, {4096, 2048}, {8192, kMiB}}));
}

TEST(MdBadBlocks, AFullLogSaysSo) {
  const BadBlockLog place{-8, 4096, 0, true};
  std::vector<Extent> ranges;
  for (std::uint64_t i = 0; i < 512; ++i) ranges.push_back({i * 1024, 512});
  EXPECT_TRUE(serialise_bad_blocks(ranges, place));
  ranges.push_back({kMiB, 512});
  EXPECT_EQ(serialise_bad_blocks(ranges, place).error().code, Errc::no_space);
}

}  // namespace
}  // namespace ashlar::md
