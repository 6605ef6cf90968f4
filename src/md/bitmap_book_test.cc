// Goal: a bit that a writer was told is set stays set on the members until the writer has left.
// Method: the book by itself, its pages taken and written by hand; a writer against one that clears
// and sets the same bit all the time.
#include "md/bitmap_book.h"

#include <gtest/gtest.h>

#include <thread>

namespace ashlar::md {
namespace {

BitmapHeader header(std::uint64_t chunk_bytes, std::uint64_t chunks) {
  BitmapHeader header;
  header.chunk_bytes = chunk_bytes;
  header.sync_bytes = chunks * chunk_bytes;
  return header;
}

BitmapBook book(std::uint64_t chunk_bytes, std::uint64_t chunks) {
  const std::vector<std::byte> bits((chunks + 7) / 8);
  return {header(chunk_bytes, chunks), bits, true};
}

void write_pages(BitmapBook& book) {
  book.take_pages(false);
  book.written();
}

// Whether a writer may start there, now.
bool open(BitmapBook& book, const Extent& range) {
  const bool is_open = book.enter(range);
  book.leave(range);
  return is_open;
}

TEST(MdBitmapBook, ABitCountsWhenItsPageWasWrittenWithIt) {
  BitmapBook bits = book(4096, 100);
  EXPECT_FALSE(open(bits, {0, 4096}));
  bits.want({0, 4096});
  EXPECT_FALSE(open(bits, {0, 4096}));
  bits.take_pages(false);
  bits.want({4096, 4096});  // too late for this one
  bits.written();
  EXPECT_TRUE(open(bits, {0, 4096}));
  EXPECT_FALSE(open(bits, {4096, 4096}));
  EXPECT_FALSE(open(bits, {0, 8192}));
  write_pages(bits);
  EXPECT_TRUE(open(bits, {0, 8192}));
  EXPECT_FALSE(bits.any_changed());
}

TEST(MdBitmapBook, PagesBeginWithTheHeader) {
  const std::uint64_t in_first = (kBitmapPageBytes - kBitmapHeaderBytes) * 8;
  BitmapBook bits = book(512, in_first + 100);
  EXPECT_EQ(bits.pages(), 2u);
  bits.want({(in_first - 1) * 512, 1024});  // the last bit of one and the first of the other
  const auto& pages = bits.take_pages(false);
  ASSERT_EQ(pages.size(), 2u);
  EXPECT_EQ(pages[0].bytes[kBitmapPageBytes - 1], std::byte{0x80});
  EXPECT_EQ(pages[1].offset, kBitmapPageBytes);
  EXPECT_EQ(pages[1].bytes[0], std::byte{1});
  bits.written();
  EXPECT_TRUE(open(bits, {(in_first - 1) * 512, 1024}));
  EXPECT_EQ(bits.clear_idle(false, 1), 1u);  // a page at a time
  EXPECT_EQ(bits.clear_idle(false, 1), 1u);
  EXPECT_FALSE(bits.any_set());
}

TEST(MdBitmapBook, ManyChunksShareACount) {
  BitmapBook bits = book(512, 4 * BitmapBook::kMaxCounts);
  bits.want({0, 8 * 512});
  write_pages(bits);
  const Extent second{512, 512};
  EXPECT_TRUE(bits.enter(second));
  EXPECT_EQ(bits.clear_idle(false, 1), 4u);  // the other four
  EXPECT_TRUE(open(bits, {0, 4 * 512}));
  EXPECT_FALSE(open(bits, {4 * 512, 512}));
  bits.leave(second);
  EXPECT_EQ(bits.clear_idle(false, 1000), 4u);
}

TEST(MdBitmapBook, WhatDiffersKeepsItsBit) {
  BitmapBook bits = book(4096, 10);
  bits.want({0, 3 * 4096});
  write_pages(bits);
  bits.set_unsynced({4096, 1});
  EXPECT_EQ(bits.clear_idle(false, 1), 2u);
  bits.set_synced({4096, 4095});  // not all of it
  EXPECT_EQ(bits.unsynced(), (std::vector<Extent>{{4096, 4096}}));
  bits.set_synced({0, 8192});
  EXPECT_EQ(bits.clear_idle(false, 1), 1u);
}

TEST(MdBitmapBook, NoBitIsTakenFromAWriter) {
  BitmapBook bits = book(4096, 1);
  const Extent all{0, 4096};
  std::atomic<bool> is_clear{true};
  std::atomic<bool> stop{false};
  std::uint64_t entered = 0;
  std::uint64_t wrong = 0;
  std::thread writer([&] {
    while (!stop) {
      if (bits.enter(all)) {
        ++entered;
        for (int i = 0; i < 4; ++i) wrong += is_clear.load() ? 1 : 0;
      }
      bits.leave(all);
    }
  });
  for (int i = 0; i < 3000; ++i) {
    bits.want(all);
    is_clear = false;
    write_pages(bits);
    for (int tries = 0; tries < 1000 && bits.any_set(); ++tries) bits.clear_idle(false, 1);
    if (bits.any_set()) continue;
    is_clear = true;
    write_pages(bits);
  }
  stop = true;
  writer.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace ashlar::md
