// Data with its lock: clang has nothing to say. See test/thread_safety.sh.
#include "base/mutex.h"

namespace {

constexpr ashlar::LockClass kLock{"test.good"};

class Counter {
 public:
  void add() ASHLAR_EXCLUDES(mutex_) {
    const ashlar::MutexLock lock(mutex_);
    ++count_;
  }

 private:
  ashlar::Mutex mutex_{kLock};
  int count_ ASHLAR_GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main() {
  Counter counter;
  counter.add();
}
