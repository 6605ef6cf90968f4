// One I/O request, from its submission to its one completion.
//
//   +---------------------------- one allocation ------------------------------+
//   | Bio, two cache lines           | frame: fault record, then the pads      |
//   | what is asked | where it is    | of all layers on the path, at offsets   |
//   | 64 bytes      | 64 bytes       | that were fixed when it was compiled    |
//   +--------------------------------------------------------------------------+
//
// A bio is intrusive and never copied. A child (clone) is a header of its own whose payload points
// into its parent's vector; the parent counts its children and can find them.
//
// OWNERSHIP: whoever allocated the bio owns it again when `end_io` is called. In between it belongs
// to the stack; a layer may hold it, and must resume it exactly once.
// THREAD: at any moment one context (a lane or a worker) has the bio and alone touches it, but for
// `slot` and `cancel`, which are read and written atomically.
// A caller may keep bios in memory of its own (program/own_bio.h); the channels' pools have the
// rest. INVARIANTS: (1) after completion either error is set or done == length; (2) outstanding is
// the number of children in the list; (3) a root has no parent; a child's end is its parent's
// business.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/errc.h"
#include "base/list.h"
#include "bio/op.h"
#include "bio/payload.h"

namespace ashlar {

struct Bio;
class Generation;  // program/generation.h: the compiled program and the pools a bio runs with

// Called once when a root ends, in the context of the lane that it was submitted to. The bio is the
// caller's again: it may be freed, changed or submitted anew from here.
using EndIo = void (*)(Bio& bio) noexcept;

enum class BioState : std::uint8_t {
  idle,     // The owner's.
  running,  // The executor is at work on it right now.
  queued,   // In a context's run list; `direction` says how it goes on.
  held,     // A step keeps it, or its children are under way.
  parked,   // Waits for children to come free in the pool.
  transit,  // Between two contexts.
};

// How a bio goes on when a context takes it from a list.
enum class BioDirection : std::uint8_t {
  down,        // Run on_request of the step at pc.
  up,          // Walk upward from the step at pc.
  complete,    // Run on_complete of the step at pc.
  leave_down,  // Arrived through the hop at pc: follow its edge.
};

struct Bio {
  Bio() = default;
  Bio(const Bio&) = delete;
  Bio& operator=(const Bio&) = delete;

  // --- what is asked, and the result ------------------------------------------------------------
  Op op = Op::read;
  std::uint8_t flags = 0;
  Errc error = Errc::ok;
  BioState state = BioState::idle;
  std::int32_t pc = 0;            // the step that the bio is at
  std::uint64_t offset = 0;       // bytes, on the device that the current step serves
  std::uint64_t length = 0;       // bytes; 0 for flush
  std::uint64_t done = 0;         // bytes transferred; the whole length when error is ok
  Payload payload;                // read and write only
  Generation* home = nullptr;     // set by submit
  std::uint16_t outstanding = 0;  // children not yet ended
  std::uint16_t slot = 0;         // the context that has the bio: 0 its lane, else a worker
  std::uint8_t cancel = 0;        // somebody asked for its end
  BioDirection direction : 4 = BioDirection::down;
  bool uses_reserve : 1 = false;  // its children were promised by the step's reserve
  // Its step has begun what must not end midway: its children are carried out though it was
  // cancelled. Set and cleared by the step.
  bool shielded : 1 = false;
  bool foreign = false;   // the lane's: a root that a clone (in `children`) stands in for
  std::uint8_t room = 0;  // its owner's memory for a frame, in kRoomUnit; 0: a pool's bio

  // --- where it belongs -------------------------------------------------------------------------
  Bio* parent = nullptr;    // null for a root
  Bio* children = nullptr;  // any child; the others along `sibling_next`
  Bio* sibling_next = nullptr;
  Bio* sibling_previous = nullptr;
  EndIo end_io = nullptr;  // roots
  union {
    void* user = nullptr;  // roots: the owner's own
    std::uint64_t tag;     // children: what the splitting class wrote, for instance a leg
  };
  ListLink queue;  // whichever list the bio waits in

  // ----------------------------------------------------------------------------------------------
  std::byte* frame() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  bool is_root() const noexcept { return parent == nullptr; }
  bool ok() const noexcept { return error == Errc::ok; }
  bool fua() const noexcept { return (flags & kFua) != 0; }
  std::uint64_t end() const noexcept { return offset + length; }

  // False for a bare Bio, which has no place for where it failed.
  bool has_frame() const noexcept { return room != 0 || home != nullptr; }

  // Bytes that a caller's own bio has for its frame; 0 for those of a pool, which fit one device.
  std::uint32_t room_bytes() const noexcept { return room * kRoomUnit; }
  static constexpr std::uint32_t kRoomUnit = 64;
  static constexpr std::uint32_t kMaxRoomBytes = 255 * kRoomUnit;

  // For the step that carries the request out: the result, before it answers `done`.
  void succeed() noexcept {
    error = Errc::ok;
    done = length;
  }
  void fail(Errc code) noexcept {
    ASHLAR_ASSERT(code != Errc::ok);
    error = code;
  }

  bool cancel_requested() const noexcept { return __atomic_load_n(&cancel, __ATOMIC_RELAXED) != 0; }
};
static_assert(sizeof(Bio) == 128, "two cache lines before the frame");

// Where a failed request failed: first in the frame of a bio, written only on the way of an error.
struct Fault {
  std::int32_t step = -1;     // index in the program; -1: refused before the first step
  std::uint32_t program = 0;  // its Program::number
  std::uint64_t offset = 0;   // bytes, on the device that this step serves
};
static_assert(sizeof(Fault) == 16);

inline Fault& fault_of(Bio& bio) noexcept { return *reinterpret_cast<Fault*>(bio.frame()); }

}  // namespace ashlar
