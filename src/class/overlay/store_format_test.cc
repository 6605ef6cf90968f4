// The format. Goal: what was put is loaded; what is torn is left out, what is damaged or of another
// image is refused with a sentence, and nothing that is on a store can do more. Method: stores in
// memory, changed by hand and at random.
#include "class/overlay/store_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace ashlar::overlay {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kBaseBytes = kMiB;

Read reader_of(const std::vector<std::byte>& bytes) {
  return [&bytes](std::uint64_t offset, ByteSpan into) -> Result<void> {
    if (!within(offset, into.size(), bytes.size())) {
      return make_error(Errc::out_of_range, "past the end");
    }
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  };
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() : base(kBaseBytes) {
    Random random(1);
    for (std::byte& each : base) each = static_cast<std::byte>(random.next());
    Identity identity;
    identity.fill(std::byte{3});
    header = make_header(kBaseBytes, identity, reader_of(base)).value();
    header.slots = 32;
    store.resize(header.size_bytes());
    put_header(header, page(0));
  }

  ByteSpan page(std::uint64_t at) { return ByteSpan(store).subspan(at, kPageBytes); }
  ByteSpan slot(std::uint64_t number) { return page(header.map_at + number * kPageBytes); }
  void put(std::uint64_t at, const Record& record) {
    put_record(record, header.identity, slot(at));
  }
  Result<Loaded> loaded() const { return load(reader_of(store), store.size()); }
  std::string refusal() const {
    const auto result = loaded();
    return result ? "" : result.error().message;
  }
  std::string other_base(std::uint64_t size) {
    const auto same = check_base(loaded().value(), size, "b.img", reader_of(base));
    return same ? "" : same.error().message;
  }

  std::vector<std::byte> base;
  std::vector<std::byte> store;
  Header header;
};

TEST_F(StoreTest, an_empty_overlay_has_nothing) {
  const auto result = loaded();
  ASSERT_TRUE(result);
  EXPECT_TRUE(ranges_of(*result).empty());
  EXPECT_FALSE(result->begun || result->applied || result->torn > 0);
  EXPECT_EQ(other_base(kBaseBytes), "");
}

TEST_F(StoreTest, records_are_joined_and_sorted_by_their_numbers) {
  put(3, {.number = 9, .reach = 32, .sealed = 1, .ranges = {{4096, 512}}});
  put(5, {.number = 4, .reach = 32, .ranges = {{512, 512}, {4608, 1024}}});
  const auto result = loaded();
  ASSERT_TRUE(result);
  ASSERT_EQ(result->slots.size(), 2u);
  EXPECT_EQ(result->slots[0].slot, 5u);
  EXPECT_EQ(ranges_of(*result), (std::vector<Extent>{{512, 512}, {4096, 1536}}));
}

TEST_F(StoreTest, a_torn_record_is_left_out) {
  put(0, {.reach = 32, .ranges = {{0, 512}}});
  put(1,
      {.tail = true, .number = 1, .reach = 32, .sealed = 1, .ranges = {{512, 512}, {8192, 512}}});
  slot(1)[70] = std::byte{0xee};
  const auto result = loaded();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->torn, 1u);
  EXPECT_EQ(ranges_of(*result), (std::vector<Extent>{{0, 512}}));
}

TEST_F(StoreTest, a_record_that_should_be_there_is_missed) {
  put(0, {.reach = 32, .ranges = {{0, 512}}});
  put(1, {.number = 1, .reach = 32, .sealed = 1, .ranges = {{512, 512}}});
  slot(0)[70] = std::byte{0xee};
  EXPECT_THAT(refusal(), HasSubstr("damaged: its map has 0 full records, and should have 1"));
  slot(0)[70] = std::byte{0};
  put(0, {.reach = 32, .ranges = {{0, 512}}});
  EXPECT_EQ(refusal(), "");
  put(2, {.number = 2, .reach = 32, .sealed = 9, .ranges = {{512, 512}}});
  EXPECT_THAT(refusal(), HasSubstr("2 full records, and should have 9"));
}

TEST_F(StoreTest, records_of_another_overlay_are_none) {
  Identity other = header.identity;
  other[0] = std::byte{4};
  put_record({.reach = 32, .ranges = {{0, 512}}}, other, slot(0));
  EXPECT_TRUE(ranges_of(loaded().value()).empty());
}

TEST_F(StoreTest, records_far_behind_are_found_by_the_reach_of_those_before) {
  header.slots = 2000;
  store.resize(header.size_bytes());
  put_header(header, page(0));
  put(300, {.number = 1, .reach = 600, .ranges = {{512, 512}}});
  EXPECT_TRUE(ranges_of(loaded().value()).empty());
  put(255, {.reach = 511, .ranges = {{0, 512}}});
  EXPECT_EQ(ranges_of(loaded().value()), (std::vector<Extent>{{0, 1024}}));
}

TEST_F(StoreTest, what_does_not_fit_is_refused) {
  const std::vector<Extent> wrong = {{kBaseBytes, 512},
                                     {0, kBaseBytes + 512},
                                     {~std::uint64_t{0} - 511, 512},
                                     {0, ~std::uint64_t{0} - 511},
                                     {100, 512},
                                     {512, 100},
                                     {512, 0}};
  for (const Extent& each : wrong) {
    put(0, {.reach = 32, .ranges = {each}});
    EXPECT_THAT(refusal(), HasSubstr("damaged")) << each.offset << " " << each.length;
  }
  put(0, {.reach = 33, .ranges = {{0, 512}}});
  EXPECT_THAT(refusal(), HasSubstr("damaged"));
}

TEST_F(StoreTest, a_header_that_lies_is_refused) {
  const Header good = header;
  const auto refused = [&](Header lie) {
    put_header(lie, page(0));
    return refusal();
  };
  Header lie = good;
  lie.base_bytes = ~std::uint64_t{0};
  EXPECT_THAT(refused(lie), HasSubstr("damaged"));
  lie = good;
  lie.base_bytes = 0;
  EXPECT_THAT(refused(lie), HasSubstr("damaged"));
  lie = good;
  lie.map_at = kDataAt;
  EXPECT_THAT(refused(lie), HasSubstr("damaged"));
  lie = good;
  lie.map_at = ~std::uint64_t{0} - kPageBytes + 1;
  EXPECT_THAT(refused(lie), HasSubstr("damaged"));
  lie = good;
  lie.slots = ~std::uint64_t{0};
  EXPECT_THAT(refused(lie), HasSubstr("damaged"));
  EXPECT_EQ(refused(good), "");
  page(0)[40] = std::byte{9};
  EXPECT_THAT(refusal(), HasSubstr("checksum"));
  store[0] = std::byte{0};
  EXPECT_THAT(refusal(), HasSubstr("there is no overlay"));
  store.resize(100);
  EXPECT_THAT(refusal(), HasSubstr("there is no overlay"));
}

TEST_F(StoreTest, another_image_is_refused) {
  EXPECT_THAT(other_base(kBaseBytes / 2), HasSubstr("of another image"));
  base[kBaseBytes - 60 * kKiB] ^= std::byte{1};
  EXPECT_THAT(other_base(kBaseBytes), HasSubstr("b.img has changed since"));
}

// A commit that was stopped has changed what is in the overlay, and nothing else.
TEST_F(StoreTest, a_commit_that_has_begun_excuses_what_it_changes) {
  put(0, {.reach = 32, .ranges = {{0, 512}}});
  base[3] ^= std::byte{1};
  EXPECT_THAT(other_base(kBaseBytes), HasSubstr("has changed"));
  page(kBegunAt)[0] = std::byte{1};
  EXPECT_EQ(other_base(kBaseBytes), "");
  base[8192] ^= std::byte{1};
  EXPECT_THAT(other_base(kBaseBytes), HasSubstr("byte 8192"));
}

TEST_F(StoreTest, any_damage_is_an_error_or_harmless) {
  put(0, {.reach = 32, .ranges = {{0, 512}, {8192, 4096}}});
  put(1, {.tail = true, .number = 1, .reach = 32, .sealed = 1, .ranges = {{512, 512}}});
  const std::vector<std::byte> good = store;
  Random random(5);
  for (int i = 0; i < 4000; ++i) {
    store = good;
    const std::uint64_t where = random.one_in(2) ? 0 : header.map_at;
    for (std::uint64_t k = 0; k <= random.below(4); ++k) {
      store[where + random.below(2 * kPageBytes)] = static_cast<std::byte>(random.next());
    }
    if (auto result = loaded()) {
      for (const Extent& each : ranges_of(*result)) {
        ASSERT_TRUE(within(each.offset, each.length, kBaseBytes));
      }
    }
  }
}

}  // namespace
}  // namespace ashlar::overlay
