// Goal: every byte of linear, raid0, raid1 and raid10 arrays lies where the kernel puts it, and
// nowhere twice.
// Method: pictures of small arrays; then many shapes, each block of which is compared with a model
// that deals chunks out one by one (raid0), or follows the kernel's description of raid10 step by
// step. What two chunks would share must have been refused.
#include "md/layout.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/bytes.h"
#include "base/random.h"

namespace ashlar::md {
namespace {

constexpr std::uint64_t kChunk = 4096;
using Cell = std::pair<std::uint32_t, std::uint64_t>;  // member, byte

Geometry linear_of(std::vector<std::uint64_t> sizes, std::uint64_t chunk) {
  Geometry geometry;
  geometry.level = -1;
  geometry.chunk_bytes = chunk;
  geometry.raid_disks = static_cast<std::uint32_t>(sizes.size());
  geometry.data_bytes = std::move(sizes);
  return geometry;
}

Geometry raid0_of(const std::vector<std::uint64_t>& chunks, std::uint32_t layout,
                  std::uint64_t chunk = kChunk) {
  std::vector<std::uint64_t> sizes;
  for (const std::uint64_t each : chunks) sizes.push_back(each * chunk + 512);
  Geometry geometry = linear_of(std::move(sizes), chunk);
  geometry.level = 0;
  geometry.layout = layout;
  geometry.raid0_layout_known = layout != 0;
  return geometry;
}

Geometry raid10_of(std::uint32_t layout, std::uint32_t disks, std::uint64_t chunks) {
  Geometry geometry;
  geometry.level = 10;
  geometry.layout = layout;
  geometry.chunk_bytes = kChunk;
  geometry.raid_disks = disks;
  geometry.component_bytes = chunks * kChunk;
  return geometry;
}

Layout make(const Geometry& geometry) {
  Result<Layout> layout = Layout::make(geometry);
  EXPECT_TRUE(layout) << layout.error().message;
  return *layout;
}

std::string refusal(const Geometry& geometry) {
  const Result<Layout> layout = Layout::make(geometry);
  return layout ? "" : layout.error().message;
}

// Members as columns of letters, a row for each chunk of the longest one.
std::string picture(const Layout& layout, std::uint32_t disks, std::uint64_t rows) {
  std::string text;
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (row != 0) text += ' ';
    for (std::uint32_t role = 0; role < disks; ++role) {
      const Content content = layout.content(role, row * kChunk);
      const bool data = content.kind == Content::Kind::data;
      text += data ? static_cast<char>('A' + content.array_offset_bytes / kChunk) : '.';
    }
  }
  return text;
}

TEST(MdLayout, LinearIsOneAfterAnother) {
  const Layout layout = make(linear_of({1024, 512, 4096}, 0));
  EXPECT_EQ(layout.array_bytes(), 5632u);
  for (std::uint64_t at = 0; at < layout.array_bytes(); at += 512) {
    const Place place = layout.place(at + 3);
    const std::uint32_t role = at < 1024 ? 0 : at < 1536 ? 1 : 2;
    const std::uint64_t start = role == 0 ? 0 : role == 1 ? 1024 : 1536;
    EXPECT_EQ(place.role, role);
    EXPECT_EQ(place.offset_bytes, at + 3 - start);
    EXPECT_EQ(place.offset_bytes + place.run_bytes, role == 0 ? 1024 : role == 1 ? 512 : 4096);
    EXPECT_EQ(layout.content(role, place.offset_bytes).array_offset_bytes, at + 3);
  }
  EXPECT_EQ(layout.content(0, 1024).kind, Content::Kind::unused);
}

TEST(MdLayout, LinearWithRounding) {
  const Layout layout = make(linear_of({3 * kChunk + 512, 2 * kChunk - 512}, kChunk));
  EXPECT_EQ(layout.array_bytes(), 4 * kChunk);
  EXPECT_EQ(layout.place(3 * kChunk).role, 1u);
  EXPECT_NE(refusal(linear_of({kChunk, 512}, kChunk)), "");
}

TEST(MdLayout, PicturesOfRaid0) {
  // From the second zone on: 3 members, then 2, then 1.
  EXPECT_EQ(picture(make(raid0_of({2, 4, 3}, 1)), 3, 4), "ABC DEF .GH .I.");
  EXPECT_EQ(picture(make(raid0_of({3, 1, 3}, 1)), 3, 3), "ABC E.D G.F");
  EXPECT_EQ(picture(make(raid0_of({3, 1, 3}, 2)), 3, 3), "ABC D.E F.G");
}

// Deals chunks out one by one, a row at a time over the members that have room in it.
std::vector<Cell> deal(const std::vector<std::uint64_t>& chunks, bool original) {
  std::vector<Cell> cells;
  const std::uint64_t rows = *std::max_element(chunks.begin(), chunks.end());
  for (std::uint64_t row = 0; row < rows; ++row) {
    std::vector<std::uint32_t> members;
    for (std::uint32_t i = 0; i < chunks.size(); ++i) {
      if (chunks[i] > row) members.push_back(i);
    }
    const std::size_t first = cells.size();
    for (std::size_t i = 0; i < members.size(); ++i) {
      const std::size_t turn = original ? (first + i) % members.size() : i;
      cells.emplace_back(members[turn], row);
    }
  }
  return cells;
}

void compare_raid0(const std::vector<std::uint64_t>& chunks, std::uint32_t word,
                   std::uint64_t chunk) {
  const Layout layout = make(raid0_of(chunks, word, chunk));
  const std::vector<Cell> cells = deal(chunks, word == Raid0Layout::kOriginal);
  ASSERT_EQ(layout.array_bytes(), cells.size() * chunk);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    for (const std::uint64_t within : {std::uint64_t{0}, std::uint64_t{1000}, chunk - 1}) {
      const Place place = layout.place(i * chunk + within);
      ASSERT_EQ(place.role, cells[i].first);
      ASSERT_EQ(place.offset_bytes, cells[i].second * chunk + within);
      ASSERT_EQ(place.run_bytes, chunk - within);
      const Content content = layout.content(place.role, place.offset_bytes);
      ASSERT_EQ(content.kind, Content::Kind::data);
      ASSERT_EQ(content.array_offset_bytes, i * chunk + within);
    }
  }
  for (std::uint32_t i = 0; i < chunks.size(); ++i) {
    ASSERT_EQ(layout.content(i, chunks[i] * chunk).kind, Content::Kind::unused);
  }
}

TEST(MdLayout, Raid0OfAnySizes) {
  Random random(20191003);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::uint64_t> chunks(1 + random.below(6));
    for (std::uint64_t& each : chunks) each = 1 + random.below(7);
    const std::uint32_t word = i % 2 == 0 ? Raid0Layout::kOriginal : Raid0Layout::kAlternate;
    SCOPED_TRACE(fmt::format("shape {}", i));
    compare_raid0(chunks, word, kChunk << random.below(3));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(MdLayout, Raid0WithAnUnsetLayout) {
  EXPECT_NE(refusal(raid0_of({3, 1, 3}, 0)).find("do not say"), std::string::npos);
  EXPECT_NE(refusal(raid0_of({3, 1, 3}, 3)).find("do not say"), std::string::npos);
  // It does not matter here: one zone; or one member in each but the first.
  EXPECT_EQ(picture(make(raid0_of({2, 2}, 0)), 2, 2), "AB CD");
  EXPECT_EQ(picture(make(raid0_of({1, 3}, 0)), 2, 3), "AB .C .D");
}

// A chunk that is no power of two: the kernel rounds each member by a mask.
TEST(MdLayout, Raid0SizeWithAnOddChunk) {
  const Layout layout = make(raid0_of({1001, 1001}, 1, 24 * 512));
  // 24024 & ~23 = 24008 sectors of each.
  EXPECT_EQ(layout.array_bytes(), 2 * 24008u * 512);
  EXPECT_EQ(layout.place(24 * 512).role, 1u);
  EXPECT_EQ(layout.content(1, 1001 * 24 * 512 - 1).kind, Content::Kind::unused);
}

TEST(MdLayout, MirrorsAreAllTheSame) {
  Geometry geometry = raid10_of(0, 3, 5);
  geometry.level = 1;
  const Layout layout = make(geometry);
  EXPECT_EQ(layout.array_bytes(), 5 * kChunk);
  EXPECT_EQ(layout.sync_bytes(), 5 * kChunk);
  EXPECT_EQ(layout.copies(), 3u);
  EXPECT_EQ(layout.place(777, 2).role, 2u);
  EXPECT_EQ(layout.place(777, 2).offset_bytes, 777u);
  EXPECT_EQ(layout.place(777).run_bytes, 5 * kChunk - 777);
  EXPECT_EQ(layout.content(1, 777).array_offset_bytes, 777u);
  EXPECT_EQ(layout.content(1, 5 * kChunk).kind, Content::Kind::unused);
}

TEST(MdLayout, PicturesOfRaid10) {
  EXPECT_EQ(picture(make(raid10_of(0x102, 3, 3)), 3, 3), "AAB BCC DD.");
  EXPECT_EQ(picture(make(raid10_of(0x102, 4, 2)), 4, 2), "AABB CCDD");
  EXPECT_EQ(picture(make(raid10_of(0x201, 3, 4)), 3, 4), "ABC DEF CAB FDE");
  EXPECT_EQ(picture(make(raid10_of(0x10201, 3, 5)), 3, 5), "ABC CAB DEF FDE ...");
  EXPECT_EQ(picture(make(raid10_of(0x201, 4, 2)), 4, 2), "ABCD DABC");
  EXPECT_EQ(picture(make(raid10_of(0x40201, 4, 2)), 4, 2), "ABCD BADC");
  EXPECT_EQ(picture(make(raid10_of(0x40201, 5, 2)), 5, 2), "ABCDE BAECD");
  EXPECT_EQ(picture(make(raid10_of(0x202, 4, 2)), 4, 2), "AABB BBAA");
}

struct Shape {
  std::uint32_t near, far, offset, sets, disks;
  std::uint64_t chunks;

  std::uint32_t word() const { return near | far << 8 | offset << 16 | sets << 17; }
};

// Every copy of every chunk, as the kernel's mapping goes about it: the near ones side by side, and
// from each the far ones, each a stride and some members further on within its set.
std::vector<std::vector<Cell>> kernel_places(const Shape& shape) {
  const std::uint64_t disks = shape.disks;
  const std::uint64_t rows = shape.chunks / shape.far;
  const std::uint64_t count = rows * disks / shape.near;
  const std::uint64_t used = (count * shape.near * shape.far + disks - 1) / disks;
  const std::uint64_t stride = shape.offset != 0 ? 1 : used / shape.far;
  const std::uint64_t set_size = shape.sets == 0   ? disks
                                 : shape.sets == 1 ? disks / shape.far
                                                   : shape.far * shape.near;
  const std::uint64_t last_start = (disks / set_size - 1) * set_size;
  const std::uint64_t last_size = set_size + disks % set_size;
  std::vector<std::vector<Cell>> chunks;
  for (std::uint64_t chunk = 0; chunk < count; ++chunk) {
    std::vector<Cell> cells;
    std::uint64_t member = chunk * shape.near % disks;
    std::uint64_t row = chunk * shape.near / disks * (shape.offset != 0 ? shape.far : 1);
    for (std::uint32_t near = 0; near < shape.near; ++near) {
      std::uint64_t here = member;
      for (std::uint32_t far = 0; far < shape.far; ++far) {
        cells.emplace_back(static_cast<std::uint32_t>(here), row + far * stride);
        const std::uint64_t set = here / set_size;
        here += shape.near;
        if (disks % set_size != 0 && here > last_start) {
          here = last_start + (here - last_start) % last_size;
        } else {
          here = set * set_size + here % set_size;
        }
      }
      if (++member == disks) {
        member = 0;
        ++row;
      }
    }
    chunks.push_back(std::move(cells));
  }
  return chunks;
}

bool collides(const std::vector<std::vector<Cell>>& chunks) {
  std::set<Cell> all;
  for (const auto& cells : chunks) {
    for (const Cell& each : cells) {
      if (!all.insert(each).second) return true;
    }
  }
  return false;
}

void compare_raid10(const Layout& layout, const Shape& shape,
                    const std::vector<std::vector<Cell>>& chunks) {
  ASSERT_EQ(layout.array_bytes(), chunks.size() * kChunk);
  ASSERT_EQ(layout.copies(), shape.near * shape.far);
  std::map<Cell, std::uint64_t> taken;
  for (std::uint64_t chunk = 0; chunk < chunks.size(); ++chunk) {
    for (std::uint32_t copy = 0; copy < layout.copies(); ++copy) {
      const Place place = layout.place(chunk * kChunk + 99, copy);
      ASSERT_EQ(place.role, chunks[chunk][copy].first);
      ASSERT_EQ(place.offset_bytes, chunks[chunk][copy].second * kChunk + 99);
      ASSERT_EQ(place.run_bytes, kChunk - 99);
      ASSERT_LT(place.offset_bytes, shape.chunks * kChunk);
      const Content content = layout.content(place.role, place.offset_bytes);
      ASSERT_EQ(content.kind, Content::Kind::data);
      ASSERT_EQ(content.array_offset_bytes, chunk * kChunk + 99);
      ASSERT_EQ(content.copy, copy);
      taken[chunks[chunk][copy]] = chunk;
    }
  }
  for (std::uint32_t role = 0; role < shape.disks; ++role) {
    for (std::uint64_t row = 0; row < shape.chunks; ++row) {
      const bool used = layout.content(role, row * kChunk).kind == Content::Kind::data;
      ASSERT_EQ(used, taken.count({role, row}) != 0) << role << " " << row;
    }
  }
}

TEST(MdLayout, EveryRaid10) {
  int made = 0, refused = 0;
  for (std::uint32_t disks = 2; disks <= 10; ++disks) {
    for (std::uint32_t near = 1; near <= 4; ++near) {
      for (std::uint32_t far = 1; far <= 4; ++far) {
        for (std::uint32_t more = 0; more < 6; ++more) {
          const Shape shape{near, far, more % 2, more / 2, disks, 13};
          if (near * far < 2 || near * far > disks) continue;
          SCOPED_TRACE(fmt::format("layout {:#x} of {}", shape.word(), disks));
          const Result<Layout> layout = Layout::make(raid10_of(shape.word(), disks, 13));
          const auto chunks = kernel_places(shape);
          ASSERT_EQ(layout.ok(), !collides(chunks));
          layout ? ++made : ++refused;
          if (layout) compare_raid10(*layout, shape, chunks);
          if (testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
  EXPECT_GT(made, 300);
  EXPECT_GT(refused, 10);
}

TEST(MdLayout, Raid10ThatIsNone) {
  EXPECT_NE(refusal(raid10_of(0x101, 4, 9)), "");    // no copies
  EXPECT_NE(refusal(raid10_of(0x103, 2, 9)), "");    // more copies than members
  EXPECT_NE(refusal(raid10_of(0x60102, 4, 9)), "");  // both bits of sets
  EXPECT_NE(refusal(raid10_of(0x80102, 4, 9)), "");  // a bit that nobody knows
  EXPECT_NE(refusal(raid10_of(0x102, 4, 0)), "");
  EXPECT_NE(refusal(raid10_of(0, 4, 9)), "");
  EXPECT_NE(refusal(raid10_of(0x102, 4, std::uint64_t{1} << 50)), "");
}

// Which sets of members may be lost, against a look at every chunk.
TEST(MdLayout, LostWithout) {
  for (const std::uint32_t word : {0x102u, 0x103u, 0x201u, 0x10201u, 0x40201u, 0x202u, 0x20201u}) {
    for (std::uint32_t disks = 4; disks <= 7; ++disks) {
      const Result<Layout> layout = Layout::make(raid10_of(word, disks, 12));
      if (!layout) continue;
      for (std::uint32_t mask = 0; mask < 1u << disks; ++mask) {
        std::vector<bool> present(disks);
        for (std::uint32_t i = 0; i < disks; ++i) present[i] = (mask >> i & 1) != 0;
        bool all = true;
        for (std::uint64_t at = 0; at < layout->array_bytes(); at += kChunk) {
          bool found = false;
          for (std::uint32_t copy = 0; copy < layout->copies(); ++copy) {
            found = found || present[layout->place(at, copy).role];
          }
          all = all && found;
        }
        ASSERT_EQ(layout->lost_without(present).empty(), all)
            << word << " " << disks << " " << mask;
      }
    }
  }
}

TEST(MdLayout, LevelsThatAreNoArrays) {
  Geometry geometry = raid10_of(0x102, 4, 9);
  for (const int level : {-4, -5, -100, 2, 3, 7}) {
    geometry.level = level;
    EXPECT_EQ(Layout::make(geometry).error().code, Errc::unsupported);
  }
}

}  // namespace
}  // namespace ashlar::md
