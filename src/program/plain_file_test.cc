// Goal: a channel tells where bytes lie in a file exactly where nothing else has to do with them,
// and keeps what it told valid for as long as somebody reads there. Method: stacks over a temporary
// file, asked in and out of range; programs replaced while a read of one's own is under way.
#include <fcntl.h>

#include "class/file/file_test_util.h"
#include "test/async.h"

namespace ashlar {
namespace {

using test::Opened;
using test::Rig;
using test::TempFile;

constexpr std::uint64_t kBytes = 1 * kMiB;

class PlainFile : public ::testing::Test {
 protected:
  Provider& disk(const char* direct = "off") {
    return rig_.make("file", "disk", {}, {{"path", file_.path()}, {"direct", direct}});
  }
  Provider& part(Provider& over, const char* name, const char* length) {
    return rig_.make("linear", name, {&over}, {{"offset", "8KiB"}, {"length", length}});
  }
  // A descriptor's number is all that is asked for: it must be one of the file.
  void expect_range(Channel& channel, std::uint64_t offset, std::uint64_t length,
                    std::uint64_t in_file) {
    const auto range = channel.plain_file(offset, length);
    ASSERT_TRUE(range);
    EXPECT_EQ(range->offset, in_file);
    EXPECT_EQ(range->length, length);
    struct stat mine = {};
    struct stat its = {};
    ASSERT_EQ(fstat(file_.fd(), &mine), 0);
    ASSERT_EQ(fstat(range->fd, &its), 0);
    EXPECT_EQ(mine.st_ino, its.st_ino);
  }

  TempFile file_{kBytes};
  Rig rig_;
};

TEST_F(PlainFile, folded_maps_add_up) {
  Provider& below = disk();
  Opened whole = rig_.open(below);
  expect_range(whole.channel(), 4096, 8192, 4096);
  expect_range(whole.channel(), 0, kBytes, 0);
  Opened nested = rig_.open(part(part(below, "outer", "64KiB"), "inner", "4KiB"));
  expect_range(nested.channel(), 512, 1024, 16 * kKiB + 512);
}

TEST_F(PlainFile, what_submit_would_refuse_is_not_told) {
  Opened device = rig_.open(part(disk(), "part", "64KiB"));
  Channel& channel = device.channel();
  expect_range(channel, 0, 64 * kKiB, 8 * kKiB);
  EXPECT_FALSE(channel.plain_file(0, 0));
  EXPECT_FALSE(channel.plain_file(512, 64 * kKiB)) << "past the end";
  EXPECT_FALSE(channel.plain_file(64 * kKiB, 512));
  EXPECT_FALSE(channel.plain_file(~std::uint64_t{511}, 1024)) << "an end past 2^64";
  EXPECT_FALSE(channel.plain_file(100, 512)) << "no block's border";
  EXPECT_FALSE(channel.plain_file(512, 100));
}

TEST_F(PlainFile, layers_that_see_requests_hide_it) {
  Provider& below = disk();
  for (const char* each : {"stats", "passthrough"}) {
    Opened device = rig_.open(rig_.make(each, each, {&below}));
    EXPECT_FALSE(device.channel().plain_file(0, 4096)) << each;
  }
  Opened queued = rig_.open(below, Dispatch::queued);
  EXPECT_FALSE(queued.channel().plain_file(0, 4096));
  Opened memory = rig_.open(rig_.make("memory", "memory", {}, {{"size", "1MiB"}}));
  EXPECT_FALSE(memory.channel().plain_file(0, 4096));
}

TEST_F(PlainFile, several_extents_hide_it) {
  Provider& below = disk();
  Provider& one = rig_.make("memory", "memory", {}, {{"size", "1MiB"}});
  Opened device = rig_.open(rig_.make("concat", "both", {&below, &one}));
  EXPECT_FALSE(device.channel().plain_file(0, 4096));
}

TEST_F(PlainFile, direct_io_does_not_go_through_the_page_cache) {
  Provider& direct = disk("auto");
  if (test::status_of(direct, "io").starts_with("buffered")) {
    GTEST_SKIP() << "no direct I/O here";
  }
  Opened device = rig_.open(direct);
  EXPECT_FALSE(device.channel().plain_file(0, 4096));
}

TEST_F(PlainFile, what_is_measured_takes_the_ordinary_way) {
  Opened device = rig_.open(disk());
  Channel& channel = device.channel();
  ASSERT_TRUE(channel.count_layers(true).ok());
  EXPECT_FALSE(channel.plain_file(0, 4096));
  ASSERT_TRUE(channel.count_layers(false).ok());
  EXPECT_TRUE(channel.plain_file(0, 4096));
  ASSERT_TRUE(channel.measure_latency(16).ok());
  EXPECT_FALSE(channel.plain_file(0, 4096));
  ASSERT_TRUE(channel.measure_latency(0).ok());
  EXPECT_TRUE(channel.plain_file(0, 4096));
}

TEST_F(PlainFile, an_orphan_has_none) {
  Provider& below = disk();
  Opened device = rig_.open(below);
  EXPECT_TRUE(device.channel().plain_file(0, 4096));
  rig_.topology().orphan(below, Errc::gone);
  EXPECT_FALSE(device.channel().plain_file(0, 4096));
}

// What a channel's listener is told of.
struct Retired final : ChannelListener {
  void on_retired(Channel&) noexcept override { ++count; }
  void on_closed(Channel&) noexcept override {}
  int count = 0;
};

TEST_F(PlainFile, a_read_of_ones_own_counts_and_keeps_its_program) {
  Provider& below = disk();
  auto first = compile(below, {}).value();
  auto second = compile(rig_.make("stats", "above", {&below}), {}).value();
  Retired retired;
  auto channel = Channel::open(rig_.lane(), *first, {.listener = &retired}).value();
  ASSERT_TRUE(channel->plain_file(0, 4096));
  Bio* bio = channel->allocate();
  channel->begin_own_read(*bio);
  EXPECT_EQ(channel->requests(), 1u);
  EXPECT_EQ(channel->in_flight(), 1u);
  ASSERT_TRUE(channel->replace(*second).ok());
  EXPECT_FALSE(channel->plain_file(0, 4096));
  EXPECT_TRUE(channel->uses(*first));
  EXPECT_EQ(channel->in_flight(), 1u);
  channel->end_own_read(*bio);
  EXPECT_EQ(channel->in_flight(), 0u);
  EXPECT_TRUE(channel->uses(*first)) << "the bio is of its pool";
  EXPECT_EQ(retired.count, 0);
  channel->release(*bio);
  EXPECT_FALSE(channel->uses(*first));
  EXPECT_EQ(retired.count, 1);
  EXPECT_EQ(channel->requests(), 1u);
}

TEST_F(PlainFile, the_descriptor_stays_while_access_changes) {
  Provider& below = disk();
  Opened device = rig_.open(below);
  const int before = device.channel().plain_file(0, 4096)->fd;
  Consumer& user = *rig_.topology().attach(below, "test");
  ASSERT_TRUE(rig_.topology().set_access(user, {1, 1, 0}).ok());
  expect_range(device.channel(), 0, 4096, 0);
  ASSERT_TRUE(rig_.topology().set_access(user, {1, 0, 0}).ok());
  expect_range(device.channel(), 0, 4096, 0);
  EXPECT_EQ(device.channel().plain_file(0, 4096)->fd, before);
}

}  // namespace
}  // namespace ashlar
