// Goal: over many lives of an array, each ended by a power cut or a failure too many, whatever may
// differ between members is resynced by the next life, and no member is taken that lacks something.
// Method: random operations on a keeper, with a model of what has reached the media of members: a
// write that has ended is on the media when its members have been flushed, and may differ until
// then. Records are cut between any two sectors. The same operations from threads, where each
// writer looks at the members' bits while it writes. Arrays that mdadm made as starting points.
#include <filesystem>
#include <fstream>
#include <thread>

#include "md/keeper_test_rig.h"
#include "test/command.h"
#include "test/md_arrays.h"

namespace ashlar::md {
namespace {

void no_wake(Keeper::Waiter&) noexcept {}

// A range that was changed.
struct Change {
  enum class State { under_way, torn, resyncing, cached };
  Extent range;
  State state = State::under_way;
};

class Lives {
 public:
  Lives(const Shape& shape, std::uint64_t seed)
      : random_(seed), disks_(make_disks(shape)), failed_(shape.disks) {}

  // False: the next one would have to insist on damaged data, or has none.
  bool live() {
    Found found(disks_);
    for (std::size_t role = 0; role < failed_.size(); ++role) {
      EXPECT_FALSE(failed_[role] && found.has(role)) << "a member that failed is back";
    }
    EXPECT_TRUE(found.assembly.refusal.empty()) << found.assembly.refusal;
    for (const Change& each : changes_) {
      EXPECT_TRUE(found.resyncs(disks_, each.range)) << "nobody would resync " << each.range.offset;
    }
    for (const Extent& each : lacking_) {
      EXPECT_TRUE(!found.freshest().has_bitmap || found.all_bits(disks_, each)) << "a bit is gone";
    }
    if (!found.assembly.runs() || testing::Test::HasFailure()) return false;
    power_ = std::make_unique<Power>(disks_, random_.next());
    power_->sectors_left = random_.one_in(4) ? ~std::uint64_t{0} : random_.below(150);
    power_->on_flush = [this] { flush(); };
    keeper_ = make_keeper(disks_, found);
    sync_bytes_ = found.assembly.layout->sync_bytes();
    start();
    for (int i = 0; i < 60 && !power_->off() && !keeper_->lost(); ++i) operate();
    for (const Change& each : changes_) {
      if (each.state == Change::State::under_way) keeper_->end_write(each.range, Written::some);
    }
    return true;
  }

 private:
  using State = Change::State;

  // What differs is known, and is there until it has been resynced.
  void start() {
    const std::vector<Extent> due = keeper_->to_resync();
    for (Change& each : changes_) {
      each.state = State::torn;
      const bool found = std::any_of(due.begin(), due.end(), [&](const Extent& range) {
        return range.offset <= each.range.offset && each.range.end() <= range.end();
      });
      EXPECT_TRUE(found) << "it does not know of " << each.range.offset;
    }
  }

  void flush() {
    std::erase_if(changes_, [](const Change& each) { return each.state == State::cached; });
  }

  Answer settle(const std::function<Answer(Keeper::Waiter&)>& ask) {
    Keeper::Waiter waiter;
    waiter.wake = no_wake;
    Answer answer = ask(waiter);
    while (answer == Answer::record) {
      std::optional<std::uint32_t> failing;
      if (random_.one_in(30)) failing = static_cast<std::uint32_t>(random_.below(disks_.size()));
      keeper_->recorded(power_->carry_out(keeper_->record(), failing));
      answer = ask(waiter);
    }
    return answer;
  }

  // What is open only when every failure has been recorded.
  Answer recorded(const std::function<Answer(Keeper::Waiter&)>& ask) {
    const Answer answer = settle(ask);
    if (answer != Answer::open || power_->off()) return answer;
    for (std::uint32_t role = 0; role < failed_.size(); ++role) {
      failed_[role] = failed_[role] || !keeper_->device_at(role);
    }
    return answer;
  }

  void operate() {
    const std::uint64_t dice = random_.below(100);
    if (dice < 40) {
      begin();
    } else if (dice < 65) {
      end();
    } else if (dice < 75) {
      settle([&](Keeper::Waiter& w) { return keeper_->clear_bits(w); });
    } else if (dice < 85) {
      recorded([&](Keeper::Waiter& w) { return keeper_->begin_clean(w); });
    } else if (dice < 87) {
      keeper_->member_failed(static_cast<std::uint32_t>(random_.below(failed_.size())));
    } else if (dice < 92) {
      recorded([&](Keeper::Waiter& w) { return keeper_->checkpoint(w); });
    } else {
      resync();
    }
  }

  void begin() {
    const std::uint64_t start = random_.below(sync_bytes_ / 4096) * 4096;
    const Extent range{start, std::min(4096 * (1 + random_.below(32)), sync_bytes_ - start)};
    if (random_.one_in(2) && !changes_.empty()) return;  // few at a time
    const Answer answer = settle([&](Keeper::Waiter& w) { return keeper_->begin_write(range, w); });
    if (answer != Answer::open) return;
    if (power_->off()) {
      keeper_->end_write(range, Written::all);  // it has not reached anything
    } else {
      changes_.push_back({range, State::under_way});
    }
  }

  void end() {
    const auto found = std::find_if(changes_.begin(), changes_.end(), [](const Change& each) {
      return each.state == State::under_way;
    });
    if (found == changes_.end()) return;
    const bool torn = random_.one_in(10);
    if (recorded([&](Keeper::Waiter& w) { return keeper_->settle_failures(w); }) != Answer::open) {
      return;
    }
    if (power_->off()) return;
    // A flush may have taken others out of the list.
    const auto change = std::find_if(changes_.begin(), changes_.end(), [](const Change& each) {
      return each.state == State::under_way;
    });
    change->state = torn ? State::torn : State::cached;
    const bool live = keeper_->degraded() != 0;
    if (live) lacking_.push_back(change->range);
    keeper_->end_write(change->range, torn ? Written::some : live ? Written::live : Written::all);
  }

  // Starts one, or ends the one that was started.
  void resync() {
    const bool under_way = std::any_of(changes_.begin(), changes_.end(), [](const Change& each) {
      return each.state == State::resyncing;
    });
    for (Change& each : changes_) {
      if (each.state == State::torn && !under_way) each.state = State::resyncing;
      if (each.state == State::resyncing && under_way) each.state = State::cached;
    }
    if (under_way) keeper_->resync_done();
  }

  Random random_;
  std::vector<Disk> disks_;
  std::vector<bool> failed_;  // by role, and by disk
  std::vector<Change> changes_;
  std::vector<Extent> lacking_;  // on members that failed
  std::unique_ptr<Power> power_;
  std::unique_ptr<Keeper> keeper_;
  std::uint64_t sync_bytes_ = 0;
};

TEST(MdKeeperLives, WhatMayDifferIsResynced) {
  const std::vector<Shape> shapes = {
      {Version::v1_2, 1, 3, true},  {Version::v1_2, 1, 2, false}, {Version::v1_2, 5, 4, true},
      {Version::v1_2, 5, 3, false}, {Version::v1_2, 6, 5, true},  {Version::v1_2, 10, 4, true},
  };
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Lives lives(shapes[seed % shapes.size()], seed);
    for (int i = 0; i < 6 && lives.live(); ++i) {
    }
    if (HasFailure()) return;
  }
}

// --- threads

constexpr std::uint64_t kChunks = 8;

// A small array that threads write to; its disks are looked at while they do.
class Shared {
 public:
  Shared() : disks_(make_disks({Version::v1_2, 1, 3, true})), found_(disks_) {
    keeper_ = make_keeper(disks_, found_);
  }

  Keeper& keeper() { return *keeper_; }

  void carry_out() {
    for (const Phase& phase : keeper_->record().phases) {
      for (const Put& put : phase.puts) {
        const MutexLock lock(mutex_);
        store(disks_[put.device], put.offset, put.bytes);
      }
    }
    keeper_->recorded({});
  }

  // On the disks that nobody fails here.
  bool covered(const Extent& range) {
    constexpr std::uint64_t kResyncOffsetAt = 208;
    const MutexLock lock(mutex_);
    for (std::size_t disk = 0; disk < 2; ++disk) {
      const Superblock& sb = found_.candidates[disk].superblock;
      const ByteView bytes(disks_[disk].bytes);
      const std::uint64_t bits = sb.bitmap_start_bytes() + kBitmapHeaderBytes;
      for (std::uint64_t bit = range.offset / kChunkBytes; bit * kChunkBytes < range.end(); ++bit) {
        if ((std::to_integer<unsigned>(bytes[bits + bit / 8]) >> bit % 8 & 1) == 0) return false;
      }
      if (load_le<std::uint64_t>(bytes, sb.superblock_offset_bytes + kResyncOffsetAt) != 0) {
        return false;
      }
    }
    return true;
  }

  Found again() {
    const MutexLock lock(mutex_);
    return Found(disks_);
  }

 private:
  static constexpr LockClass kLock{"test.keeper_disks"};
  Mutex mutex_{kLock};
  std::vector<Disk> disks_ ASHLAR_GUARDED_BY(mutex_);
  Found found_;
  std::unique_ptr<Keeper> keeper_;
};

// A thread that waits as threads do.
class Worker {
 public:
  explicit Worker(Shared& shared) : shared_(shared) {
    waiter_.wake = [](Keeper::Waiter& waiter) noexcept {
      auto& self = *static_cast<Worker*>(waiter.user);
      const MutexLock lock(self.mutex_);
      self.woken_ = true;
      self.wake_.notify_one();
    };
    waiter_.user = this;
  }

  Answer settle(const std::function<Answer(Keeper::Waiter&)>& ask) {
    for (;;) {
      const Answer answer = ask(waiter_);
      if (answer == Answer::record) {
        shared_.carry_out();
      } else if (answer == Answer::wait) {
        MutexLock lock(mutex_);
        while (!woken_) wake_.wait(mutex_);
        woken_ = false;
      } else {
        return answer;
      }
    }
  }

 private:
  static constexpr LockClass kLock{"test.keeper_worker"};
  Shared& shared_;
  Mutex mutex_{kLock};
  CondVar wake_;
  bool woken_ ASHLAR_GUARDED_BY(mutex_) = false;
  Keeper::Waiter waiter_;
};

TEST(MdKeeperLives, ThreadsFindTheirBitsSetAllTheTime) {
  Shared shared;
  Keeper& keeper = shared.keeper();
  std::atomic<int> writers{3};
  std::atomic<int> uncovered{0};
  const auto write = [&](std::uint64_t seed) {
    Worker worker(shared);
    Random random(seed);
    for (int i = 0; i < 400; ++i) {
      const Extent range{random.below(kChunks * 16 - 1) * 4096, 8192};
      if (worker.settle([&](Keeper::Waiter& w) { return keeper.begin_write(range, w); }) !=
          Answer::open) {
        ++uncovered;
        break;
      }
      if (!shared.covered(range)) ++uncovered;
      if (seed == 0 && i == 200) keeper.member_failed(2);
      worker.settle([&](Keeper::Waiter& w) { return keeper.settle_failures(w); });
      keeper.end_write(range, keeper.degraded() == 0 ? Written::all : Written::live);
    }
    --writers;
  };
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 3; ++seed) threads.emplace_back(write, seed);
  Worker janitor(shared);
  std::uint64_t cleaned = 0;
  while (writers != 0) {
    janitor.settle([&](Keeper::Waiter& w) { return keeper.clear_bits(w); });
    const Answer answer = janitor.settle([&](Keeper::Waiter& w) { return keeper.begin_clean(w); });
    if (answer == Answer::open) ++cleaned;
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(uncovered, 0);
  EXPECT_EQ(janitor.settle([&](Keeper::Waiter& w) { return keeper.begin_clean(w); }), Answer::open);
  EXPECT_FALSE(shared.again().assembly.dirty());
  EXPECT_FALSE(shared.again().has(2));
  EXPECT_TRUE(shared.again().has(1));
}

// --- arrays that mdadm made

std::vector<Disk> load(const std::string& name) {
  const test::CommandFolder work;
  EXPECT_TRUE(test::unpack_md_array(name, work));
  std::vector<Disk> disks;
  for (int i = 0; i < 8; ++i) {
    const std::string file = fmt::format("m{}.img", i);
    if (!std::filesystem::exists(work.path() / file)) continue;
    const std::string text = work.read(file);
    const ByteView bytes = as_bytes(text);
    disks.push_back({file, bytes.size(), {bytes.begin(), bytes.end()}});
  }
  return disks;
}

// Superblock, bitmap and nothing else.
void expect_same_data(const std::vector<Disk>& before, const std::vector<Disk>& after) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Superblock sb = read_superblock(before[i]);
    Bytes was = before[i].bytes;
    Bytes is = after[i].bytes;
    const auto forget = [&](std::uint64_t at, std::uint64_t bytes) {
      for (Bytes* each : {&was, &is}) {
        std::fill_n(each->begin() + static_cast<std::ptrdiff_t>(at), bytes, std::byte{0});
      }
    };
    forget(sb.superblock_offset_bytes, sb.is_version_1() ? 256 + 2 * sb.roles.size() : 4096);
    if (sb.has_bitmap) {
      forget(sb.bitmap_start_bytes(), read_bitmap(before[i], sb).header.total_bytes());
    }
    EXPECT_TRUE(same(was, is)) << i;
  }
}

class MdKeeperImages : public testing::TestWithParam<const char*> {};

TEST_P(MdKeeperImages, WrittenAndClean) {
  std::vector<Disk> disks = load(GetParam());
  const std::vector<Disk> before = disks;
  ASSERT_FALSE(disks.empty());
  const Found found(disks);
  ASSERT_TRUE(found.assembly.refusal.empty()) << found.assembly.refusal;
  const auto keeper = make_keeper(disks, found);
  Power power(disks, 1);
  const auto settle = [&](const std::function<Answer(Keeper::Waiter&)>& ask) {
    Keeper::Waiter waiter;
    waiter.wake = no_wake;
    Answer answer = ask(waiter);
    while (answer == Answer::record) {
      keeper->recorded(power.carry_out(keeper->record()));
      answer = ask(waiter);
    }
    return answer;
  };
  EXPECT_EQ(settle([&](Keeper::Waiter& w) { return keeper->begin_clean(w); }), Answer::open);
  for (std::size_t i = 0; i < disks.size(); ++i) EXPECT_TRUE(same(disks[i].bytes, before[i].bytes));

  const Extent range{64 * kKiB, 64 * kKiB};
  ASSERT_EQ(settle([&](Keeper::Waiter& w) { return keeper->begin_write(range, w); }), Answer::open);
  EXPECT_TRUE(Found(disks).resyncs(disks, range));
  for (const Extent& each : keeper->to_resync()) EXPECT_TRUE(Found(disks).resyncs(disks, each));
  keeper->end_write(range, keeper->degraded() == 0 ? Written::all : Written::live);
  EXPECT_TRUE(keeper->resync_done());
  EXPECT_EQ(settle([&](Keeper::Waiter& w) { return keeper->begin_clean(w); }), Answer::open);

  const Found again(disks);
  EXPECT_TRUE(again.assembly.runs()) << again.assembly.refusal << again.assembly.needs_insistence;
  EXPECT_FALSE(again.assembly.dirty());
  EXPECT_EQ(again.assembly.degraded, found.assembly.degraded);
  EXPECT_EQ(again.freshest().events, found.freshest().events + 2);
  for (std::size_t role = 0; role < found.assembly.members.size(); ++role) {
    const auto& was = found.assembly.members[role];
    const auto& is = again.assembly.members[role];
    ASSERT_EQ(was.has_value(), is.has_value());
    if (!was) continue;
    EXPECT_EQ(was->candidate, is->candidate);
    EXPECT_EQ(was->recovery_offset_bytes, is->recovery_offset_bytes);
    if (!found.freshest().has_bitmap) continue;
    EXPECT_EQ(again.all_bits(disks, range), found.assembly.degraded != 0);
  }
  expect_same_data(before, disks);
}

INSTANTIATE_TEST_SUITE_P(Md, MdKeeperImages,
                         testing::Values("raid1-bitmap", "raid1-dirty-bitmap", "raid1-degraded",
                                         "raid1-stale", "raid1-bad-blocks", "raid5-bitmap",
                                         "raid5-dirty-bitmap", "raid5-dirty", "raid5-spare",
                                         "raid5-rebuilding", "raid5-stale", "raid6-bitmap",
                                         "raid6-stale-bitmap", "raid6-resyncing",
                                         "raid6-two-missing", "raid10-bitmap", "raid10-dirty",
                                         "raid10-degraded", "v0.90-raid1", "v0.90-raid5",
                                         "v0.90-raid5-dirty", "v0.90-raid6-bitmap", "v1.0-raid1",
                                         "v1.0-raid5-bitmap", "v1.1-raid5", "v1.2-raid5-offset"));

}  // namespace
}  // namespace ashlar::md
