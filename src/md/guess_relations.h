// What pages at the same offset of all members have to do with each other. For guess.cc and its
// parts.
//
// THREAD: one.
#pragma once

#include <vector>

#include "md/guess_pages.h"

namespace ashlar::md {

// A place at which one member is the sum of all: Q, of raid6.
struct QPlace {
  std::uint64_t offset = 0;
  std::size_t device = 0;
};

struct Relation {
  std::size_t holds = 0;
  std::size_t broken = 0;        // behind the first place where it holds
  std::uint64_t first = 0;       // where it holds first
  std::uint64_t not_before = 0;  // behind the last place before `first` where it does not
  bool likely() const noexcept { return holds >= 4 && holds >= 9 * broken; }
};

struct Relations {
  std::size_t pages = 0;       // looked at, of each member
  std::size_t with_bytes = 0;  // of these, at which not all members are zeros
  Relation equal;              // all are the same
  Relation sum_zero;           // and not because they are in pairs
  Relation sum_is_member;
  std::vector<QPlace> q_places;
  // Where members differ, or at least one has bytes: what hypotheses are tried on.
  std::vector<std::uint64_t> places;
  // Where data may begin, the likeliest first.
  std::vector<std::uint64_t> starts;
};

Relations find_relations(Pages& pages);

}  // namespace ashlar::md
