// Invariants: (1) the pins of cleaners are reserved for as long as the cache lives, so a thread
// that holds pins may clean; (2) read-ahead takes room only where nobody waits for it.
#include "cache/blocking.h"

#include <algorithm>

namespace ashlar::cache {
namespace {

constexpr LockClass kSleeperLock{"cache.sleeper"};

// A thread that waits for what the cache promised it.
class Sleeper : public Waiter {
 public:
  Sleeper() {
    wake = [](Waiter& self) noexcept {
      auto& sleeper = static_cast<Sleeper&>(self);
      // With the lock: the sleeper is gone as soon as it sees `woken_`.
      const MutexLock lock(sleeper.mutex_);
      sleeper.woken_ = true;
      sleeper.awake_.notify_one();
    };
  }
  void sleep() noexcept {
    const MutexLock lock(mutex_);
    while (!woken_) awake_.wait(mutex_);
    woken_ = false;
  }

 private:
  Mutex mutex_{kSleeperLock};
  CondVar awake_;
  bool woken_ ASHLAR_GUARDED_BY(mutex_) = false;
};

}  // namespace

Result<std::unique_ptr<BlockingCache>> BlockingCache::create(BackingStore& store,
                                                             const BlockingOptions& options) {
  auto core = BufferCache::create(options.cache);
  if (!core) return core.error();
  // A run in each cleaner, and one pin at least for users.
  if ((*core)->most_pins() < kCleaners + 1) {
    return make_error(Errc::invalid, "a cache of {} bytes in blocks of {} is too small",
                      options.cache.memory_bytes, options.cache.block_bytes);
  }
  return std::unique_ptr<BlockingCache>(new BlockingCache(store, options, std::move(*core)));
}

BlockingCache::BlockingCache(BackingStore& store, const BlockingOptions& options,
                             std::unique_ptr<BufferCache> core)
    : store_(store),
      core_(std::move(core)),
      // Half of the room is the users' at the least.
      run_blocks_(static_cast<std::uint32_t>(
          std::clamp<std::uint64_t>(core_->most_pins() / (2 * kCleaners), 1, kMostBlocks))),
      read_ahead_(std::min(options.read_ahead_blocks, kMostBlocks - 1)),
      most_pins_(core_->most_pins() - std::uint64_t{kCleaners} * run_blocks_) {
  const bool reserved = core_->try_reserve(std::uint64_t{kCleaners} * run_blocks_);
  ASHLAR_ASSERT(reserved);
}

BlockingCache::~BlockingCache() { core_->unreserve(std::uint64_t{kCleaners} * run_blocks_); }

// --- pins ----------------------------------------------------------------------------------------

BlockingCache::Room::Room(BlockingCache& cache, std::uint64_t pins) : cache_(cache), pins_(pins) {
  ASHLAR_ASSERT(pins <= cache.most_pins());
  Sleeper sleeper;
  if (!cache.core_->reserve(pins, sleeper)) sleeper.sleep();
}

BlockingCache::Room::~Room() { cache_.core_->unreserve(pins_); }

BlockingCache::Got BlockingCache::Room::get(std::uint64_t block, Access access) noexcept {
  if (block >= cache_.store_.blocks()) return {Errc::out_of_range, {}};
  const std::uint64_t ahead = access == Access::read ? cache_.ahead_of(block) : 0;
  Sleeper sleeper;
  Get got = cache_.core_->get(block, access, sleeper);
  if (got.kind == Get::Kind::wait) {
    sleeper.sleep();
    got = std::move(sleeper.got);
  }
  if (got.kind == Get::Kind::failed) return {got.error, {}};
  if (got.kind == Get::Kind::fill) {
    const Errc error = cache_.fill(got.pin, access, ahead);
    if (error != Errc::ok) return {error, {}};
  }
  return {Errc::ok, std::move(got.pin)};
}

std::uint64_t BlockingCache::ahead_of(std::uint64_t block) noexcept {
  if (read_ahead_ == 0) return 0;
  const MutexLock lock(streams_mutex_);
  return streams_.observe(block, block + 1, read_ahead_);
}

// Reads the block of `pin`, and up to `ahead` behind it that are not there. What is read ahead
// costs nobody anything but time: where it fails, the block is read alone.
Errc BlockingCache::fill(Pin& pin, Access access, std::uint64_t ahead) noexcept {
  std::array<Pin, kMostBlocks> more;
  std::array<ByteSpan, kMostBlocks> spans;
  spans[0] = pin.edit();
  const std::uint64_t first = pin.block();
  ahead = std::min(ahead, store_.blocks() - first - 1);
  if (ahead > 0 && !core_->try_reserve(ahead)) ahead = 0;
  std::size_t count = 0;
  while (count < ahead && (more[count] = core_->prefetch(first + 1 + count))) {
    spans[count + 1] = more[count].edit();
    ++count;
  }
  Errc error = store_.read(first, {spans.data(), count + 1});
  const bool all = error == Errc::ok;
  for (std::size_t i = 0; i < count; ++i) {
    if (all) core_->filled(more[i], Access::read, Errc::ok);
    more[i].release();
  }
  if (ahead > 0) core_->unreserve(ahead);
  if (!all && count > 0) error = store_.read(first, {spans.data(), 1});
  core_->filled(pin, access, error);
  return error;
}

// --- writing -------------------------------------------------------------------------------------

Errc BlockingCache::write_through(Pin& pin) noexcept {
  while (core_->held_back(pin.block())) {
    Errc error = Errc::ok;
    if (!clean_some(error)) return Errc::busy;
    if (error != Errc::ok) return error;
  }
  const ByteView bytes = pin.edit();
  const Errc error = store_.write(pin.block(), {&bytes, 1});
  if (error == Errc::ok) {
    pin.make_valid();
  } else if (pin.dirty()) {
    pin.make_dirty();  // valid again, where it was replaced
  } else {
    pin.spoil();
  }
  return error;
}

bool BlockingCache::clean_some(Errc& error) noexcept {
  acquire_cleaner();
  const bool wrote = write_run({0, ~std::uint64_t{0}}, core_->now(), error);
  release_cleaner();
  return wrote;
}

Errc BlockingCache::write_back(Pin& pin) noexcept {
  if (pin.make_dirty()) return Errc::ok;
  Errc error = Errc::ok;
  if (clean_some(error) && pin.make_dirty()) return Errc::ok;
  return write_through(pin);
}

// Writes one run of dirty blocks. False: there is none that may be written now. REQUIRES: a
// cleaner.
bool BlockingCache::write_run(Extent blocks, std::uint64_t until, Errc& error) noexcept {
  DirtyRun run;
  if (!core_->take_dirty(blocks, until, run_blocks_, run)) return false;
  std::array<ByteView, kMostBlocks> bytes;
  for (std::uint32_t i = 0; i < run.count; ++i) bytes[i] = run.pins[i].bytes();
  error = store_.write(run.first, {bytes.data(), run.count});
  core_->written(run, error);
  return true;
}

Errc BlockingCache::sync(Extent blocks) noexcept {
  const std::uint64_t until = core_->now();
  for (Cleaning cleaning = Cleaning::take; cleaning != Cleaning::clean;) {
    Errc error = Errc::ok;
    acquire_cleaner();
    while (error == Errc::ok && write_run(blocks, until, error)) {
    }
    release_cleaner();
    if (error != Errc::ok) return error;
    Sleeper sleeper;
    cleaning = core_->clean(blocks, until, sleeper);
    if (cleaning == Cleaning::wait) sleeper.sleep();
  }
  return store_.flush();
}

void BlockingCache::acquire_cleaner() noexcept {
  const MutexLock lock(cleaners_mutex_);
  while (cleaners_ == 0) cleaner_free_.wait(cleaners_mutex_);
  --cleaners_;
}

void BlockingCache::release_cleaner() noexcept {
  const MutexLock lock(cleaners_mutex_);
  ++cleaners_;
  cleaner_free_.notify_one();
}

}  // namespace ashlar::cache
