// Goal: a simulated disk keeps what a disk must keep through a power cut, loses what it may lose,
// and does both often; a disk that lies is found to.
// Method: one disk in a small world, requests by hand, many seeds; what is on the medium afterwards
// is compared with what may be there, and each outcome that is allowed must be seen.
#include "sim/disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>

#include "program/channel.h"
#include "program/compiler.h"
#include "sim/disk_class.h"
#include "sim/world.h"

namespace ashlar::sim {
namespace {

constexpr std::uint64_t kSize = 8 * kKiB;

class Bench {
 public:
  explicit Bench(std::uint64_t seed, DiskOptions options = {})
      : world_(seed, trace_), disk(0, seed, with_size(options), trace_), lane_(world_.add_lane()) {
    Provider& top = *make_disk(topology_, disk).value();
    program_ = compile(top, {.clock = &world_.clock(), .workers = &world_}).value();
    channel_ = Channel::open(lane_, *program_, {.writable = true}).value();
  }
  ~Bench() {
    disk.cut_power(0);
    while (world_.step()) {
    }
    for (Bio* each : bios_) channel_->release(*each);
  }

  // Starts a request for `sectors` sectors full of `letter`.
  Bio& start(Op op, std::uint64_t sector, std::uint64_t sectors, char letter = 0,
             std::uint8_t flags = 0) {
    Bio& bio = *channel_->allocate();
    bios_.push_back(&bio);
    memory_.emplace_back(sectors * 512, static_cast<std::byte>(letter));
    segments_.push_back({memory_.back().data(), memory_.back().size()});
    bio.op = op;
    bio.flags = flags;
    bio.offset = sector * 512;
    bio.length = sectors * 512;
    bio.payload = has_payload(op) ? Payload{&segments_.back(), 1, 0} : Payload{};
    bio.user = nullptr;
    bio.end_io = [](Bio& done) noexcept { done.user = &done; };
    channel_->submit(bio);
    return bio;
  }
  Errc wait(Bio& bio) {
    while (bio.user == nullptr) EXPECT_TRUE(world_.step());
    return bio.error;
  }
  Errc run(Op op, std::uint64_t sector, std::uint64_t sectors, char letter = 0,
           std::uint8_t flags = 0) {
    return wait(start(op, sector, sectors, letter, flags));
  }
  // The first letter of each sector on the medium, '.' for zero.
  std::string medium(std::uint64_t sectors) {
    std::string text;
    for (std::uint64_t i = 0; i < sectors; ++i) {
      const char letter = static_cast<char>(disk.medium()[i * 512]);
      text += letter == 0 ? '.' : letter;
    }
    return text;
  }
  void cut() { disk.cut_power(world_.now_ns()); }

 private:
  static DiskOptions with_size(DiskOptions options) {
    options.size_bytes = kSize;
    options.latency_ns = 1000;
    return options;
  }

  Trace trace_;
  World world_;

 public:
  Disk disk;

 private:
  Topology topology_;
  Lane& lane_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Channel> channel_;
  std::vector<Bio*> bios_;
  std::deque<std::vector<std::byte>> memory_;
  std::deque<Segment> segments_;
};

// What is on the first sectors after each of many cuts.
template <typename Play>
std::set<std::string> outcomes(std::uint64_t sectors, Play&& play, DiskOptions options = {}) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Bench bench(seed, options);
    play(bench);
    bench.cut();
    seen.insert(bench.medium(sectors));
  }
  return seen;
}

using Outcomes = std::set<std::string>;

TEST(SimDisk, a_write_in_the_cache_survives_whole_or_not_or_torn) {
  EXPECT_EQ(outcomes(2, [](Bench& bench) { bench.run(Op::write, 0, 2, 'a'); }),
            (Outcomes{"..", "a.", ".a", "aa"}));
}

TEST(SimDisk, a_write_on_its_way_does_as_well) {
  EXPECT_EQ(outcomes(2, [](Bench& bench) { bench.start(Op::write, 0, 2, 'a'); }),
            (Outcomes{"..", "a.", ".a", "aa"}));
}

TEST(SimDisk, a_flush_keeps_what_was_acknowledged_before) {
  EXPECT_EQ(outcomes(2,
                     [](Bench& bench) {
                       bench.run(Op::write, 0, 2, 'a');
                       bench.run(Op::flush, 0, 0);
                     }),
            (Outcomes{"aa"}));
}

TEST(SimDisk, a_flush_need_not_keep_what_came_later) {
  EXPECT_EQ(outcomes(2,
                     [](Bench& bench) {
                       bench.run(Op::write, 0, 1, 'a');
                       Bio& flush = bench.start(Op::flush, 0, 0);
                       bench.run(Op::write, 1, 1, 'b');
                       bench.wait(flush);
                     }),
            (Outcomes{"a.", "ab"}));
}

TEST(SimDisk, fua_is_kept_and_takes_the_place_of_what_was_cached) {
  EXPECT_EQ(outcomes(2,
                     [](Bench& bench) {
                       bench.run(Op::write, 0, 2, 'a');
                       bench.run(Op::write, 0, 1, 'b', kFua);
                     }),
            (Outcomes{"b.", "ba"}));
}

TEST(SimDisk, of_two_cached_writes_either_may_be_left) {
  EXPECT_EQ(outcomes(1,
                     [](Bench& bench) {
                       bench.run(Op::write, 0, 1, 'a');
                       bench.run(Op::write, 0, 1, 'b');
                     }),
            (Outcomes{".", "a", "b"}));
}

TEST(SimDisk, without_a_cache_what_is_acknowledged_is_kept) {
  DiskOptions options;
  options.write_cache = false;
  EXPECT_EQ(outcomes(
                1, [](Bench& bench) { bench.run(Op::write, 0, 1, 'a'); }, options),
            (Outcomes{"a"}));
}

TEST(SimDisk, a_lie_about_a_flush_loses_what_was_to_be_kept) {
  DiskOptions options;
  options.faults.lost_flush_odds = 2;
  EXPECT_EQ(outcomes(
                1,
                [](Bench& bench) {
                  bench.run(Op::write, 0, 1, 'a');
                  bench.run(Op::flush, 0, 0);
                },
                options),
            (Outcomes{".", "a"}));
}

TEST(SimDisk, a_misdirected_write_lands_elsewhere) {
  DiskOptions options;
  options.faults.misdirect_odds = 1;
  bool elsewhere = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Bench bench(seed, options);
    bench.run(Op::write, 0, 1, 'a');
    bench.run(Op::flush, 0, 0);
    const std::string medium = bench.medium(16);
    EXPECT_EQ(std::count(medium.begin(), medium.end(), 'a'), 1);
    elsewhere = elsewhere || medium[0] != 'a';
  }
  EXPECT_TRUE(elsewhere);
}

TEST(SimDisk, dies_and_stays_dead) {
  DiskOptions options;
  options.faults.dies_after = 3;
  Bench bench(1, options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bench.run(Op::write, 0, 1, 'a'), Errc::ok);
  EXPECT_EQ(bench.run(Op::read, 0, 1), Errc::io);
  EXPECT_TRUE(bench.disk.dead());
}

TEST(SimDisk, without_power_nothing_works_and_nothing_changes) {
  Bench bench(1);
  EXPECT_EQ(bench.run(Op::write, 0, 1, 'a', kFua), Errc::ok);
  bench.cut();
  EXPECT_EQ(bench.run(Op::write, 0, 1, 'b', kFua), Errc::io);
  EXPECT_EQ(bench.medium(1), "a");
}

TEST(SimDisk, requests_end_in_another_order_than_they_came) {
  DiskOptions options;
  options.jitter_ns = 100'000;
  bool swapped = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Bench bench(seed, options);
    Bio& first = bench.start(Op::write, 0, 1, 'a');
    Bio& second = bench.start(Op::write, 1, 1, 'b');
    bench.wait(second);
    swapped = swapped || first.user == nullptr;
    bench.wait(first);
  }
  EXPECT_TRUE(swapped);
}

}  // namespace
}  // namespace ashlar::sim
