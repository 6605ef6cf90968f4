// Invariants: (1) a block is in the table of its shard only; (2) buffers belong to no shard: a free
// one goes wherever it is needed; (3) reserved pins + the most that may be dirty = all buffers, so
// that whoever has reserved finds one; (4) locks nest shard -> {order, free}, and clean -> shard.
#include "cache/buffer_cache.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "cache/buffer.h"
#include "cache/shard.h"

namespace ashlar::cache {
namespace {

// Through all shards for a buffer that must be there: past it nobody will give one back.
constexpr std::uint64_t kMostLooks = 1'000'000;

}  // namespace

// --- making
// ---------------------------------------------------------------------------------------

Result<std::unique_ptr<BufferCache>> BufferCache::create(const CacheOptions& options) {
  const std::uint64_t block = options.block_bytes;
  const std::uint64_t count = block == 0 ? 0 : options.memory_bytes / block;
  if (block == 0 || block % 512 != 0 || count < 2 ||
      options.dirty_bytes > options.memory_bytes / 2 || options.shards == 0 ||
      (options.shards & (options.shards - 1)) != 0) {
    return make_error(Errc::invalid, "a cache of {} bytes in blocks of {}, {} dirty, {} shards",
                      options.memory_bytes, block, options.dirty_bytes, options.shards);
  }
  try {
    return std::unique_ptr<BufferCache>(new BufferCache(options));
  } catch (const std::bad_alloc&) {
    return make_error(Errc::no_memory, "no memory for a cache of {} bytes", options.memory_bytes);
  }
}

BufferCache::BufferCache(const CacheOptions& options)
    : block_bytes_(options.block_bytes),
      dirty_most_(options.dirty_bytes / options.block_bytes),
      room_total_(options.memory_bytes / options.block_bytes - dirty_most_),
      memory_(nullptr, [](std::byte* all) { std::free(all); }) {
  const std::uint64_t count = room_total_ + dirty_most_;
  memory_.reset(
      static_cast<std::byte*>(std::aligned_alloc(4096, align_up(count * block_bytes_, 4096))));
  if (memory_ == nullptr) throw std::bad_alloc();
  buffers_ = std::make_unique<Buffer[]>(count);
  std::uint64_t rows = 1;
  while (rows * options.shards < count * 2) rows *= 2;
  for (std::uint32_t i = 0; i < options.shards; ++i) {
    shards_.push_back(std::make_unique<Shard>(count / options.shards + 1, rows));
  }
  const MutexLock room(room_mutex_);
  room_ = room_total_;
  const MutexLock lock(free_mutex_);
  for (std::uint64_t i = count; i > 0; --i) {
    Buffer& each = buffers_[i - 1];
    each.data = memory_.get() + (i - 1) * block_bytes_;
    each.next = std::exchange(free_, &each);
  }
}

BufferCache::~BufferCache() {
  for (const auto& shard : shards_) {
    const MutexLock lock(shard->mutex);
    for (Buffer* each : shard->table) {
      for (; each != nullptr; each = each->next) {
        ASHLAR_ASSERT(each->latch.load() == 0 && each->waiters.empty());
        if (each->dirty) each->dirty_link.unlink();
        shard->policy.remove(*each);
      }
    }
  }
}

BufferCache::Shard& BufferCache::shard_of(std::uint64_t block) noexcept {
  return *shards_[mixed(block / kNeighbours) & (shards_.size() - 1)];
}

// --- room
// -----------------------------------------------------------------------------------------

bool BufferCache::reserve(std::uint64_t count, Waiter& waiter) noexcept {
  ASHLAR_ASSERT(count <= room_total_);
  const MutexLock lock(room_mutex_);
  if (room_ >= count && room_waiters_.empty()) {
    room_ -= count;
    return true;
  }
  waiter.count_ = count;
  enqueue(waiter, room_waiters_, room_mutex_);
  return false;
}

bool BufferCache::try_reserve(std::uint64_t count) noexcept {
  const MutexLock lock(room_mutex_);
  if (room_ < count || !room_waiters_.empty()) return false;
  room_ -= count;
  return true;
}

void BufferCache::unreserve(std::uint64_t count) noexcept {
  Waiters woken;
  {
    const MutexLock lock(room_mutex_);
    room_ += count;
    ASHLAR_ASSERT(room_ <= room_total_);
    while (!room_waiters_.empty() && room_waiters_.front().count_ <= room_) {
      room_ -= room_waiters_.front().count_;
      chosen(room_waiters_.front(), woken);
    }
  }
  wake_all(woken);
}

void BufferCache::wake_all(Waiters& woken) noexcept {
  while (Waiter* each = woken.pop_front()) each->wake(*each);
}

// Both REQUIRE the guard of the list.
void BufferCache::enqueue(Waiter& waiter, Waiters& list, Mutex& guard) noexcept {
  waiter.guard_ = &guard;
  waiter.waits_ = true;
  list.push_back(waiter);
}

void BufferCache::chosen(Waiter& waiter, Waiters& woken) noexcept {
  waiter.waits_ = false;
  waiter.link_.unlink();
  woken.push_back(waiter);
}

bool BufferCache::forget(Waiter& waiter) noexcept {
  Mutex* const guard = waiter.guard_;
  if (guard == nullptr) return false;
  {
    const MutexLock lock(*guard);
    if (!waiter.waits_) return false;
    waiter.waits_ = false;
    waiter.link_.unlink();
  }
  // Those behind one who wanted much may have enough; what nobody waits for may be written.
  if (guard == &room_mutex_) unreserve(0);
  tell_cleaners();
  return true;
}

// --- buffers
// --------------------------------------------------------------------------------------

// A buffer that has no block; null: there is none.
Buffer* BufferCache::unused() noexcept {
  const MutexLock lock(free_mutex_);
  Buffer* const first = free_;
  if (first != nullptr) free_ = std::exchange(first->next, nullptr);
  return first;
}

// A buffer that is nobody's; null: none in this shard. REQUIRES: the shard's lock, as all that
// takes a shard; a header that does not know Shard cannot say it to the analysis.
ASHLAR_NO_THREAD_ANALYSIS Buffer* BufferCache::spare(Shard& shard) noexcept {
  Buffer* const first = unused();
  return first != nullptr ? first : shard.evict();
}

// One of another shard's, of a different one each time. REQUIRES: no shard is locked.
Buffer* BufferCache::steal(const Shard* from_others_than) noexcept {
  const std::uint32_t first = next_robbed_.fetch_add(1, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    Shard& each = *shards_[(first + i) & (shards_.size() - 1)];
    if (&each == from_others_than) continue;
    const MutexLock lock(each.mutex);
    if (Buffer* const gone = each.evict()) return gone;
  }
  return nullptr;
}

void BufferCache::give_back(Buffer& buffer) noexcept {
  const MutexLock lock(free_mutex_);
  buffer.next = std::exchange(free_, &buffer);
}

Get BufferCache::get(std::uint64_t block, Access access, Waiter& waiter) noexcept {
  Shard& shard = shard_of(block);
  MutexLock lock(shard.mutex);
  for (std::uint64_t looks = 0;;) {
    if (Buffer* const there = shard.find(block)) {
      S3Fifo<Buffer>::hit(*there);
      return take(shard, *there, access, waiter);
    }
    Buffer* fresh = spare(shard);
    if (fresh == nullptr) {
      lock.unlock();
      fresh = steal(&shard);
      lock.lock();
      if (fresh == nullptr) {  // somebody is about to give one back, as invariant 3 says
        ASHLAR_ASSERT(++looks < kMostLooks && "a pin without reserved room");
        continue;
      }
      if (shard.find(block) != nullptr) {
        give_back(*fresh);
        continue;
      }
    }
    shard.insert(*fresh, block);
    ++shard.counts.misses;
    fresh->latch.store(Buffer::kAlone, std::memory_order_relaxed);
    return grant(*fresh, access);
  }
}

Pin BufferCache::try_read(std::uint64_t block) noexcept {
  Shard& shard = shard_of(block);
  const MutexLock lock(shard.mutex);
  Buffer* const there = shard.find(block);
  if (there == nullptr || !there->waiters.empty() ||
      (there->latch.load(std::memory_order_acquire) & Buffer::kAlone) != 0 || !there->valid) {
    return {};
  }
  // Nobody takes a latch without the shard's lock.
  there->latch.fetch_add(1, std::memory_order_acquire);
  S3Fifo<Buffer>::hit(*there);
  ++shard.counts.hits;
  return Pin(*this, *there, false);
}

Pin BufferCache::prefetch(std::uint64_t block) noexcept {
  Shard& shard = shard_of(block);
  const MutexLock lock(shard.mutex);
  if (shard.find(block) != nullptr) return {};
  Buffer* const fresh = spare(shard);
  if (fresh == nullptr) return {};
  shard.insert(*fresh, block);
  ++shard.counts.misses;
  fresh->latch.store(Buffer::kAlone, std::memory_order_relaxed);
  return Pin(*this, *fresh, true);
}

Pin BufferCache::scratch() noexcept {
  Buffer* fresh = unused();
  for (std::uint64_t looks = 0; fresh == nullptr; ++looks) {
    ASHLAR_ASSERT(looks < kMostLooks && "a pin without reserved room");
    fresh = steal(nullptr);
    if (fresh == nullptr) fresh = unused();
  }
  fresh->scratch = true;
  fresh->valid = false;
  return Pin(*this, *fresh, true);
}

// The latch of a buffer that is there, or a place in its queue.
ASHLAR_NO_THREAD_ANALYSIS Get BufferCache::take(Shard& shard, Buffer& buffer, Access access,
                                                Waiter& waiter) noexcept {
  if (buffer.waiters.empty()) {
    buffer.latch.fetch_and(~Buffer::kWaited, std::memory_order_acquire);
    const bool shared = access == Access::read && buffer.valid;
    for (int tries = 0; tries < 2; ++tries) {
      const std::uint32_t latch = buffer.latch.load(std::memory_order_acquire);
      const bool free =
          (latch & (shared ? Buffer::kAlone : Buffer::kAlone | Buffer::kReaders)) == 0;
      if (free) {
        buffer.latch.fetch_and(~Buffer::kWaited, std::memory_order_relaxed);
        buffer.latch.fetch_add(shared ? 1 : Buffer::kAlone, std::memory_order_acquire);
        if (buffer.valid) {
          ++shard.counts.hits;
        } else {
          ++shard.counts.misses;
        }
        return grant(buffer, access);
      }
      // Who lets go from now on hands it on; who has done so meanwhile has not seen us.
      buffer.latch.fetch_or(Buffer::kWaited, std::memory_order_acq_rel);
    }
  }
  waiter.access_ = access;
  enqueue(waiter, buffer.waiters, shard.mutex);
  return {};
}

// What one gets who has just taken the latch as `access` wants it, or alone where it is not valid.
Get BufferCache::grant(Buffer& buffer, Access access) noexcept {
  Get got;
  const bool alone = access != Access::read || !buffer.valid;
  const bool fills = access != Access::replace && !buffer.valid;
  got.kind = fills ? Get::Kind::fill : Get::Kind::ready;
  got.pin = Pin(*this, buffer, alone);
  if (access == Access::replace) buffer.valid = false;
  return got;
}

// The latch is free, or has readers: those whose turn it is get it. REQUIRES: the shard's lock.
void BufferCache::hand_on(Shard& shard, Buffer& buffer, Errc error, Waiters& woken) noexcept {
  static_cast<void>(shard);
  // A fill that failed: who waited for these bytes waits no more.
  for (Waiter* at = error == Errc::ok || buffer.waiters.empty() ? nullptr : &buffer.waiters.front();
       at != nullptr;) {
    Waiter* const next = buffer.waiters.next(*at);
    if (at->access_ != Access::replace) {
      at->got = Get{Get::Kind::failed, error, {}};
      chosen(*at, woken);
    }
    at = next;
  }
  while (!buffer.waiters.empty()) {
    Waiter& first = buffer.waiters.front();
    const std::uint32_t latch = buffer.latch.load(std::memory_order_acquire);
    const bool shared = first.access_ == Access::read && buffer.valid;
    if ((latch & (shared ? Buffer::kAlone : Buffer::kAlone | Buffer::kReaders)) != 0) return;
    buffer.latch.fetch_add(shared ? 1 : Buffer::kAlone, std::memory_order_acquire);
    first.got = grant(buffer, first.access_);
    chosen(first, woken);
  }
  buffer.latch.fetch_and(~Buffer::kWaited, std::memory_order_relaxed);
}

void BufferCache::let_go(Buffer& buffer, bool alone) noexcept {
  if (buffer.scratch) {
    buffer.scratch = false;
    return give_back(buffer);
  }
  const bool spoiled = alone && !buffer.valid;
  if (!spoiled) {
    const std::uint32_t mine = alone ? Buffer::kAlone : 1;
    const std::uint32_t before = buffer.latch.fetch_sub(mine, std::memory_order_seq_cst);
    const std::uint32_t left = before - mine;
    if (alone) tell_cleaners();
    if ((left & Buffer::kWaited) == 0 || (left & Buffer::kReaders) != 0) return;
  }
  Shard& shard = shard_of(buffer.block);
  Waiters woken;
  {
    const MutexLock lock(shard.mutex);
    if (spoiled) {
      // Replaced and not made good: what it was is lost.
      if (buffer.dirty) set_clean(shard, buffer);
      buffer.latch.fetch_sub(Buffer::kAlone, std::memory_order_acq_rel);
    }
    hand_on(shard, buffer, Errc::ok, woken);
    if (spoiled && buffer.error == Errc::ok && buffer.idle()) drop(shard, buffer);
  }
  if (spoiled) tell_cleaners();
  wake_all(woken);
}

void BufferCache::filled(Pin& pin, Access access, Errc error) noexcept {
  ASHLAR_ASSERT(pin && pin.alone_ && !pin.buffer_->valid);
  Buffer& buffer = *pin.buffer_;
  Shard& shard = shard_of(buffer.block);
  Waiters woken;
  {
    const MutexLock lock(shard.mutex);
    buffer.error = error;
    buffer.valid = error == Errc::ok;
    if (error != Errc::ok) {
      ++shard.counts.failed;
      buffer.latch.fetch_sub(Buffer::kAlone, std::memory_order_acq_rel);
      pin.buffer_ = nullptr;
      hand_on(shard, buffer, error, woken);
    } else if (access == Access::read) {
      buffer.latch.fetch_sub(Buffer::kAlone - 1, std::memory_order_acq_rel);
      pin.alone_ = false;
      hand_on(shard, buffer, Errc::ok, woken);
    }
  }
  wake_all(woken);
}

// --- pins
// -----------------------------------------------------------------------------------------

std::uint64_t Pin::block() const noexcept { return buffer_->block; }

ByteView Pin::bytes() const noexcept { return {buffer_->data, cache_->block_bytes_}; }

ByteSpan Pin::edit() noexcept {
  ASHLAR_ASSERT(alone_);
  return {buffer_->data, cache_->block_bytes_};
}

bool Pin::valid() const noexcept {
  ASHLAR_ASSERT(alone_);
  return buffer_->valid;
}

bool Pin::dirty() const noexcept {
  ASHLAR_ASSERT(alone_);
  return buffer_->dirty;
}

void Pin::spoil() noexcept {
  ASHLAR_ASSERT(alone_);
  buffer_->valid = false;
}

bool Pin::make_dirty() noexcept {
  ASHLAR_ASSERT(alone_ && !buffer_->scratch);
  BufferCache& cache = *cache_;
  BufferCache::Shard& shard = cache.shard_of(buffer_->block);
  const MutexLock lock(shard.mutex);
  if (!buffer_->dirty) {
    if (cache.dirty_.fetch_add(1, std::memory_order_relaxed) >= cache.dirty_most_) {
      cache.dirty_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    buffer_->dirty = true;
    buffer_->dirty_since = cache.dirtied_.fetch_add(1, std::memory_order_relaxed);
    shard.dirty.push_back(*buffer_);
  }
  buffer_->valid = true;
  return true;
}

void Pin::make_valid() noexcept {
  ASHLAR_ASSERT(alone_ && !buffer_->scratch);
  BufferCache::Shard& shard = cache_->shard_of(buffer_->block);
  const MutexLock lock(shard.mutex);
  buffer_->valid = true;
  buffer_->error = Errc::ok;
  if (buffer_->dirty) cache_->set_clean(shard, *buffer_);
}

void Pin::share() noexcept {
  ASHLAR_ASSERT(alone_ && buffer_->valid);
  BufferCache::Shard& shard = cache_->shard_of(buffer_->block);
  BufferCache::Waiters woken;
  {
    const MutexLock lock(shard.mutex);
    buffer_->latch.fetch_sub(Buffer::kAlone - 1, std::memory_order_seq_cst);
    alone_ = false;
    cache_->hand_on(shard, *buffer_, Errc::ok, woken);
  }
  cache_->tell_cleaners();
  BufferCache::wake_all(woken);
}

void Pin::release() noexcept {
  if (buffer_ == nullptr) return;
  cache_->let_go(*std::exchange(buffer_, nullptr), alone_);
}

// --- the rest
// -------------------------------------------------------------------------------------

// False: it is in use, and stays. REQUIRES: the shard's lock.
bool BufferCache::drop_unused(Shard& shard, Buffer& buffer) noexcept {
  if (buffer.latch.load(std::memory_order_acquire) != 0) return false;
  drop(shard, buffer);
  return true;
}

bool BufferCache::invalidate(Extent blocks) noexcept {
  const bool all = blocks.length <= kLookedUp ? invalidate_few(blocks) : invalidate_many(blocks);
  tell_cleaners();
  return all;
}

bool BufferCache::invalidate_few(Extent blocks) noexcept {
  bool all = true;
  for (std::uint64_t i = 0; i < blocks.length;) {
    Shard& shard = shard_of(blocks.offset + i);
    const MutexLock lock(shard.mutex);
    do {
      Buffer* const there = shard.find(blocks.offset + i);
      if (there != nullptr && !drop_unused(shard, *there)) all = false;
    } while (++i < blocks.length && (blocks.offset + i) % kNeighbours != 0);
  }
  return all;
}

bool BufferCache::invalidate_many(Extent blocks) noexcept {
  bool all = true;
  for (const auto& shard : shards_) {
    const MutexLock lock(shard->mutex);
    for (Buffer*& row : shard->table) {
      for (Buffer* each = row; each != nullptr;) {
        Buffer* const next = each->next;
        const bool meant = within_blocks(blocks, each->block);
        if (meant && !drop_unused(*shard, *each)) all = false;
        each = next;
      }
    }
  }
  return all;
}

void BufferCache::drop_clean() noexcept {
  for (const auto& shard : shards_) {
    const MutexLock lock(shard->mutex);
    for (Buffer*& row : shard->table) {
      for (Buffer* each = row; each != nullptr;) {
        Buffer* const next = each->next;
        if (each->idle()) drop(*shard, *each);
        each = next;
      }
    }
  }
}

ASHLAR_NO_THREAD_ANALYSIS void BufferCache::drop(Shard& shard, Buffer& buffer) noexcept {
  if (buffer.dirty) set_clean(shard, buffer);
  shard.policy.remove(buffer);
  shard.erase(buffer);
  give_back(buffer);
}

Errc BufferCache::error_of(std::uint64_t block) noexcept {
  Shard& shard = shard_of(block);
  const MutexLock lock(shard.mutex);
  const Buffer* const there = shard.find(block);
  return there == nullptr ? Errc::ok : there->error;
}

CacheCounts BufferCache::counts() const noexcept {
  CacheCounts all;
  for (const auto& shard : shards_) {
    const MutexLock lock(shard->mutex);
    all.hits += shard->counts.hits;
    all.misses += shard->counts.misses;
    all.evicted += shard->counts.evicted;
    all.written += shard->counts.written;
    all.failed += shard->counts.failed;
    all.held += shard->policy.size();
  }
  all.dirty = dirty_.load(std::memory_order_relaxed);
  return all;
}

}  // namespace ashlar::cache
