// Waking somebody without holding the lock that he is about to take.
//
//   MutexLock lock(mutex_);
//   ...                                   // what there is to see
//   const Wakes::Token token(wakes_);     // under the lock
//   lock.unlock();
//   wake_.notify_one();                   // he finds the lock free
//
// Under the lock, the one who is woken runs into it and sleeps again: two more switches. Without
// it, he may see what there was, be done, and end before he is woken: so he waits, at his end,
// until those who are about to wake him have done so.
//
// THREAD: any.
#pragma once

#include <atomic>
#include <thread>

namespace ashlar {

class Wakes {
 public:
  // One wake-up that is about to be.
  class Token {
   public:
    explicit Token(Wakes& wakes) noexcept : wakes_(wakes) {
      wakes_.under_way_.fetch_add(1, std::memory_order_relaxed);
    }
    Token(const Token&) = delete;
    Token& operator=(const Token&) = delete;
    ~Token() { wakes_.under_way_.fetch_sub(1, std::memory_order_release); }

   private:
    Wakes& wakes_;
  };

  // Returns when none is under way. A wake-up is a system call that never blocks, so this is soon.
  // REQUIRES: no new ones, and the lock was taken since the last began.
  void settle() const noexcept {
    while (under_way_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }

 private:
  std::atomic<unsigned> under_way_{0};
};

}  // namespace ashlar
