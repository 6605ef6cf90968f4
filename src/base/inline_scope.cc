// Scopes of inline code: what a thread runs, and how much processor time that took.
//
// A thread's processor time costs a system call, so it is not read at both ends of each scope. The
// monotonic clock is; it costs none. The processor time is sampled at the beginning of a scope when
// the last sample has grown old, and read at the end of one that took long by the monotonic clock:
//
//     sample           begin                          end
//       |-- lag <= 1/16 --|---------- elapsed -----------|       used >= cpu(end) - cpu(sample) -
//       lag
//
// so that a scope is blamed only for time that it used, and at most a sixteenth of the bound
// escapes.
#include "base/inline_scope.h"

#if ASHLAR_WITNESS

#include <time.h>

#include <atomic>
#include <cstdio>

#include "base/assert.h"

namespace ashlar {
namespace {

constexpr std::uint64_t kSampleAge = 16;  // the bound divided by this

// Under a sanitizer the longest request alone takes a good part of a second.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSlower = 20;
#else
constexpr std::uint64_t kSlower = 1;
#endif

std::atomic<std::uint64_t> step_bound_ns{kSlower * kStepBoundNs};

struct Sample {
  std::uint64_t monotonic_ns = 0;
  std::uint64_t processor_ns = 0;
};

thread_local constinit InlineScope* innermost = nullptr;
thread_local constinit Sample sample{};

std::uint64_t read_ns(clockid_t clock) noexcept {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t begin_ns() noexcept {
  const std::uint64_t now = read_ns(CLOCK_MONOTONIC);
  if (now - sample.monotonic_ns > step_bound_ns.load(std::memory_order_relaxed) / kSampleAge) {
    sample = {now, read_ns(CLOCK_THREAD_CPUTIME_ID)};
  }
  return now;
}

// The processor time that a scope surely used, or 0 where it was short anyway.
std::uint64_t used_ns(std::uint64_t started_ns, std::uint64_t bound_ns) noexcept {
  if (read_ns(CLOCK_MONOTONIC) - started_ns <= bound_ns) return 0;
  const std::uint64_t processor = read_ns(CLOCK_THREAD_CPUTIME_ID) - sample.processor_ns;
  // A scope within this one may have sampled anew; then its lag is none.
  const std::uint64_t lag = started_ns > sample.monotonic_ns ? started_ns - sample.monotonic_ns : 0;
  return processor > lag ? processor - lag : 0;
}

void print_work(const char* sentence, const InlineWork& work) noexcept {
  std::fprintf(stderr, "witness: %s %s of class '%.*s'\n", sentence, work.call,
               static_cast<int>(work.name.size()), work.name.data());
}

void check_locks(const char* sentence, const InlineWork& work) noexcept {
  if (!witness_holds_any()) return;
  print_work(sentence, work);
  witness_assert_none_held();
}

}  // namespace

InlineScope::InlineScope(const InlineWork& work) noexcept
    : work_(work), outer_(innermost), started_ns_(begin_ns()) {
  check_locks("a lock is carried into", work_);
  innermost = this;
}

InlineScope::~InlineScope() {
  innermost = outer_;
  check_locks("a lock is kept by", work_);
  const std::uint64_t bound_ns = step_bound_ns.load(std::memory_order_relaxed);
  const std::uint64_t used = work_.may_block ? 0 : used_ns(started_ns_, bound_ns);
  if (used <= bound_ns) return;
  print_work("too much processor time was used by", work_);
  std::fprintf(stderr, "witness: %llu ms, the bound is %llu ms\n",
               static_cast<unsigned long long>(used / 1'000'000),
               static_cast<unsigned long long>(bound_ns / 1'000'000));
  witness_print_stack("it was called here");
  assert_failed("inline code is short", __FILE__, __LINE__);
}

bool witness_must_not_block() noexcept {
  return innermost != nullptr && !innermost->work_.may_block;
}

void witness_assert_may_block(const char* what) noexcept {
  if (!witness_must_not_block()) return;
  const InlineWork work = innermost->work_;
  innermost = nullptr;  // what prints may block
  std::fprintf(stderr, "witness: %s may block\n", what);
  print_work("it is called in", work);
  witness_print_stack("the blocking call");
  assert_failed("inline code does not block", __FILE__, __LINE__);
}

std::uint64_t witness_set_step_bound(std::uint64_t bound_ns) noexcept {
  return step_bound_ns.exchange(bound_ns);
}

}  // namespace ashlar

#endif  // ASHLAR_WITNESS
