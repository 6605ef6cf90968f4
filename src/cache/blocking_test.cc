// Goal: what blocking.h promises to plain threads: bytes, order, read-ahead, errors, bounds.
// Method: a store in memory that counts its calls, fails on demand, and knows what was flushed; one
// thread step by step, then several over few buffers, where each block carries a count that only
// grows.
#include "cache/blocking.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "base/random.h"

namespace ashlar::cache {
namespace {

constexpr std::uint32_t kBlock = 512;

class Store final : public BackingStore {
 public:
  explicit Store(std::uint64_t blocks) : count_(blocks), now_(blocks), durable_(blocks) {
    for (std::uint64_t i = 0; i < blocks; ++i) now_[i] = durable_[i] = i << 32;
  }

  std::uint64_t blocks() const noexcept override { return count_; }
  Errc read(std::uint64_t first, std::span<const ByteSpan> into) noexcept override {
    const MutexLock lock(mutex_);
    reads_.push_back({first, into.size()});
    for (std::size_t i = 0; i < into.size(); ++i) {
      if (bad_.contains(first + i)) return Errc::io;
      std::memcpy(into[i].data(), &now_[first + i], sizeof(std::uint64_t));
    }
    return Errc::ok;
  }
  Errc write(std::uint64_t first, std::span<const ByteView> from) noexcept override {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (bad_.contains(first + i)) return Errc::io;
      std::memcpy(&now_[first + i], from[i].data(), sizeof(std::uint64_t));
      order_.push_back(first + i);
    }
    return Errc::ok;
  }
  Errc flush() noexcept override {
    const MutexLock lock(mutex_);
    durable_ = now_;
    return Errc::ok;
  }

  void set_bad(std::set<std::uint64_t> blocks) {
    const MutexLock lock(mutex_);
    bad_ = std::move(blocks);
  }
  std::vector<Extent> reads() {
    const MutexLock lock(mutex_);
    return reads_;
  }
  std::vector<std::uint64_t> order() {
    const MutexLock lock(mutex_);
    return order_;
  }
  std::uint64_t now(std::uint64_t block) {
    const MutexLock lock(mutex_);
    return now_[block];
  }
  std::uint64_t durable(std::uint64_t block) {
    const MutexLock lock(mutex_);
    return durable_[block];
  }

 private:
  static constexpr LockClass kLock{"test.blocking_store"};
  const std::uint64_t count_;
  Mutex mutex_{kLock};
  std::vector<std::uint64_t> now_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<std::uint64_t> durable_ ASHLAR_GUARDED_BY(mutex_);
  std::set<std::uint64_t> bad_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<Extent> reads_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<std::uint64_t> order_ ASHLAR_GUARDED_BY(mutex_);
};

std::unique_ptr<BlockingCache> make(Store& store, std::uint64_t blocks, std::uint64_t dirty = 0,
                                    std::uint32_t ahead = 0) {
  return BlockingCache::create(store, {{kBlock, blocks * kBlock, dirty * kBlock, 2}, ahead})
      .value();
}

std::uint64_t value_of(const Pin& pin) {
  std::uint64_t value = 0;
  std::memcpy(&value, pin.bytes().data(), sizeof value);
  return value;
}

std::uint64_t read(BlockingCache& cache, std::uint64_t block) {
  BlockingCache::Room room(cache, 1);
  const auto got = room.get(block, Access::read);
  EXPECT_EQ(got.error, Errc::ok);
  return got.pin ? value_of(got.pin) : 0;
}

Errc put(BlockingCache& cache, std::uint64_t block, std::uint64_t value, bool back,
         Access access = Access::modify) {
  BlockingCache::Room room(cache, 1);
  auto got = room.get(block, access);
  if (got.error != Errc::ok) return got.error;
  std::memcpy(got.pin.edit().data(), &value, sizeof value);
  return back ? cache.write_back(got.pin) : cache.write_through(got.pin);
}

TEST(BlockingCache, reads_once_and_then_has_it) {
  Store store(16);
  auto cache = make(store, 8);
  EXPECT_EQ(read(*cache, 3), std::uint64_t{3} << 32);
  EXPECT_EQ(read(*cache, 3), std::uint64_t{3} << 32);
  EXPECT_EQ(store.reads().size(), 1u);
  BlockingCache::Room room(*cache, 1);
  EXPECT_EQ(room.get(16, Access::read).error, Errc::out_of_range);
}

TEST(BlockingCache, what_is_replaced_is_not_read) {
  Store store(16);
  auto cache = make(store, 8);
  EXPECT_EQ(put(*cache, 3, 77, false, Access::replace), Errc::ok);
  EXPECT_TRUE(store.reads().empty());
  EXPECT_EQ(store.now(3), 77u);
  EXPECT_EQ(read(*cache, 3), 77u);
  EXPECT_TRUE(store.reads().empty());
}

TEST(BlockingCache, what_is_written_back_is_below_and_durable_after_a_sync_of_its_range) {
  Store store(64);
  auto cache = make(store, 16, 8);
  for (const std::uint64_t block : {1, 2, 40}) EXPECT_EQ(put(*cache, block, 9, true), Errc::ok);
  EXPECT_EQ(store.now(1), std::uint64_t{1} << 32);
  EXPECT_EQ(cache->sync({0, 10}), Errc::ok);
  EXPECT_EQ(store.durable(1), 9u);
  EXPECT_EQ(store.durable(2), 9u);
  EXPECT_EQ(store.now(40), std::uint64_t{40} << 32);
  EXPECT_EQ(cache->counts().dirty, 1u);
  EXPECT_EQ(cache->sync(), Errc::ok);
  EXPECT_EQ(store.durable(40), 9u);
}

TEST(BlockingCache, who_makes_too_much_dirty_writes_some) {
  Store store(64);
  auto cache = make(store, 16, 4);
  for (std::uint64_t block = 0; block < 40; ++block) {
    EXPECT_EQ(put(*cache, block, block + 1, true), Errc::ok);
    EXPECT_LE(cache->counts().dirty, 4u);
  }
  EXPECT_EQ(cache->sync(), Errc::ok);
  for (std::uint64_t block = 0; block < 40; ++block) EXPECT_EQ(store.durable(block), block + 1);
}

TEST(BlockingCache, order_is_kept_also_where_one_is_written_through) {
  Store store(64);
  auto cache = make(store, 16, 4);
  EXPECT_EQ(put(*cache, 30, 1, true), Errc::ok);
  EXPECT_EQ(put(*cache, 5, 1, true), Errc::ok);
  EXPECT_TRUE(cache->order(30, 5));
  EXPECT_FALSE(cache->order(5, 30));
  EXPECT_TRUE(cache->order(5, 2));
  EXPECT_EQ(put(*cache, 2, 1, false), Errc::ok);
  EXPECT_EQ(store.order(), (std::vector<std::uint64_t>{30, 5, 2}));
}

TEST(BlockingCache, one_who_reads_in_sequence_has_more_read_for_him_up_to_the_bound) {
  Store store(1000);
  auto cache = make(store, 256, 0, 8);
  for (std::uint64_t block = 100; block < 164; ++block) read(*cache, block);
  for (const Extent& each : store.reads()) EXPECT_LE(each.length, 9u);
  EXPECT_LT(store.reads().size(), 20u);
  const std::size_t before = store.reads().size();
  for (const std::uint64_t block : {500, 300, 700, 301 + 50, 900}) read(*cache, block);
  EXPECT_EQ(store.reads().size(), before + 5);
  EXPECT_EQ(store.reads().back().length, 1u);
}

TEST(BlockingCache, what_cannot_be_read_ahead_fails_nobody_who_did_not_ask_for_it) {
  Store store(64);
  store.set_bad({12});
  auto cache = make(store, 32, 0, 8);
  for (std::uint64_t block = 8; block < 12; ++block) {
    EXPECT_EQ(read(*cache, block), block << 32);
  }
  BlockingCache::Room room(*cache, 1);
  EXPECT_EQ(room.get(12, Access::read).error, Errc::io);
  EXPECT_EQ(cache->error_of(12), Errc::io);
  store.set_bad({});
  EXPECT_EQ(room.get(12, Access::read).error, Errc::ok);
  EXPECT_EQ(cache->error_of(12), Errc::ok);
}

TEST(BlockingCache, what_could_not_be_written_stays_dirty_and_every_sync_says_so) {
  Store store(64);
  auto cache = make(store, 16, 4);
  EXPECT_EQ(put(*cache, 7, 70, true), Errc::ok);
  EXPECT_EQ(put(*cache, 30, 71, true), Errc::ok);
  store.set_bad({7});
  EXPECT_EQ(cache->sync(), Errc::io);
  EXPECT_EQ(cache->error_of(7), Errc::io);
  EXPECT_EQ(cache->sync(), Errc::io);  // and wrote what it could: the one that failed was last
  EXPECT_EQ(store.now(30), 71u);
  EXPECT_EQ(read(*cache, 7), 70u);
  store.set_bad({});
  EXPECT_EQ(cache->sync(), Errc::ok);
  EXPECT_EQ(store.durable(7), 70u);
  EXPECT_EQ(cache->error_of(7), Errc::ok);
}

TEST(BlockingCache, a_block_that_could_not_be_written_through_is_read_again) {
  Store store(64);
  auto cache = make(store, 16, 4);
  read(*cache, 7);
  store.set_bad({7});
  EXPECT_EQ(put(*cache, 7, 70, false), Errc::io);
  store.set_bad({});
  EXPECT_EQ(read(*cache, 7), std::uint64_t{7} << 32);
  // One that was dirty keeps what is newest.
  EXPECT_EQ(put(*cache, 9, 90, true), Errc::ok);
  store.set_bad({9});
  EXPECT_EQ(put(*cache, 9, 91, false, Access::replace), Errc::io);
  store.set_bad({});
  EXPECT_EQ(read(*cache, 9), 91u);
  EXPECT_EQ(cache->sync(), Errc::ok);
  EXPECT_EQ(store.durable(9), 91u);
}

TEST(BlockingCache, invalidate_forgets) {
  Store store(64);
  auto cache = make(store, 16, 4);
  EXPECT_EQ(put(*cache, 7, 70, true), Errc::ok);
  EXPECT_TRUE(cache->invalidate({0, 64}));
  EXPECT_EQ(read(*cache, 7), std::uint64_t{7} << 32);
}

// --- threads -------------------------------------------------------------------------------------

constexpr std::uint64_t kBlocks = 96;

// Adds one to a block's count; in `acknowledged` what was acknowledged, in `synced` what was
// synced.
class User {
 public:
  User(BlockingCache& cache, Store& store, std::vector<std::atomic<std::uint64_t>>& acknowledged,
       std::uint64_t seed)
      : cache_(cache), store_(store), acknowledged_(acknowledged), random_(seed) {}

  void run(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      if (random_.one_in(16)) {
        sync(random_.below(kBlocks));
      } else if (random_.one_in(8)) {
        look_at_two(random_.below(kBlocks - 1));
      } else {
        use(random_.below(kBlocks), random_.one_in(2));
      }
    }
  }

 private:
  void use(std::uint64_t block, bool change) {
    BlockingCache::Room room(cache_, 1);
    const std::uint64_t known = acknowledged_[block].load();
    auto got = room.get(block, change ? Access::modify : Access::read);
    if (got.error != Errc::ok) return;
    std::uint64_t value = value_of(got.pin);
    EXPECT_EQ(value >> 32, block);
    EXPECT_GE(value, known);
    if (!change) return;
    ++value;
    std::memcpy(got.pin.edit().data(), &value, sizeof value);
    const Errc error =
        random_.one_in(4) ? cache_.write_through(got.pin) : cache_.write_back(got.pin);
    if (error == Errc::ok) acknowledged_[block].store(value);
  }

  void look_at_two(std::uint64_t block) {
    BlockingCache::Room room(cache_, 2);
    const auto first = room.get(block, Access::read);
    const auto second = room.get(block + 1, Access::modify);
    if (first.pin) {
      EXPECT_EQ(value_of(first.pin) >> 32, block);
    }
    if (second.pin) {
      EXPECT_EQ(value_of(second.pin) >> 32, block + 1);
    }
  }

  void sync(std::uint64_t block) {
    const std::uint64_t known = acknowledged_[block].load();
    if (cache_.sync({block, 1}) != Errc::ok) return;
    EXPECT_GE(store_.durable(block), known);
  }

  BlockingCache& cache_;
  Store& store_;
  std::vector<std::atomic<std::uint64_t>>& acknowledged_;
  Random random_;
};

void run_threads(Store& store, bool fails) {
  auto cache = make(store, 40, 10, 4);
  std::vector<std::atomic<std::uint64_t>> acknowledged(kBlocks);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] { User(*cache, store, acknowledged, i + 1).run(1500); });
  }
  std::atomic<bool> over{false};
  std::thread breaker([&] {
    Random random(99);
    while (fails && !over) {
      store.set_bad({random.below(kBlocks), random.below(kBlocks)});
      std::this_thread::yield();
    }
  });
  for (std::thread& each : threads) each.join();
  over = true;
  breaker.join();
  store.set_bad({});
  EXPECT_LE(cache->counts().held, 40u);
  EXPECT_EQ(cache->sync(), Errc::ok);
  EXPECT_EQ(cache->counts().dirty, 0u);
  for (std::uint64_t i = 0; i < kBlocks; ++i) EXPECT_GE(store.durable(i), acknowledged[i].load());
}

TEST(BlockingCache, threads_lose_nothing) {
  Store store(kBlocks);
  run_threads(store, false);
}

TEST(BlockingCache, threads_lose_nothing_that_was_acknowledged_while_the_store_fails) {
  Store store(kBlocks);
  run_threads(store, true);
}

}  // namespace
}  // namespace ashlar::cache
