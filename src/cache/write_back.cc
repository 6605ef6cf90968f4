// The write-back half of the cache: what is dirty, in which order it is written, who waits for
// that.
//
// Locks nest clean -> shard -> order.
#include <algorithm>
#include <new>

#include "cache/buffer.h"
#include "cache/shard.h"

namespace ashlar::cache {

void BufferCache::set_clean(Shard& shard, Buffer& buffer) noexcept {
  static_cast<void>(shard);
  buffer.dirty = false;
  buffer.dirty_link.unlink();
  dirty_.fetch_sub(1, std::memory_order_relaxed);
  forget_order(buffer.block);
}

bool BufferCache::order(std::uint64_t first, std::uint64_t then) noexcept {
  if (first == then) return true;
  Shard& shard = shard_of(first);
  const MutexLock lock(shard.mutex);
  const Buffer* const there = shard.find(first);
  if (there == nullptr || !there->dirty) return true;
  const MutexLock order(order_mutex_);
  try {
    if (must_precede(then, first)) return false;
    before_.emplace(then, first);
  } catch (const std::bad_alloc&) {
    return false;
  }
  orders_.store(before_.size(), std::memory_order_relaxed);
  return true;
}

// Whether `block` is among what is to be written before `other`, directly or by others.
bool BufferCache::must_precede(std::uint64_t block, std::uint64_t other) {
  std::vector<std::uint64_t> found = {other};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [begin, end] = before_.equal_range(found[i]);
    for (auto at = begin; at != end; ++at) {
      if (at->second == block) return true;
      if (std::find(found.begin(), found.end(), at->second) == found.end()) {
        found.push_back(at->second);
      }
    }
  }
  return false;
}

// Under the lock of its shard nothing is ordered before it meanwhile.
bool BufferCache::waits_for_others(std::uint64_t block) noexcept {
  if (orders_.load(std::memory_order_relaxed) == 0) return false;
  const MutexLock lock(order_mutex_);
  return before_.count(block) != 0;
}

// `block` has been written, or is lost: nobody waits for it any more.
void BufferCache::forget_order(std::uint64_t block) noexcept {
  if (orders_.load(std::memory_order_relaxed) == 0) return;
  const MutexLock lock(order_mutex_);
  std::erase_if(before_, [=](const auto& each) { return each.second == block; });
  orders_.store(before_.size(), std::memory_order_relaxed);
}

// REQUIRES: the lock of its shard.
bool BufferCache::may_be_written(Buffer& buffer, Extent blocks, std::uint64_t until) noexcept {
  return buffer.dirty && !buffer.writing && buffer.dirty_since < until &&
         within_blocks(blocks, buffer.block) && buffer.waiters.empty() &&
         (buffer.latch.load(std::memory_order_seq_cst) & Buffer::kAlone) == 0 &&
         !waits_for_others(buffer.block);
}

bool BufferCache::take_dirty(Extent blocks, std::uint64_t until, std::uint32_t most,
                             DirtyRun& run) noexcept {
  const auto may_write = [&](Buffer* each) {
    return each != nullptr && may_be_written(*each, blocks, until);
  };
  for (const auto& shard : shards_) {
    const MutexLock lock(shard->mutex);
    if (shard->dirty.empty()) continue;
    Buffer* start = &shard->dirty.front();
    while (start != nullptr && !may_write(start)) start = shard->dirty.next(*start);
    if (start == nullptr) continue;
    // Its neighbours, within the group that shares the shard.
    const std::uint64_t group = start->block / kNeighbours;
    std::uint64_t first = start->block;
    std::uint64_t behind = first + 1;
    const auto fits = [&](std::uint64_t block) ASHLAR_NO_THREAD_ANALYSIS {
      return behind - first < most && block / kNeighbours == group && may_write(shard->find(block));
    };
    while (first > 0 && fits(first - 1)) --first;
    while (fits(behind)) ++behind;
    run.first = first;
    run.count = 0;
    for (std::uint64_t block = first; block < behind; ++block) {
      Buffer& each = *shard->find(block);
      each.writing = true;
      each.latch.fetch_add(1, std::memory_order_acquire);
      run.pins[run.count++] = Pin(*this, each, false);
    }
    return true;
  }
  return false;
}

void BufferCache::written(DirtyRun& run, Errc error) noexcept {
  ASHLAR_ASSERT(run.count > 0);
  {
    Shard& shard = shard_of(run.first);
    const MutexLock lock(shard.mutex);
    for (const Pin& pin : run.used()) {
      Buffer& each = *pin.buffer_;
      each.writing = false;
      each.error = error;
      if (error == Errc::ok) {
        set_clean(shard, each);
        ++shard.counts.written;
      } else {
        ++shard.counts.failed;
        each.dirty_link.unlink();
        shard.dirty.push_back(each);
      }
    }
  }
  for (; run.count > 0; --run.count) run.pins[run.count - 1].release();
  tell_cleaners();
}

// Some dirty buffer is not in the way of who wanted to write it any more, or not dirty.
void BufferCache::tell_cleaners() noexcept {
  if (!cleaners_wait_.load(std::memory_order_seq_cst)) return;
  Waiters woken;
  {
    const MutexLock lock(clean_mutex_);
    cleaners_wait_.store(false, std::memory_order_relaxed);
    while (!clean_waiters_.empty()) chosen(clean_waiters_.front(), woken);
  }
  wake_all(woken);
}

// The waiter waits before anything is looked at: who lets go of a buffer that was seen in use looks
// for waiters after that.
Cleaning BufferCache::clean(Extent blocks, std::uint64_t until, Waiter& waiter) noexcept {
  const MutexLock cleaning(clean_mutex_);
  enqueue(waiter, clean_waiters_, clean_mutex_);
  cleaners_wait_.store(true, std::memory_order_seq_cst);
  Cleaning found = Cleaning::clean;
  for (const auto& shard : shards_) {
    const MutexLock lock(shard->mutex);
    if (shard->dirty.empty() || found == Cleaning::take) continue;
    for (Buffer* at = &shard->dirty.front(); at != nullptr; at = shard->dirty.next(*at)) {
      if (at->dirty_since >= until || !within_blocks(blocks, at->block)) continue;
      found = may_be_written(*at, blocks, until) ? Cleaning::take : Cleaning::wait;
      if (found == Cleaning::take) break;
    }
  }
  if (found != Cleaning::wait) {
    waiter.waits_ = false;
    waiter.link_.unlink();
  }
  return found;
}

}  // namespace ashlar::cache
