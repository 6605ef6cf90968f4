// Goal: every byte lies on the member and at the place that RAID 0 says, however a request is cut.
// Method: stripes of many shapes over memory against a model, in both dispatch modes; each member
// is read back alone and compared with an address computed byte by byte; how many requests reach
// the members is counted with the class fault, which numbers what it sees.
#include "test/model.h"

namespace ashlar {
namespace {

using test::Model;
using test::Opened;
using test::pattern;
using test::Rig;

class StripeModes : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, StripeModes, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

struct Shape {
  std::vector<std::string> sizes;
  std::vector<std::string> blocks;  // one each, or one for all
  std::uint64_t chunk;
  std::uint64_t size;  // of the stripe
};

void check_placement(Dispatch dispatch, const Shape& shape) {
  SCOPED_TRACE(std::to_string(shape.sizes.size()) + " members, chunk " +
               std::to_string(shape.chunk));
  Rig rig;
  std::vector<Provider*> below;
  std::uint64_t block = 512;
  for (std::size_t i = 0; i < shape.sizes.size(); ++i) {
    const std::string& its_block = shape.blocks[std::min(i, shape.blocks.size() - 1)];
    below.push_back(&rig.make("memory", "disk" + std::to_string(i), {},
                              {{"size", shape.sizes[i]}, {"block", its_block}}));
    block = std::max<std::uint64_t>(block, std::stoul(its_block));
  }
  Provider& stripe = rig.make("stripe", "s", below, {{"chunk", std::to_string(shape.chunk)}});
  ASSERT_EQ(stripe.size_bytes, shape.size);
  ASSERT_EQ(stripe.limits.block_bytes, block);
  Opened device = rig.open(stripe, dispatch);
  Model model(stripe.size_bytes, block);
  model.exercise(device, 17, 500);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(test::contents(device, stripe.size_bytes), model.bytes());

  std::vector<std::vector<std::byte>> expected;
  for (Provider* each : below) expected.emplace_back(each->size_bytes);
  for (std::uint64_t byte = 0; byte < model.bytes().size(); ++byte) {
    const std::uint64_t chunk = byte / shape.chunk;
    const std::uint64_t place = chunk / below.size() * shape.chunk + byte % shape.chunk;
    expected[chunk % below.size()][place] = model.bytes()[byte];
    const auto located = stripe.geom->body().locate(0, byte, 0);
    ASSERT_EQ(located.size(), 1u);
    ASSERT_EQ(located[0].consumer, chunk % below.size());
    ASSERT_EQ(located[0].offset, place);
  }
  for (std::size_t i = 0; i < below.size(); ++i) {
    Opened alone = rig.open(*below[i]);
    EXPECT_EQ(test::contents(alone, below[i]->size_bytes), expected[i]) << "member " << i;
  }
}

TEST_P(StripeModes, two_members) {
  check_placement(GetParam(), {{"64KiB", "64KiB"}, {"512"}, 4096, 128 * kKiB});
}

TEST_P(StripeModes, one_member) {
  check_placement(GetParam(), {{"64KiB"}, {"512"}, 4096, 64 * kKiB});
}

TEST_P(StripeModes, members_of_unequal_size_count_as_the_smallest) {
  check_placement(GetParam(), {{"64KiB", "41KiB", "100KiB"}, {"512"}, 4096, 120 * kKiB});
}

TEST_P(StripeModes, a_chunk_that_is_no_power_of_two) {
  check_placement(GetParam(),
                  {{"60KiB", "60KiB", "61KiB", "70KiB", "60KiB"}, {"512"}, 3 * 512, 5 * 60 * kKiB});
}

TEST_P(StripeModes, block_sizes_mixed) {
  check_placement(GetParam(),
                  {{"64KiB", "64KiB", "66KiB"}, {"512", "4096", "512"}, 8192, 192 * kKiB});
}

TEST_P(StripeModes, requests_of_more_chunks_than_one_may_have_children) {
  check_placement(GetParam(), {{"64KiB", "64KiB"}, {"512"}, 512, 128 * kKiB});
}

TEST_P(StripeModes, more_members_than_one_request_has_pieces) {
  check_placement(GetParam(), {std::vector<std::string>(100, "2KiB"), {"512"}, 512, 200 * kKiB});
}

// A stripe whose members count the requests that reach them.
class CountedStripe : public testing::Test {
 protected:
  Opened open(int members, ParameterTexts parameters) {
    std::vector<Provider*> counted;
    for (int i = 0; i < members; ++i) {
      const std::string name = std::to_string(i);
      Provider& disk = rig_.make("memory", "disk" + name, {}, {{"size", "1MiB"}});
      // The fault never comes: the millionth request.
      counted.push_back(&rig_.make("fault", "count" + name, {&disk}, {{"nth", "1000000"}}));
    }
    counted_ = counted;
    return rig_.open(rig_.make("stripe", "s", counted, std::move(parameters)));
  }

  int requests() {
    int sum = 0;
    for (Provider* each : counted_) {
      for (const auto& [key, value] : each->geom->body().status()) {
        if (key == "matched") sum += std::stoi(value);
      }
    }
    return sum;
  }

  Rig rig_;
  std::vector<Provider*> counted_;
};

TEST_F(CountedStripe, a_request_within_a_chunk_stays_whole) {
  Opened device = open(3, {{"chunk", "4KiB"}});
  std::vector<std::byte> buffer(4096);
  EXPECT_EQ(device.read(8192, buffer), Errc::ok);
  EXPECT_EQ(requests(), 1);
  EXPECT_EQ(device.read(8192 + 512, buffer), Errc::ok);
  EXPECT_EQ(requests(), 3);
  EXPECT_EQ(device.write_zeroes(4096, 4096), Errc::ok);
  EXPECT_EQ(requests(), 4);
}

TEST_F(CountedStripe, a_range_without_payload_costs_one_request_a_member) {
  Opened device = open(3, {{"chunk", "4KiB"}});
  EXPECT_EQ(device.discard(0, 3 * kMiB - 3 * 4096), Errc::ok);
  EXPECT_EQ(requests(), 3);
  EXPECT_EQ(device.write_zeroes(512, 2 * kMiB), Errc::ok);
  EXPECT_EQ(requests(), 6);
  EXPECT_EQ(device.discard(4096 - 512, 1024), Errc::ok);
  EXPECT_EQ(requests(), 8);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(requests(), 11);
}

TEST_F(CountedStripe, a_long_request_costs_one_request_a_chunk) {
  Opened device = open(2, {{"chunk", "4KiB"}});
  std::vector<std::byte> buffer(kMiB);
  EXPECT_EQ(device.read(4096 - 512, buffer), Errc::ok);
  EXPECT_GE(requests(), 257);
  EXPECT_LE(requests(), 257 + 5);  // 5 cuts by the longest request, 63 chunks
}

TEST_P(StripeModes, an_error_of_one_member_fails_what_touches_it) {
  Rig rig;
  Provider& a = rig.make("memory", "a", {}, {{"size", "64KiB"}});
  Provider& b = rig.make("memory", "b", {}, {{"size", "64KiB"}});
  Provider& bad = rig.make("fault", "bad", {&b}, {{"error", "timed_out"}});
  Opened device = rig.open(rig.make("stripe", "s", {&a, &bad}, {{"chunk", "4KiB"}}), GetParam());
  std::vector<std::byte> buffer(4096);
  EXPECT_EQ(device.read(8192, buffer), Errc::ok);
  EXPECT_EQ(device.read(4096, buffer), Errc::timed_out);
  EXPECT_EQ(device.write(512, buffer), Errc::timed_out);
  EXPECT_EQ(device.discard(0, 65536), Errc::timed_out);
  EXPECT_EQ(device.flush(), Errc::timed_out);
}

TEST(Stripe, follows_the_smallest_member) {
  Rig rig;
  Provider& a = rig.make("null", "a", {}, {{"size", "64KiB"}});
  Provider& b = rig.make("null", "b", {}, {{"size", "80KiB"}});
  Provider& stripe = rig.make("stripe", "s", {&a, &b}, {{"chunk", "8KiB"}});
  EXPECT_EQ(stripe.size_bytes, 128 * kKiB);
  rig.topology().resize(a, 90 * kKiB);
  EXPECT_EQ(stripe.size_bytes, 160 * kKiB);
  rig.topology().resize(b, 20 * kKiB);
  EXPECT_EQ(stripe.size_bytes, 32 * kKiB);
  rig.topology().resize(b, 1024);
  EXPECT_EQ(stripe.size_bytes, 0u);
  std::vector<std::byte> buffer(512);
  EXPECT_EQ(rig.open(stripe).read(0, buffer), Errc::out_of_range);
}

TEST(Stripe, refuses_members_and_chunks_that_do_not_fit) {
  Rig rig;
  Provider& small = rig.make("memory", "small", {}, {{"size", "4KiB"}});
  Provider& blocks = rig.make("memory", "blocks", {}, {{"size", "64KiB"}, {"block", "4096"}});
  Provider& huge = rig.make("null", "huge", {}, {{"size", "9223372036854775296"}});
  struct Case {
    std::vector<Provider*> over;
    std::string chunk;
    std::string_view sentence;
  };
  const Case cases[] = {
      {{&blocks, &small}, "8KiB", "stripe: small has 4096 bytes, less than one chunk of 8192"},
      {{&small, &blocks},
       "512",
       "stripe: chunk = 512 is not a multiple of the block size 4096 of blocks"},
      {{&small}, "1000", "stripe: chunk = 1000 is not a multiple of the block size 512 of small"},
      {{&small}, "256", "stripe: chunk = '256' is outside 512 to 1073741824"},
      {{&small}, "2GiB", "stripe: chunk = '2GiB' is outside 512 to 1073741824"},
      {{&huge, &huge, &huge},
       "512",
       "stripe: the device would have more than 9223372036854775296 bytes"},
      {{}, "512", "stripe: 's' is over 0 devices, the class takes 1 to 4096"},
  };
  for (const Case& each : cases) {
    const auto refused = rig.try_make("stripe", "s", each.over, {{"chunk", each.chunk}});
    ASSERT_FALSE(refused.ok()) << each.sentence;
    EXPECT_EQ(refused.error().message, each.sentence);
  }
}

}  // namespace
}  // namespace ashlar
