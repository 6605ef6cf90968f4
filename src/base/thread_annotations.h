// Clang's thread-safety attributes under our own names; nothing with other compilers.
//
//   int pending_ ASHLAR_GUARDED_BY(mutex_);
//   void finish() ASHLAR_REQUIRES(mutex_);
//
// Clang with -Wthread-safety then refuses to compile an access without the lock.
#pragma once

#if defined(__clang__)
#define ASHLAR_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define ASHLAR_THREAD_ATTRIBUTE(x)
#endif

// On a type: it is a lock, called `name` in the compiler's messages.
#define ASHLAR_CAPABILITY(name) ASHLAR_THREAD_ATTRIBUTE(capability(name))
// On a type: it takes a lock in its constructor and gives it back in its destructor.
#define ASHLAR_SCOPED_CAPABILITY ASHLAR_THREAD_ATTRIBUTE(scoped_lockable)

// On data: it, or what it points to, may be touched only with the lock held.
#define ASHLAR_GUARDED_BY(lock) ASHLAR_THREAD_ATTRIBUTE(guarded_by(lock))
#define ASHLAR_POINTEE_GUARDED_BY(lock) ASHLAR_THREAD_ATTRIBUTE(pt_guarded_by(lock))

// On a function: its caller holds the lock; its caller must not hold it; it takes it; it gives
// it back; it ends the program unless the lock is held.
#define ASHLAR_REQUIRES(...) ASHLAR_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ASHLAR_EXCLUDES(...) ASHLAR_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ASHLAR_ACQUIRE(...) ASHLAR_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ASHLAR_RELEASE(...) ASHLAR_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define ASHLAR_ASSERT_HELD(...) ASHLAR_THREAD_ATTRIBUTE(assert_capability(__VA_ARGS__))

// On a function: what it does is right, but past the analysis. Say why beside it.
#define ASHLAR_NO_THREAD_ANALYSIS ASHLAR_THREAD_ATTRIBUTE(no_thread_safety_analysis)
