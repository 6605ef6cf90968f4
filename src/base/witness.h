// The witness: records in which order the classes of locks are taken, and ends the program at the
// first lock that is taken against that order, with both stacks. The idea and the name are
// FreeBSD's.
//
// Since a request's steps run in whatever thread submits it, one that carries somebody else's lock
// along is the classic danger; `witness_assert_none_held()` guards the places where no lock may be
// carried across (callbacks, verdicts, waiting).
//
// On when ASHLAR_WITNESS is 1, which is the default unless NDEBUG is defined. All parts of a
// program must be built with the same setting. Off, everything here compiles to nothing.
//
// THREAD: any, all of it. The order of locks is a property of the whole process, so the record is
// process-wide too; it is diagnostic state only.
#pragma once

#if !defined(ASHLAR_WITNESS)
#if defined(NDEBUG)
#define ASHLAR_WITNESS 0
#else
#define ASHLAR_WITNESS 1
#endif
#endif

namespace ashlar {

// Names all locks of one kind. Two objects with the same name are the same class. `name` is a
// string literal, "part.what".
//
// `sleepable` is for locks of the control path that serialize whole events, for instance opening a
// device, which reads from disks: such a lock may be held while its thread waits and while steps
// and callbacks run in it. Its order is checked like any other's. (FreeBSD makes the same
// difference between its sleepable sx locks and its mutexes.) Everything that the data path takes
// is not.
struct LockClass {
  const char* name;
  bool sleepable = false;
};

// The most classes a process may have, and the most locks a thread may hold. Ours are a dozen and
// two; more is a mistake that the witness reports.
inline constexpr int kMaxLockClasses = 64;
inline constexpr int kMaxHeldLocks = 8;

#if ASHLAR_WITNESS

// One lock's part of the witness: a member of Mutex.
class Witness {
 public:
  explicit Witness(const LockClass& lock_class) noexcept;

  void before_lock() noexcept;    // Reports an order that contradicts an earlier one.
  void before_unlock() noexcept;  // REQUIRES: this thread holds the lock.
  void before_wait() noexcept;    // REQUIRES: this thread holds this lock and no other but
                                  // sleepable ones, and is not in an InlineScope.

 private:
  int class_index_;
};

// Ends the program, naming the locks, when this thread holds one that is not sleepable.
void witness_assert_none_held() noexcept;

// True where witness_assert_none_held() would end the program.
bool witness_holds_any() noexcept;

// For reports: the stack of the caller, on standard error, under a title.
void witness_print_stack(const char* title) noexcept;

#else

class Witness {
 public:
  explicit constexpr Witness(const LockClass&) noexcept {}
  constexpr void before_lock() noexcept {}
  constexpr void before_unlock() noexcept {}
  constexpr void before_wait() noexcept {}
};

constexpr void witness_assert_none_held() noexcept {}
constexpr bool witness_holds_any() noexcept { return false; }
constexpr void witness_print_stack(const char*) noexcept {}

#endif

}  // namespace ashlar
