// What users say and see of the work that is done on an array beside their requests
// (topology/upkeep.h): Node::start_upkeep and its fellows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "topology/upkeep.h"

namespace ashlar {

struct UpkeepOptions {
  enum class Work : std::uint8_t {
    due,     // what has to be done: recovery, resync
    check,   // all of it is read and compared, nothing is written
    repair,  // and what does not fit is made right
  };
  static constexpr unsigned kDefaultShare = 20;

  Work work = Work::due;
  // Percent of the time that it takes while there are requests of users; 100: all of it.
  unsigned share_percent = kDefaultShare;
};

struct UpkeepStatus {
  enum class State : std::uint8_t {
    idle,     // nothing was started, or nothing was due
    running,  //
    done,     //
    stopped,  // by a user; what is due goes on later from where it was
    failed,
  };

  State state = State::idle;
  std::string work;  // "recovery of place 2": now, or last
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t bytes_per_second = 0;  // of the present work, since it began
  // Sectors of 512 bytes that did not fit, since it was started.
  std::uint64_t mismatches = 0;
  std::uint64_t unread_bytes = 0;  // could not be checked
  std::uint32_t works = 0;         // that were done
  std::string problem;             // a sentence, where it failed
};

std::string_view to_string(UpkeepStatus::State state) noexcept;

inline constexpr LockClass kUpkeepReportLock{"node.upkeep"};

// Where the one who does the work tells how far it is. THREAD: any.
class UpkeepReport {
 public:
  UpkeepStatus status() const;
  bool running() const { return status().state == UpkeepStatus::State::running; }
  // Waits until it has ended, `timeout_ms` at the most. True: it has.
  bool wait(unsigned timeout_ms) const;

  // --- for who does it
  template <typename Change>
  void change(Change&& change) {
    const MutexLock lock(mutex_);
    change(status_);
  }
  // Something more may be due: it is to be asked once more before the end. False: too late.
  bool ask_again();
  // True: it ends so. False: ask_again() was called, and it was to be done.
  bool settle(UpkeepStatus::State state, const std::string& problem);
  bool settled() const;
  // What was settled is what everybody sees from now on: the device is closed.
  void end();

 private:
  mutable Mutex mutex_{kUpkeepReportLock};
  mutable CondVar ended_;
  UpkeepStatus status_ ASHLAR_GUARDED_BY(mutex_);
  bool again_ ASHLAR_GUARDED_BY(mutex_) = false;
  // How it ends, before everybody sees it.
  std::optional<UpkeepStatus::State> settled_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar
