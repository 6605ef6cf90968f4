// A request of a trial, with its memory: segments of random lengths with guard bytes around them.
//
// OWNERSHIP: of the Subject that it was submitted to (subject.h). THREAD: its lane's.
#pragma once

#include <string>
#include <vector>

#include "base/extent.h"
#include "base/random.h"
#include "bio/bio.h"
#include "conformance/block_model.h"

namespace ashlar::conformance {

struct Request {
  Op op = Op::read;
  std::uint8_t flags = 0;
  Extent extent;
  Version version = 0;     // of a write
  bool cancelled = false;  // somebody asked for its end
  Bio* bio = nullptr;      // until it is settled
  int ends = 0;
  Errc error = Errc::ok;  // once it is settled
  std::vector<std::byte> memory;
  std::vector<Segment> segments;

  bool ended() const { return ends > 0; }
  Payload payload() const {
    return {segments.data(), static_cast<std::uint32_t>(segments.size()), 0};
  }
  // The payload in one piece.
  std::vector<std::byte> bytes() const;
  // No byte outside of the segments was touched.
  bool guards_hold() const;
  // "write of 4096 bytes at byte 512, with FUA"
  std::string text() const;
};

// Gives it memory for its length, cut up by `random`.
void scatter(Request& request, Random& random);

}  // namespace ashlar::conformance
