// Goal: what only the class `cache` does: hits ask nobody, dirty bytes wait for a flush or a close,
// errors of writing back are told until they are over, a reader in sequence has more read for him.
// Method: a node with a cache over fault and stats over memory; what reached the memory is read
// from it, and counted by stats; a thread for each of several lanes.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "io/sync_device.h"
#include "node/node.h"

namespace ashlar {
namespace {

class CachedDevice : public ::testing::Test {
 protected:
  void make(ParameterTexts parameters, ParameterTexts faults = {{"rate", "0"}}) {
    add("memory", "disk", {}, {{"size", "4MiB"}});
    add("fault", "fault", "disk", std::move(faults));
    add("stats", "count", "fault", {});
    add("cache", "cache", "count", std::move(parameters));
  }

  void add(std::string_view class_name, std::string name, std::string_view over,
           ParameterTexts parameters) {
    CreateRequest request{std::move(name), {}, std::move(parameters)};
    if (!over.empty()) {
      node_->inspect([&](const Topology& topology) {
        request.over = {*const_cast<Topology&>(topology).find(over)};
      });
    }
    auto made = node_->add_geom(class_name, std::move(request), false);
    ASSERT_TRUE(made) << made.error().message;
  }

  std::string status(std::string_view geom, std::string_view key) {
    return node_->inspect([&](const Topology& topology) -> std::string {
      const Provider& device = **const_cast<Topology&>(topology).find(geom);
      for (const auto& [name, value] : device.geom->body().status()) {
        if (name == key) return value;
      }
      return "no such line";
    });
  }

  struct Open {
    std::unique_ptr<Lane> lane;
    std::unique_ptr<Device> device;
    std::unique_ptr<Channel> channel;
    std::unique_ptr<SyncDevice> io;
  };
  Open open(std::string_view name, bool write) {
    Open all;
    all.lane = Lane::create({}).value();
    all.device = node_->open(name, {.write = write}).value();
    all.channel = all.device->channel(*all.lane).value();
    all.io = std::make_unique<SyncDevice>(*all.channel);
    return all;
  }

  // The first byte of each block of 4 KiB, as the memory has it.
  std::byte below(std::uint64_t offset) {
    std::vector<std::byte> bytes(512);
    EXPECT_EQ(open("disk", false).io->read(offset, bytes), Errc::ok);
    return bytes[0];
  }

  std::unique_ptr<Node> node_ = Node::create({.writable = true}).value();
};

std::vector<std::byte> block_of(int value, std::size_t length = 4096) {
  return std::vector<std::byte>(length, static_cast<std::byte>(value));
}

TEST_F(CachedDevice, a_hit_asks_nobody) {
  make({{"read_ahead", "0"}});
  auto cache = open("cache", true);
  std::vector<std::byte> bytes(512);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(cache.io->read(512u * 7, bytes), Errc::ok);
  EXPECT_EQ(status("cache", "misses"), "1");
  EXPECT_EQ(status("cache", "hits"), "7");
  EXPECT_EQ(status("cache", "held"), "4 KiB");
}

TEST_F(CachedDevice, what_is_written_through_is_below_and_held) {
  make({});
  auto cache = open("cache", true);
  EXPECT_EQ(cache.io->write(8192, block_of(5)), Errc::ok);
  EXPECT_EQ(below(8192), std::byte{5});
  std::vector<std::byte> bytes(4096);
  EXPECT_EQ(cache.io->read(8192, bytes), Errc::ok);
  EXPECT_EQ(bytes, block_of(5));
  EXPECT_EQ(status("cache", "hits"), "1");
}

TEST_F(CachedDevice, what_is_written_back_is_below_after_a_flush) {
  make({{"mode", "write_back"}});
  auto cache = open("cache", true);
  EXPECT_EQ(cache.io->write(8192, block_of(5)), Errc::ok);
  EXPECT_EQ(cache.io->write(512, block_of(6, 512)), Errc::ok);  // a part of a block
  EXPECT_EQ(below(8192), std::byte{0});
  EXPECT_EQ(status("cache", "dirty"), "8 KiB");
  EXPECT_EQ(cache.io->flush(), Errc::ok);
  EXPECT_EQ(below(8192), std::byte{5});
  EXPECT_EQ(below(0), std::byte{0});
  EXPECT_EQ(below(512), std::byte{6});
  EXPECT_EQ(status("cache", "dirty"), "0 B");
}

TEST_F(CachedDevice, fua_goes_through) {
  make({{"mode", "write_back"}});
  auto cache = open("cache", true);
  EXPECT_EQ(cache.io->write(8192, block_of(5), kFua), Errc::ok);
  EXPECT_EQ(below(8192), std::byte{5});
  EXPECT_EQ(status("cache", "dirty"), "0 B");
}

TEST_F(CachedDevice, no_more_is_dirty_than_may_be) {
  make({{"mode", "write_back"}, {"memory", "256KiB"}, {"dirty", "32KiB"}});
  auto cache = open("cache", true);
  for (std::uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(cache.io->write(i * 8192, block_of(static_cast<int>(i % 250 + 1))), Errc::ok);
  }
  EXPECT_EQ(below(0), std::byte{1});
  EXPECT_EQ(cache.io->flush(), Errc::ok);
  for (std::uint64_t i = 0; i < 200; ++i) {
    EXPECT_EQ(below(i * 8192), static_cast<std::byte>(i % 250 + 1));
  }
}

TEST_F(CachedDevice, a_close_writes_what_its_user_left_behind) {
  make({{"mode", "write_back"}});
  {
    auto cache = open("cache", true);
    EXPECT_EQ(cache.io->write(8192, block_of(5)), Errc::ok);
  }
  EXPECT_EQ(below(8192), std::byte{5});
  EXPECT_TRUE(node_->doubts().empty());
}

TEST_F(CachedDevice, a_close_that_cannot_write_says_so_and_loses_nothing) {
  make({{"mode", "write_back"}}, {{"op", "write"}, {"count", "1"}});
  {
    auto cache = open("cache", true);
    EXPECT_EQ(cache.io->write(8192, block_of(5)), Errc::ok);
  }
  ASSERT_EQ(node_->doubts().size(), 1u);
  EXPECT_EQ(node_->doubts()[0].device, "cache");
  auto cache = open("cache", true);
  EXPECT_EQ(cache.io->flush(), Errc::ok);
  EXPECT_EQ(below(8192), std::byte{5});
}

TEST_F(CachedDevice, what_others_wrote_below_while_it_was_closed_is_seen) {
  make({});
  std::vector<std::byte> bytes(4096);
  EXPECT_EQ(open("cache", false).io->read(8192, bytes), Errc::ok);
  EXPECT_EQ(open("disk", true).io->write(8192, block_of(7)), Errc::ok);
  EXPECT_EQ(open("cache", false).io->read(8192, bytes), Errc::ok);
  EXPECT_EQ(bytes, block_of(7));
}

TEST_F(CachedDevice, every_flush_says_what_could_not_be_written_until_it_is) {
  make({{"mode", "write_back"}}, {{"op", "write"}, {"count", "2"}});
  auto cache = open("cache", true);
  EXPECT_EQ(cache.io->write(8192, block_of(5)), Errc::ok);
  EXPECT_EQ(cache.io->flush(), Errc::io);
  EXPECT_EQ(cache.io->flush(), Errc::io);
  std::vector<std::byte> bytes(4096);
  EXPECT_EQ(cache.io->read(8192, bytes), Errc::ok);
  EXPECT_EQ(bytes, block_of(5));
  EXPECT_EQ(cache.io->flush(), Errc::ok);
  EXPECT_EQ(below(8192), std::byte{5});
}

TEST_F(CachedDevice, a_bad_sector_fails_those_who_ask_for_it_alone) {
  make({{"block", "16KiB"}}, {{"offset", "20KiB"}, {"length", "512"}});
  auto cache = open("cache", true);
  std::vector<std::byte> bytes(4096);
  EXPECT_EQ(cache.io->read(std::uint64_t{16} * kKiB, bytes), Errc::ok);
  EXPECT_EQ(cache.io->read(std::uint64_t{20} * kKiB, bytes), Errc::io);
  EXPECT_EQ(cache.io->read(std::uint64_t{24} * kKiB, bytes), Errc::ok);
}

TEST_F(CachedDevice, a_reader_in_sequence_has_more_read_for_him) {
  make({});
  auto cache = open("cache", false);
  std::vector<std::byte> bytes(4096);
  for (std::uint64_t at = 0; at < kMiB; at += 4096) {
    EXPECT_EQ(cache.io->read(at, bytes), Errc::ok);
  }
  EXPECT_GT(std::stoul(status("cache", "hits")), 200u);
}

TEST_F(CachedDevice, refuses_what_makes_no_sense) {
  add("memory", "disk", {}, {{"size", "4MiB"}});
  const auto refusal = [&](ParameterTexts parameters) {
    CreateRequest request{"cache", {}, std::move(parameters)};
    node_->inspect([&](const Topology& topology) {
      request.over = {*const_cast<Topology&>(topology).find("disk")};
    });
    auto made = node_->add_geom("cache", std::move(request), false);
    return made ? std::string("none") : made.error().message;
  };
  EXPECT_NE(refusal({{"mode", "never"}}).find("write_back"), std::string::npos);
  EXPECT_NE(refusal({{"block", "5000"}}).find("power of two"), std::string::npos);
  EXPECT_NE(refusal({{"block", "1MiB"}, {"memory", "4MiB"}}).find("fewer than 32"),
            std::string::npos);
  EXPECT_NE(refusal({{"mode", "write_back"}, {"memory", "1MiB"}, {"dirty", "768KiB"}}).find("half"),
            std::string::npos);
}

// Each lane writes its own blocks of one device; a flush of one of them writes those of all.
TEST_F(CachedDevice, a_flush_writes_what_every_lane_has_written) {
  make({{"mode", "write_back"}, {"memory", "512KiB"}});
  constexpr std::uint64_t kLanes = 3;
  constexpr std::uint64_t kBlocks = 64;
  auto device = node_->open("cache", {.write = true}).value();
  std::vector<std::thread> threads;
  for (std::uint64_t lane = 0; lane < kLanes; ++lane) {
    threads.emplace_back([&, lane] {
      auto mine = Lane::create({}).value();
      auto channel = device->channel(*mine).value();
      SyncDevice io(*channel);
      for (std::uint64_t i = 0; i < kBlocks; ++i) {
        // Neighbours of other lanes' in the same block of the cache.
        const std::uint64_t at = i * 4096 + lane * 512;
        EXPECT_EQ(io.write(at, block_of(static_cast<int>(lane + 1), 512)), Errc::ok);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  auto lane = Lane::create({}).value();
  auto channel = device->channel(*lane).value();
  SyncDevice io(*channel);
  EXPECT_EQ(io.flush(), Errc::ok);
  for (std::uint64_t i = 0; i < kBlocks; ++i) {
    for (std::uint64_t at = 0; at < kLanes; ++at) {
      EXPECT_EQ(below(i * 4096 + at * 512), static_cast<std::byte>(at + 1));
    }
  }
}

}  // namespace
}  // namespace ashlar
