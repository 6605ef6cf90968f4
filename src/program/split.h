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

class Split {
 public:
  Split(Context& cx, Bio& parent) noexcept;

  // A child for `length` bytes of the parent, from `skip` bytes into it, that goes to `consumer` at
  // `offset` (bytes, on that consumer's device). `tag` is the class's own.
  Bio& add(std::uint32_t consumer, std::uint64_t offset, std::uint64_t skip, std::uint64_t length,
           std::uint64_t tag = 0) noexcept;

  // REQUIRES: at least one child.
  Verdict verdict() const noexcept;

 private:
  friend class Context;
  static void append(Bio& parent, Bio& child) noexcept;
  static void remove(Bio& parent, Bio& child) noexcept;

  Bio& parent_;
  Generation& home_;
  const Step& step_;
};

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
