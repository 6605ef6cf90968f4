// The locks' calls into POSIX, each with its report to the witness.
//
// Invariant: the witness hears of a lock before the thread can block on it, so that an inversion is
// reported rather than met as a deadlock.
#include "base/mutex.h"

#include <cerrno>

#include "base/assert.h"

namespace ashlar {
namespace {

constexpr long long kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

Mutex::~Mutex() {
  const int error = pthread_mutex_destroy(&native_);
  ASHLAR_ASSERT(error == 0);
}

void Mutex::lock() noexcept {
  witness_.before_lock();
  const int error = pthread_mutex_lock(&native_);
  ASHLAR_ASSERT(error == 0);
}

void Mutex::unlock() noexcept {
  witness_.before_unlock();
  const int error = pthread_mutex_unlock(&native_);
  ASHLAR_ASSERT(error == 0);
}

CondVar::CondVar() noexcept {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  const int error = pthread_cond_init(&native_, &attributes);
  ASHLAR_ASSERT(error == 0);
  pthread_condattr_destroy(&attributes);
}

CondVar::~CondVar() { pthread_cond_destroy(&native_); }

void CondVar::wait(Mutex& mutex) noexcept {
  mutex.witness_.before_wait();
  const int error = pthread_cond_wait(&native_, &mutex.native_);
  ASHLAR_ASSERT(error == 0);
}

bool CondVar::wait_until(Mutex& mutex, long long deadline_ns) noexcept {
  mutex.witness_.before_wait();
  const timespec deadline{.tv_sec = deadline_ns / kNanosecondsPerSecond,
                          .tv_nsec = deadline_ns % kNanosecondsPerSecond};
  const int error = pthread_cond_timedwait(&native_, &mutex.native_, &deadline);
  ASHLAR_ASSERT(error == 0 || error == ETIMEDOUT);
  return error == 0;
}

}  // namespace ashlar
