// What a request of raid1 or raid10 keeps while it is under way (copies_array.cc).
#pragma once

#include <algorithm>
#include <new>
#include <vector>

#include "base/extent.h"
#include "class/balance.h"
#include "class/md/array.h"
#include "class/md/correction_gate.h"
#include "class/md/recorder.h"

namespace ashlar {

static_assert(kMaxMdMembers <= kMaxChoices);

// What is read at once where a copy has failed. Disks fail in sectors of this size at most.
inline constexpr std::uint64_t kCopiesPieceBytes = 4096;

enum class CopiesPhase : std::uint8_t {
  // Reads.
  whole,       // of one copy
  chunks,      // a child for each chunk
  pieces,      // one after the other
  locking,     // a piece is to be corrected, and waits for changes of it
  rereading,   // from a copy that had it
  correcting,  // and written to those who had not
  // Changes.
  entering,  // waits for a correction
  opening,   // what must be on the members before the data
  data,      // a child for each copy
  closing,   // what must be on the members before the end
  // Repairs, piece by piece.
  repair_locking,
  repair_reading,
  repair_writing,
};

class CopyRepair;

struct CopiesPad {
  std::uint64_t at;     // pieces: bytes of the request that are there
  std::uint32_t piece;  // pieces: the bytes under way
  MemberSet tried;      // pieces: members that did not deliver the present one
  MemberSet suspects;   // pieces: members that failed some of the request, and are tried first
  MemberSet bad;        // members that failed
  CopiesPhase phase;
  std::uint8_t role;   // whole, pieces: the member
  bool counted;        // whole: Balance is to hear of the end
  bool lacking;        // chunks: one of them had no copy to be read as a whole
  bool narrow;         // pieces: in single blocks
  bool entered;        // `entry` is made
  bool cancelled;      // changes: a child was, because the request was
  bool torn;           // changes: a member may hold a part of it
  Errc error;          // of the last member that failed
  bool everyone;       // changes: every place had a member when it began
  CopyRepair* repair;  // repairs
  MdRecordPad record;
  alignas(8) std::byte entry[sizeof(CorrectionGate::Entry)];

  CorrectionGate::Entry& its_entry() noexcept {
    return *std::launder(reinterpret_cast<CorrectionGate::Entry*>(entry));
  }
};

// The member refused the request as such, and no byte on it changed.
inline bool changed_nothing(Errc error) {
  return error == Errc::unsupported || error == Errc::invalid || error == Errc::out_of_range ||
         error == Errc::read_only || error == Errc::permission;
}

// Where a range of the array is read.
struct CopyChoice {
  std::uint32_t role = MdPlace::kNobody;
  std::uint64_t offset = 0;  // bytes, of the member's data
  bool counted = false;

  bool any() const noexcept { return role != MdPlace::kNobody; }
};

}  // namespace ashlar
