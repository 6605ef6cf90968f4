// Mutex, MutexLock and CondVar: POSIX's, with Clang's thread-safety annotations and with a
// machine-checked order of locks (base/witness.h).
//
//   inline constexpr LockClass kQueueLock{"engine.queue"};
//   class Queue {
//     Mutex mutex_{kQueueLock};
//     int pending_ ASHLAR_GUARDED_BY(mutex_) = 0;
//   };
//   MutexLock lock(mutex_);
//
// A lock class names all locks of one kind. The rules, checked in builds with ASHLAR_WITNESS:
// classes are always taken in the same order, two locks of one class are never held together,
// and a thread that waits on a condition holds no other lock. In release builds nothing is checked
// and nothing is paid.
#pragma once

#include <pthread.h>

#include "base/thread_annotations.h"
#include "base/witness.h"

namespace ashlar {

// THREAD: any. Not recursive. Held only for a bounded time: never across a verdict, a callback or
// a system call that may wait for a device.
class ASHLAR_CAPABILITY("mutex") Mutex {
 public:
  explicit Mutex(const LockClass& lock_class) noexcept : witness_(lock_class) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex();  // REQUIRES: not held.

  void lock() noexcept ASHLAR_ACQUIRE();
  void unlock() noexcept ASHLAR_RELEASE();

 private:
  friend class CondVar;

  pthread_mutex_t native_ = PTHREAD_MUTEX_INITIALIZER;
  [[no_unique_address]] Witness witness_;
};

// Holds a mutex for a scope; unlock() and lock() open a gap in it.
class ASHLAR_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) noexcept ASHLAR_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() ASHLAR_RELEASE() {
    if (held_) mutex_.unlock();
  }

  // REQUIRES: held.
  void unlock() noexcept ASHLAR_RELEASE() {
    held_ = false;
    mutex_.unlock();
  }

  // REQUIRES: given back by unlock().
  void lock() noexcept ASHLAR_ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// THREAD: any. A wait may end without a notification: wait in a loop over the condition.
class CondVar {
 public:
  CondVar() noexcept;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;
  ~CondVar();  // REQUIRES: nobody waits.

  void wait(Mutex& mutex) noexcept ASHLAR_REQUIRES(mutex);

  // Waits until notified or until the monotonic clock (CLOCK_MONOTONIC) shows `deadline_ns`
  // nanoseconds. Returns false when the deadline ended the wait.
  bool wait_until(Mutex& mutex, long long deadline_ns) noexcept ASHLAR_REQUIRES(mutex);

  void notify_one() noexcept { pthread_cond_signal(&native_); }
  void notify_all() noexcept { pthread_cond_broadcast(&native_); }

 private:
  pthread_cond_t native_;
};

}  // namespace ashlar
