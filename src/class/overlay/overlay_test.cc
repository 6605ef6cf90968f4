// The overlay class. Goal: what is below never changes, what is above reads as if it had; a kept
// overlay has, made anew, whatever was flushed, and refuses what is not its own. Method: random
// requests against a model of bytes, over memory devices whose bytes the tests look at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "class/overlay/store_format.h"
#include "node/reader.h"
#include "program/block_status.h"
#include "test/model.h"

namespace ashlar::test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSize = 2 * kMiB;

class OverlayTest : public testing::Test {
 protected:
  OverlayTest() : base(rig.make("memory", "base", {}, size_of(kSize))) {
    image = pattern(kSize, 9);
    EXPECT_EQ(rig.open(base).write(0, image), Errc::ok);
    rig.topology().set_reader_factory([this](Provider& provider) {
      return std::make_unique<DeviceReader>(rig.topology(), rig.lane(), provider);
    });
  }

  static ParameterTexts size_of(std::uint64_t bytes) { return {{"size", std::to_string(bytes)}}; }

  // A store with a header for `base` on it.
  Provider& fresh_store(const std::string& name = "store") {
    auto opened = rig.open(base);
    const auto header =
        overlay::make_header(kSize, {}, [&](std::uint64_t offset, ByteSpan into) -> Result<void> {
          const Errc error = opened.read(offset, into);
          return error == Errc::ok ? Result<void>() : Error{error, "read"};
        });
    Provider& store = rig.make("memory", name, {}, size_of(header->size_bytes()));
    std::vector<std::byte> page(overlay::kPageBytes);
    put_header(*header, page);
    EXPECT_EQ(rig.open(store).write(0, page), Errc::ok);
    return store;
  }
  Provider& keep(const std::string& name, Provider& store) {
    return rig.make("overlay", name, {&base, &store}, {{"keep", "true"}});
  }

  void expect_base_untouched() {
    auto opened = rig.open(base);
    EXPECT_TRUE(contents(opened, kSize) == image);
  }

  // Starts with the image's bytes.
  void exercise(Provider& top, int rounds, std::uint64_t seed) {
    auto opened = rig.open(top);
    Model model(kSize, 512);
    model.start_with(image);
    model.exercise(opened, seed, rounds);
    EXPECT_TRUE(contents(opened, kSize) == model.bytes());
    expect_base_untouched();
  }

  std::string refusal(std::vector<Provider*> over, ParameterTexts parameters) {
    auto made = rig.try_make("overlay", "refused", std::move(over), std::move(parameters));
    return made ? "" : made.error().message;
  }

  Rig rig;
  Provider& base;
  std::vector<std::byte> image;
};

TEST_F(OverlayTest, an_untouched_one_is_the_image) {
  Provider& top = rig.make("overlay", "top", {&base});
  auto opened = rig.open(top);
  EXPECT_TRUE(contents(opened, kSize) == image);
  EXPECT_TRUE(block_status(top, {0, kSize}, 8).front().status == BlockStatus::below);
}

TEST_F(OverlayTest, random_requests_in_memory) {
  exercise(rig.make("overlay", "top", {&base}), 150, 1);
}

TEST_F(OverlayTest, random_requests_in_memory_and_a_store) {
  Provider& store = rig.make("memory", "store", {}, size_of(kSize));
  exercise(rig.make("overlay", "top", {&base, &store}, {{"memory", "300KiB"}}), 150, 2);
}

TEST_F(OverlayTest, random_requests_on_a_kept_store) {
  exercise(keep("top", fresh_store()), 150, 3);
}

// Sector by sector over the image, never all of it: what was not written shows through.
TEST_F(OverlayTest, parts_of_blocks_show_what_is_below) {
  for (const bool kept : {false, true}) {
    Provider& top = kept ? keep("kept", fresh_store()) : rig.make("overlay", "memory", {&base});
    auto opened = rig.open(top);
    std::vector<std::byte> expected = image;
    for (std::uint64_t at = 512; at < kSize; at += 1536) {
      const auto fresh = pattern(512, at);
      ASSERT_EQ(opened.write(at, fresh), Errc::ok);
      std::copy(fresh.begin(), fresh.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
    }
    EXPECT_TRUE(contents(opened, kSize) == expected);
    expect_base_untouched();
  }
}

TEST_F(OverlayTest, memory_is_bounded) {
  Provider& top = rig.make("overlay", "top", {&base}, {{"memory", "64KiB"}});
  auto opened = rig.open(top);
  EXPECT_EQ(opened.write(0, pattern(64 * kKiB)), Errc::ok);
  EXPECT_EQ(opened.write(kMiB, pattern(512)), Errc::no_space);
  EXPECT_EQ(opened.write(4096, pattern(8192)), Errc::ok);  // there is room already
  EXPECT_EQ(opened.write_zeroes(kMiB, 512 * kKiB), Errc::ok);
  EXPECT_EQ(opened.write(kMiB, pattern(512)), Errc::no_space);
  expect_base_untouched();
}

TEST_F(OverlayTest, a_kept_one_has_what_was_flushed) {
  Provider& store = fresh_store();
  auto opened = rig.open(keep("first", store));
  std::vector<std::byte> expected = image;
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto fresh = pattern(512, i);
    const std::uint64_t at = i * 4096;
    ASSERT_EQ(opened.write(at, fresh, i % 7 == 0 ? kFua : 0), Errc::ok);
    std::copy(fresh.begin(), fresh.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
    if (i % 5 == 0) {
      ASSERT_EQ(opened.flush(), Errc::ok);
    }
  }
  ASSERT_EQ(opened.flush(), Errc::ok);
  auto again = rig.open(keep("second", store));
  EXPECT_TRUE(contents(again, kSize) == expected);
  // And goes on.
  ASSERT_EQ(again.write(512, pattern(512, 7), kFua), Errc::ok);
  auto third = rig.open(keep("third", store));
  EXPECT_TRUE(contents(third, kSize) == contents(again, kSize));
  expect_base_untouched();
}

// Nobody said that it should survive.
TEST_F(OverlayTest, a_kept_one_may_lose_what_was_not_flushed) {
  Provider& store = fresh_store();
  auto opened = rig.open(keep("first", store));
  ASSERT_EQ(opened.write(0, pattern(512)), Errc::ok);
  auto again = rig.open(keep("second", store));
  EXPECT_TRUE(contents(again, kSize) == image);
}

TEST_F(OverlayTest, a_failed_map_fails_the_flush) {
  Provider& store = fresh_store();
  Provider& bad = rig.make("fault", "bad", {&store},
                           {{"op", "write"}, {"offset", std::to_string(overlay::kDataAt + kSize)}});
  auto opened = rig.open(keep("top", bad));
  EXPECT_EQ(opened.write(0, pattern(512)), Errc::ok);
  EXPECT_EQ(opened.flush(), Errc::io);
  EXPECT_EQ(opened.write(4096, pattern(512), kFua), Errc::io);
}

TEST_F(OverlayTest, what_is_not_its_own_is_refused) {
  Provider& store = fresh_store();
  Provider& other = rig.make("memory", "other", {}, size_of(kSize));
  EXPECT_THAT(refusal({&other, &store}, {{"keep", "true"}}), HasSubstr("of another image"));
  Provider& small = rig.make("memory", "small", {}, size_of(kSize / 2));
  EXPECT_THAT(refusal({&small, &store}, {{"keep", "true"}}), HasSubstr("of another image"));
  EXPECT_THAT(refusal({&base, &other}, {{"keep", "true"}}), HasSubstr("there is no overlay"));
  EXPECT_THAT(refusal({&base, &small}, {}), HasSubstr("less than base"));
  EXPECT_THAT(refusal({&base}, {{"keep", "true"}}), HasSubstr("second device"));
}

TEST_F(OverlayTest, what_was_committed_is_refused) {
  Provider& store = fresh_store();
  ASSERT_EQ(rig.open(store).write(overlay::kAppliedAt, pattern(overlay::kPageBytes)), Errc::ok);
  EXPECT_THAT(refusal({&base, &store}, {{"keep", "true"}}), HasSubstr("committed"));
}

TEST_F(OverlayTest, it_is_written_over_what_is_only_read) {
  Provider& top = rig.make("overlay", "top", {&base});
  Consumer* mine = rig.topology().attach(top, "a test");
  ASSERT_TRUE(rig.topology().set_access(*mine, {1, 1, 0}));
  EXPECT_EQ(base.access, (Access{2, 0, 1}));
  rig.topology().detach(mine);
}

// Two lanes at once, each with its own half, then each reads the other's.
TEST_F(OverlayTest, lanes_share_it) {
  Provider& store = fresh_store();
  Provider& top = keep("top", store);
  const auto program = compile(top, {}).value();
  constexpr std::uint64_t kHalf = kSize / 2;
  std::vector<std::thread> threads;
  std::vector<std::vector<std::byte>> halves(2);
  for (std::uint64_t half = 0; half < 2; ++half) {
    threads.emplace_back([&, half] {
      auto lane = Lane::create({}).value();
      auto channel = Channel::open(*lane, *program, {.writable = true}).value();
      halves[half].assign(image.begin() + static_cast<std::ptrdiff_t>(half * kHalf),
                          image.begin() + static_cast<std::ptrdiff_t>((half + 1) * kHalf));
      for (std::uint64_t i = 0; i < 300; ++i) {
        const auto fresh = pattern(512 * (1 + i % 9), half * 1000 + i);
        // Odd and even sectors of words that both lanes touch in the middle.
        const std::uint64_t at = i * 7919 * 512 % (kHalf - 8192);
        std::copy(fresh.begin(), fresh.end(),
                  halves[half].begin() + static_cast<std::ptrdiff_t>(at));
        Bio* bio = channel->allocate();
        const Segment segment{const_cast<std::byte*>(fresh.data()), fresh.size()};
        bool ended = false;
        bio->op = Op::write;
        bio->flags = i % 10 == 0 ? kFua : 0;
        bio->offset = half * kHalf + at;
        bio->length = fresh.size();
        bio->payload = {&segment, 1, 0};
        bio->user = &ended;
        bio->end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
        channel->submit(*bio);
        while (!ended) lane->wait(100);
        EXPECT_EQ(bio->error, Errc::ok);
        channel->release(*bio);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  auto opened = rig.open(top);
  ASSERT_EQ(opened.flush(), Errc::ok);
  auto again = rig.open(keep("again", store));
  const auto all = contents(again, kSize);
  EXPECT_TRUE(std::equal(halves[0].begin(), halves[0].end(), all.begin()));
  EXPECT_TRUE(std::equal(halves[1].begin(), halves[1].end(),
                         all.begin() + static_cast<std::ptrdiff_t>(kHalf)));
}

TEST_F(OverlayTest, its_status_goes_up_through_maps_and_stripes) {
  Provider& top = rig.make("overlay", "top", {&base});
  Provider& part = rig.make("linear", "part", {&top}, {{"offset", "64KiB"}});
  Provider& other = rig.make("memory", "other", {}, size_of(kSize));
  Provider& striped = rig.make("stripe", "striped", {&top, &other}, {{"chunk", "64KiB"}});
  auto opened = rig.open(top);
  ASSERT_EQ(opened.write(128 * kKiB, pattern(1024)), Errc::ok);
  ASSERT_EQ(opened.write_zeroes(256 * kKiB, 4096), Errc::ok);
  using Runs = std::vector<std::tuple<std::uint64_t, std::uint64_t, BlockStatus>>;
  const auto runs_of = [](const Provider& device) {
    Runs runs;
    for (const StatusRun& each : block_status(device, {0, device.size_bytes}, 100)) {
      if (each.status == BlockStatus::below) continue;
      runs.emplace_back(each.range.offset, each.range.length, each.status);
    }
    return runs;
  };
  EXPECT_EQ(runs_of(top), (Runs{{128 * kKiB, 1024, BlockStatus::overlay},
                                {256 * kKiB, 4096, BlockStatus::zeroed}}));
  EXPECT_EQ(runs_of(part), (Runs{{64 * kKiB, 1024, BlockStatus::overlay},
                                 {192 * kKiB, 4096, BlockStatus::zeroed}}));
  EXPECT_EQ(runs_of(striped), (Runs{{256 * kKiB, 1024, BlockStatus::overlay},
                                    {512 * kKiB, 4096, BlockStatus::zeroed}}));
  EXPECT_EQ(block_status(top, {0, kSize}, 2).size(), 2u);
}

}  // namespace
}  // namespace ashlar::test
