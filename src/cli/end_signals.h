// Signals that end a verb which has something to put in order first.
//
// THREAD: the main thread.
#pragma once

#include <signal.h>

#include <ctime>

namespace ashlar::cli {

// Blocked in every thread from before the first one starts, so that they wait to be asked for and
// interrupt nothing.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&set_);
    for (const int each : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, each);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  // From here on a second signal ends the process at once.
  ~EndSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  void wait_for() {
    int number = 0;
    while (sigwait(&set_, &number) != 0) {
    }
  }
  // The signal that has come, or 0.
  int look() {
    const timespec now = {};
    const int number = sigtimedwait(&set_, nullptr, &now);
    return number > 0 ? number : 0;
  }

 private:
  sigset_t set_;
  sigset_t before_;
};

}  // namespace ashlar::cli
