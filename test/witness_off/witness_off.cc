// Goal: with ASHLAR_WITNESS off, which is how release builds are made, the checker costs nothing:
// its types are empty, its functions can be evaluated at compile time to nothing, and a lock is as
// large as POSIX's.
// Method: all of it is asserted while this file compiles, with ASHLAR_WITNESS=0 and optimization;
// the object is then searched, with those of the executor and the locks, for symbols of the witness
// (test/witness_off/check.py).
#include <pthread.h>

#include <type_traits>

#include "base/inline_scope.h"
#include "base/mutex.h"
#include "program/step_guard.h"

static_assert(ASHLAR_WITNESS == 0, "built without the witness");

namespace ashlar {
namespace {

static_assert(std::is_empty_v<Witness> && std::is_trivially_destructible_v<Witness>);
static_assert(std::is_empty_v<InlineScope> && std::is_trivially_destructible_v<InlineScope>);
static_assert(std::is_empty_v<StepGuard> && std::is_trivially_destructible_v<StepGuard>);
static_assert(sizeof(Mutex) == sizeof(pthread_mutex_t));

consteval bool does_nothing() {
  Witness witness(LockClass{"test.none"});
  witness.before_lock();
  witness.before_wait();
  witness.before_unlock();
  [[maybe_unused]] const InlineScope scope({"on_request", "none"});
  witness_assert_none_held();
  witness_assert_may_block("nothing");
  witness_print_stack("nothing");
  return !witness_holds_any() && !witness_must_not_block();
}
static_assert(does_nothing());

}  // namespace

// One use of each that a compiler could leave something of.
int use_everything(Mutex& mutex, const Bio& bio) noexcept {
  const MutexLock lock(mutex);
  [[maybe_unused]] const StepGuard guard("on_request", bio);
  [[maybe_unused]] const InlineScope scope({"on_request", "none"});
  witness_assert_none_held();
  return 1;
}

}  // namespace ashlar
