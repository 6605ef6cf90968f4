// Goal: a node tells what each of its channels has counted, by device and caller, layer and
// operation, without touching a channel from another thread; what is switched on reaches open and
// later channels; a lane that does not answer, or closes, holds nobody up.
// Method: a memory disk under layers; the node is asked in a thread of its own while the test
// drives the lanes. Last, lanes with verified load, changes of the stack and questions all at once,
// for ThreadSanitizer to look at.
#include "node/counters.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "io/sync_device.h"
#include "test/live_load.h"

namespace ashlar {
namespace {

using test::LiveLoad;
using test::LiveTally;

constexpr std::size_t kBlock = 4096;

class Counters : public testing::Test {
 protected:
  Counters() { make("memory", "disk", {}, {{"size", "1MiB"}, {"block", "4KiB"}}); }

  void make(std::string_view class_name, const std::string& name,
            const std::vector<std::string>& over = {}, ParameterTexts parameters = {}) {
    CreateRequest request{name, {}, std::move(parameters)};
    for (const std::string& each : over) {
      request.over.push_back(node_->topology().find(each).value());
    }
    auto geom = node_->add_geom(class_name, std::move(request), false);
    if (!geom) ADD_FAILURE() << geom.error().message;
  }

  struct Caller {
    Caller(Node& node, const std::string& name, const std::string& user)
        : device(node.open(name, {.write = true, .user = user}).value()),
          channel(device->channel(*lane).value()) {}
    Errc read(std::uint64_t bytes) {
      memory.resize(bytes);
      return SyncDevice(*channel).read(0, memory);
    }
    Errc write(std::uint64_t bytes) {
      memory.resize(bytes);
      return SyncDevice(*channel).write(0, memory);
    }
    std::unique_ptr<Lane> lane = Lane::create({}).value();
    std::unique_ptr<Device> device;
    std::unique_ptr<Channel> channel;
    std::vector<std::byte> memory;
  };

  // Asks while `lanes` run.
  std::vector<DeviceCounters> ask(const std::vector<Caller*>& callers) {
    auto answer = std::async(std::launch::async, [&] { return node_->counters(60'000); });
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      for (Caller* each : callers) each->lane->wait(1);
    }
    return answer.get();
  }

  std::unique_ptr<Node> node_ = Node::create({}).value();
};

TEST_F(Counters, are_there_for_each_caller_of_each_device) {
  make("memory", "other", {}, {{"size", "1MiB"}});
  Caller first(*node_, "disk", "first"), second(*node_, "disk", "second"),
      third(*node_, "other", "third");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(first.read(kBlock), Errc::ok);
  EXPECT_EQ(third.read(kBlock), Errc::ok);
  // A bare bio has no room for a frame.
  Bio bare;
  bool ended = false;
  bare.op = Op::flush;
  bare.user = &ended;
  bare.end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  first.channel->submit(bare);
  while (!ended) first.lane->wait(1);

  const auto all = ask({&first, &second, &third});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].device, "disk");
  EXPECT_EQ(all[1].device, "other");
  ASSERT_EQ(all[0].channels.size(), 2u);
  const ChannelCounters& mine = all[0].channels[0];
  EXPECT_EQ(mine.user, "first");
  EXPECT_FALSE(mine.silent);
  EXPECT_EQ(mine.requests, 4u);
  EXPECT_EQ(mine.short_frames, 1u);
  EXPECT_EQ(mine.shortages, 0u);
  EXPECT_EQ(mine.frame_bytes, first.channel->frame_bytes());
  EXPECT_TRUE(mine.layers.empty());
  EXPECT_FALSE(mine.latency.has_value());
  EXPECT_EQ(all[0].channels[1].user, "second");
  EXPECT_EQ(all[0].channels[1].requests, 0u);
  EXPECT_EQ(all[1].channels.at(0).requests, 1u);
}

TEST_F(Counters, of_layers_are_by_operation_and_reach_open_and_later_channels) {
  make("fault", "bad", {"disk"}, {{"op", "write"}});
  Caller first(*node_, "bad", "first");
  EXPECT_EQ(first.read(kBlock), Errc::ok);
  ASSERT_TRUE(node_->count("bad", {.layers = true, .latency_every = 3}).ok());
  first.lane->wait(0);
  Caller later(*node_, "bad", "later");
  EXPECT_EQ(first.read(2 * kBlock), Errc::ok);
  EXPECT_EQ(first.write(kBlock), Errc::io);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(later.read(kBlock), Errc::ok);

  auto all = ask({&first, &later});
  ASSERT_EQ(all.at(0).channels.size(), 2u);
  const ChannelCounters& mine = all[0].channels[0];
  ASSERT_EQ(mine.layers.size(), 2u);
  EXPECT_EQ(mine.layers[0].device, "bad");
  EXPECT_EQ(mine.layers[0].class_name, "fault");
  EXPECT_EQ(mine.layers[1].device, "disk");
  const auto of = [&](std::size_t layer, Op op) {
    return mine.layers[layer].ops[static_cast<std::size_t>(op)];
  };
  EXPECT_EQ(of(0, Op::read).requests, 1u);
  EXPECT_EQ(of(0, Op::read).bytes, 2 * kBlock);
  EXPECT_EQ(of(0, Op::read).errors, 0u);
  EXPECT_EQ(of(0, Op::write).requests, 1u);
  EXPECT_EQ(of(0, Op::write).errors, 1u);
  EXPECT_EQ(of(1, Op::read).requests, 1u);
  EXPECT_EQ(of(1, Op::write).requests, 0u);
  const ChannelCounters& other = all[0].channels[1];
  ASSERT_EQ(other.layers.size(), 2u);
  EXPECT_EQ(other.layers[1].ops[0].requests, 8u);
  ASSERT_TRUE(other.latency.has_value());
  EXPECT_EQ(other.latency->every, 4u);
  EXPECT_EQ(other.latency->count, 2u);
  EXPECT_LE(other.latency->p50_ns, other.latency->p99_ns);
  EXPECT_LE(other.latency->p99_ns, other.latency->max_ns);

  // One of them is switched off, the other stays.
  ASSERT_TRUE(node_->count("bad", {.layers = false}).ok());
  all = ask({&first, &later});
  EXPECT_TRUE(all[0].channels[1].layers.empty());
  EXPECT_TRUE(all[0].channels[1].latency.has_value());
  EXPECT_FALSE(node_->count("nowhere", {.layers = true}).ok());
}

// What a channel's own user has it count is his.
TEST_F(Counters, change_of_the_stack_keeps_what_is_counted) {
  Caller caller(*node_, "disk", "a user");
  ASSERT_TRUE(caller.channel->measure_latency(8).ok());
  ASSERT_TRUE(node_->count("disk", {.layers = true}).ok());
  ASSERT_TRUE(node_->insert("disk", "stats", "seen").ok());
  caller.lane->wait(0);
  EXPECT_EQ(caller.read(kBlock), Errc::ok);
  auto all = ask({&caller});
  EXPECT_EQ(all.at(0).device, "seen");
  ASSERT_EQ(all[0].channels.at(0).layers.size(), 2u);
  EXPECT_EQ(all[0].channels[0].layers[0].class_name, "stats");
  EXPECT_EQ(all[0].channels[0].latency->every, 8u);
  // A device has one setting, whichever of its names it is given by.
  ASSERT_TRUE(node_->count("seen", {.layers = false}).ok());
  Caller later(*node_, "disk", "later");
  all = ask({&caller, &later});
  EXPECT_TRUE(all[0].channels.at(0).layers.empty());
  EXPECT_TRUE(all[0].channels.at(1).layers.empty());
}

TEST_F(Counters, a_lane_that_does_not_poll_is_silent) {
  Caller idle(*node_, "disk", "idle"), busy(*node_, "disk", "busy");
  EXPECT_EQ(idle.read(kBlock), Errc::ok);
  for (int i = 0; i < 3; ++i) {
    const auto all = node_->counters(1);
    ASSERT_EQ(all.at(0).channels.size(), 2u);
    EXPECT_TRUE(all[0].channels[0].silent);
    EXPECT_EQ(all[0].channels[0].user, "idle");
  }
  // It answers when it is back, the question that is asked then.
  const auto all = ask({&idle, &busy});
  EXPECT_FALSE(all[0].channels[0].silent);
  EXPECT_EQ(all[0].channels[0].requests, 1u);
}

TEST_F(Counters, a_channel_that_closes_is_not_waited_for) {
  Caller stays(*node_, "disk", "stays");
  auto leaves = std::make_unique<Caller>(*node_, "disk", "leaves");
  auto answer = std::async(std::launch::async, [&] { return node_->counters(60'000); });
  // The question is on its way to both lanes when the first has it.
  while (!stays.lane->wants_poll()) std::this_thread::yield();
  while (!leaves->lane->wants_poll()) std::this_thread::yield();
  leaves.reset();
  stays.lane->wait(0);
  const auto all = answer.get();
  ASSERT_EQ(all.at(0).channels.size(), 1u);
  EXPECT_EQ(all[0].channels[0].user, "stays");
}

TEST_F(Counters, under_load_and_changes_add_up) {
  constexpr unsigned kLanes = 2, kDepth = 4;
  LiveTally tally;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kLanes; ++i) {
    threads.emplace_back([&, i] {
      LiveLoad load(*node_, "disk", i, kDepth, i + 1, tally);
      for (unsigned session = 0; !stop && tally.wrong == 0; ++session) {
        load.run(100);
        if (session % 4 == 3) load.reopen();
      }
      load.verify();
    });
  }
  std::uint64_t seen = 0, counted = 0;
  for (int round = 0; round < 30; ++round) {
    const bool on = round % 3 != 2;
    ASSERT_TRUE(node_->count("disk", {.layers = on, .latency_every = on ? 2 : 0}).ok());
    if (round % 5 == 1) {
      ASSERT_TRUE(node_->insert("disk", "stats", "seen").ok());
    }
    if (round % 5 == 3) {
      ASSERT_TRUE(node_->remove("seen").ok());
    }
    const std::uint64_t target = tally.ended + 50;
    while (tally.ended < target && tally.wrong == 0) std::this_thread::yield();
    for (const DeviceCounters& device : node_->counters()) {
      for (const ChannelCounters& each : device.channels) {
        seen += each.requests;
        EXPECT_EQ(each.short_frames, 0u);
        for (const LayerCounters& layer : each.layers) counted += layer.ops[0].requests;
      }
    }
  }
  stop = true;
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(tally.wrong, 0u);
  EXPECT_EQ(tally.failed, 0u);
  EXPECT_GT(seen, 0u);
  EXPECT_GT(counted, 0u);
}

}  // namespace
}  // namespace ashlar
