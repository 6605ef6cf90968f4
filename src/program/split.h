// Builds the children of a bio: all are registered before the first starts.
//
//   Split split(cx, bio);
//   split.add(leg, offset_on_leg, /*skip=*/0, bio.length);
//   return split.verdict();
//
// The executor has set children aside before it called the step, so add() cannot fail as long as a
// step builds no more than its max_children.
#pragma once

#include "program/context.h"

namespace ashlar {

// A request of a class's own making: Split::add_own().
struct OwnRequest {
  Op op = Op::read;
  std::uint8_t flags = 0;
  std::uint32_t consumer = 0;
  std::uint64_t offset = 0;  // bytes, on that consumer's device
  std::uint64_t length = 0;  // bytes; no longer than what the device above takes
  Payload payload{};         // read and write; stays until the child has ended
  std::uint64_t tag = 0;
};

class Split {
 public:
  Split(Context& cx, Bio& parent) noexcept;

  // A child for `length` bytes of the parent, from `skip` bytes into it, that goes to `consumer` at
  // `offset` (bytes, on that consumer's device). `tag` is the class's own.
  Bio& add(std::uint32_t consumer, std::uint64_t offset, std::uint64_t skip, std::uint64_t length,
           std::uint64_t tag = 0) noexcept;

  // A child that is no part of the parent, but goes along with it: an entry for a log, say. Its
  // bytes and its error are merged like any child's; the class says in on_complete what the
  // parent's result is.
  Bio& add_own(const OwnRequest& request) noexcept;

  // A child for `length` bytes of the parent, from `skip` bytes into it, that comes to this very
  // step: on_request gets it as it gets any request, with a pad of its own. When it has ended it
  // joins its parent; one that was answered with forward() does so without on_complete.
  // REQUIRES: the class says kBuildsParts; the parent is not a part itself.
  Bio& add_part(std::uint64_t skip, std::uint64_t length, std::uint64_t tag = 0) noexcept;

  // REQUIRES: at least one child.
  Verdict verdict() const noexcept;

 private:
  friend class Context;
  Bio& fresh(std::uint64_t tag) noexcept;
  static void append(Bio& parent, Bio& child) noexcept;
  static void remove(Bio& parent, Bio& child) noexcept;

  Bio& parent_;
  Generation& home_;
  const Step& step_;
};

// True where `bio` was built by add_part() at the step where it is.
inline bool is_part(const Bio& bio) noexcept {
  return bio.parent != nullptr && bio.parent->pc == bio.pc;
}

// Passes `bio` over `edge`: the framework's check of range and alignment, and the folded maps.
inline void cross(Bio& bio, const Edge& edge) noexcept {
  std::uint64_t end = 0;
  const bool wraps = __builtin_add_overflow(bio.offset, bio.length, &end);
  ASHLAR_ASSERT(!wraps && end <= edge.size_bytes);
  ASHLAR_ASSERT(((bio.offset | bio.length) & edge.align_mask) == 0);
  // A flush has no place: it stays at 0, wherever the folded maps lead.
  bio.offset = bio.length != 0 ? bio.offset + edge.add_bytes : 0;
  bio.pc = edge.target;
}

}  // namespace ashlar
