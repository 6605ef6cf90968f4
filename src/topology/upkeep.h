// What a body wants done beside its users' requests: copies and parity to be made right, members to
// be filled. The body says what and keeps the score; whoever drives it (node/caretaker.h) sends
// requests with Op::repair, and decides how fast.
//
//   while (auto job = upkeep.due())                       or a check or repair that a user asks for
//     for each range of the job, in steps:  Op::repair    (kCheck: count only)
//     upkeep.progress(job, offset)                        everything of the job below it is done
//     upkeep.finish(job)
//
// THREAD: the driver's, one at a time; what says so, any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/extent.h"

namespace ashlar {

struct UpkeepJob {
  enum class Kind : std::uint8_t {
    check,     // counts what is wrong
    repair,    // and makes it right
    resync,    // what an unclean end may have left different
    recovery,  // of a member that is being filled
  };

  Kind kind = Kind::check;
  std::vector<Extent> ranges;  // of the provider's bytes, ascending, in whole steps
  std::uint32_t consumer = 0;  // recovery: whom it fills
  std::string text;            // for people: "recovery of place 2"
};

class Upkeep {
 public:
  virtual ~Upkeep() = default;

  // What has to be done by itself, the most urgent first; nothing: all is right.
  virtual std::optional<UpkeepJob> due() = 0;
  // All of the provider, for a check or a repair that somebody asks for.
  virtual UpkeepJob whole(UpkeepJob::Kind kind) = 0;
  // Requests are multiples of this, and begin at one.
  virtual std::uint64_t step_bytes() const = 0;

  // False: the job is of no use any more, because whom it fills has been dropped.
  virtual bool wanted(const UpkeepJob& /*job*/) const noexcept { return true; }
  // Everything of the job below `offset` (a byte of the provider) is done.
  virtual void progress(const UpkeepJob& job, std::uint64_t offset) noexcept = 0;
  // All of it is, and flushed. False: some of it is to be done again, or is of no use any more.
  virtual bool finish(const UpkeepJob& job) noexcept = 0;

  // Requests of users so far, for who gives way to them. THREAD: any.
  virtual std::uint64_t requests() const noexcept = 0;
  // Sectors of 512 bytes that checks and repairs have found wrong so far. THREAD: any.
  virtual std::uint64_t mismatches() const noexcept = 0;
};

}  // namespace ashlar
