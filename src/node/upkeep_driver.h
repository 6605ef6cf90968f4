// Does the work that an array wants done beside its users' requests (topology/upkeep.h): sends
// requests with Op::repair to it, a few at a time and in order, and gives way to users.
//
//   next_job -> requests, kDepth at a time ... -> flush -> finish() -> flush, quiet -> next_job
//                 |      ^        |
//                 |      +- rest -+  while users ask for something: so that the share is kept
//                 +- every few seconds: progress(), and a quiet flush that puts it on the members
//
// FAILURES: what could not be checked is skipped and counted. Anything else is tried once more from
// where all is done below; where that gains nothing, the work has failed, with a sentence.
// STOPPING: what is under way ends, and how far it is is put on the members.
//
// THREAD: made anywhere; then the caretaker's, on its lane.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "node/device.h"
#include "node/upkeep_report.h"

namespace ashlar {

class UpkeepDriver {
 public:
  // Whole steps, as many as fit, or one: a stripe of 16 disks with chunks of 512 KiB is longer.
  static constexpr std::uint64_t kRequestBytes = 1 * kMiB;
  static constexpr std::size_t kDepth = 4;
  static constexpr std::uint64_t kCheckpointNs = 5'000'000'000;
  // The longest that it rests without looking whether there is still somebody to rest for.
  static constexpr std::uint64_t kRestNs = 100'000'000;
  // What a member is told of how far it is, at the least: so many parts of the whole.
  static constexpr std::uint64_t kCheckpoints = 20;

  // `upkeep` is of the device's geom, and lives as long as the device is open. `first`: what is
  // done first; what is due comes then, unless it was a check or a repair.
  struct Parts {
    Upkeep* upkeep;
    std::unique_ptr<Device> device;
    UpkeepJob first;
    UpkeepOptions options;
    std::shared_ptr<UpkeepReport> report;
  };
  explicit UpkeepDriver(Parts parts) : parts_(std::move(parts)) {}
  UpkeepDriver(const UpkeepDriver&) = delete;
  UpkeepDriver& operator=(const UpkeepDriver&) = delete;
  // REQUIRES: ended.
  ~UpkeepDriver();

  // Begins, on `lane`. Where there is no memory for it, the work has failed.
  void start(Lane& lane);
  // Comes to an end soon, wherever it is.
  void stop();
  // Nothing is under way and nothing will be.
  bool ended() const { return ended_; }
  const std::shared_ptr<UpkeepReport>& report() const { return parts_.report; }

 private:
  enum class Phase : std::uint8_t { working, flushing, telling, over };

  struct Slot {
    UpkeepDriver* driver = nullptr;
    Extent extent;
    bool busy = false;
  };
  // Outlives the driver, for tasks that come late.
  struct Call {
    UpkeepDriver* driver;
  };

  void begin(UpkeepJob job);
  void next_job();
  void turn();
  void work();
  bool ask_for_more();
  void submit(Slot& slot);
  void note_failure(std::uint64_t offset, Errc error);
  void flush(std::uint8_t flags);
  static void end_request(Bio& bio) noexcept;
  static void end_flush(Bio& bio) noexcept;
  void turn_soon();

  void end_pass();
  void after_flush();
  void give_way();
  void rest_on(std::uint64_t now);
  bool rests();
  std::uint64_t all_done_below() const;
  void tell_progress();
  bool checks() const { return job_.kind == UpkeepJob::Kind::check; }
  std::uint64_t done_bytes(std::uint64_t offset) const;
  void report_progress();
  void end(UpkeepStatus::State state, const std::string& problem = {});

  Parts parts_;
  Lane* lane_ = nullptr;
  std::unique_ptr<Channel> channel_;
  std::shared_ptr<Call> call_ = std::make_shared<Call>(Call{this});
  std::array<Slot, kDepth> slots_;
  bool turn_posted_ = false;

  // --- the job
  UpkeepJob job_;
  bool from_due_ = false;
  Phase phase_ = Phase::working;
  std::size_t range_ = 0;        // what is asked for next: a range of the job,
  std::uint64_t at_ = 0;         // and a byte of the device in it
  std::uint32_t under_way_ = 0;  // requests, without flushes
  bool flushing_ = false;        // a flush is under way
  bool finish_said_ = false;     // what finish() said
  bool useless_ = false;         // whom it fills has been dropped
  std::uint32_t fruitless_ = 0;  // times that finish() said no

  // --- failures
  Errc error_ = Errc::ok;         // of this pass
  std::uint64_t failed_at_ = 0;   // the lowest request that failed in it
  Errc flush_error_ = Errc::ok;   //
  bool tried_again_ = false;      // from `tried_from_`
  std::uint64_t tried_from_ = 0;  //

  // --- time
  std::uint64_t job_began_ns_ = 0;
  std::uint64_t batch_began_ns_ = 0;
  std::uint32_t batch_ended_ = 0;     // requests of it
  std::uint64_t users_requests_ = 0;  // when it began
  bool drains_ = false;               // then it rests
  std::uint64_t rest_until_ns_ = 0;   // 0: it does not
  std::uint64_t checkpoint_ns_ = 0;   // the last
  std::uint64_t checkpoint_bytes_ = 0;
  Timer timer_;

  std::uint64_t mismatches_before_ = 0;
  bool stopping_ = false;
  bool ended_ = false;
};

}  // namespace ashlar
