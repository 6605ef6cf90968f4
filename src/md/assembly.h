// Which devices make up which arrays, decided from their superblocks alone: never from the order in
// which they come, or from their names.
//
//   superblocks -> arrays by UUID -> the freshest says who has which place
//                                 -> each other device takes its place, or is left out, and why
//                                 -> can the array run, and what must be repaired
//
// The rules are the kernel's (analyze_sbs, super_90_validate, super_1_validate, do_md_run and the
// run functions of the levels in drivers/md) and mdadm's (Assemble.c), with what they leave to
// chance turned into a refusal:
//
// - The freshest superblock is the one with most events among those that have a place.
// - A member whose count is one lower is taken: an update was interrupted. Whether it still belongs
//   to the array is read from the freshest superblock then, not from its own. One with less is
//   stale and is left out.
// - A member that records the freshest one as failed is left out. Where two of equal count say so
//   of each other, the array has been split in two, and nobody can tell which half is meant.
// - Two devices with one place and one count are copies of each other: the array is refused.
// - A dirty raid4, 5 or 6 with a member missing may have stripes whose parity is wrong, and then
//   what is computed from it is wrong: refused unless the user insists.
//
// THREAD: any; pure functions over values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "md/layout.h"
#include "md/superblock.h"

namespace ashlar::md {

struct Candidate {
  std::string name;  // for sentences
  Superblock superblock;
};

// A device in a place of the array. `candidate` is an index into what was given.
struct Member {
  std::size_t candidate = 0;
  // Only bytes below this (of its data) are valid; kAll: it is in sync.
  std::uint64_t recovery_offset_bytes = kAll;
  // What it lacks is in the bitmap; it is to be brought up to date by that alone.
  bool recovery_by_bitmap = false;
  // Its superblock is one update behind and must be written anew.
  bool behind = false;

  bool in_sync() const noexcept { return recovery_offset_bytes == kAll; }
};

struct LeftOut {
  std::size_t candidate = 0;
  std::string reason;  // "is stale: ..."
};

struct Assembly {
  // The superblock that speaks for the array.
  std::size_t freshest = 0;
  std::string uuid;
  std::string name;

  // By place; nullopt where nobody is.
  std::vector<std::optional<Member>> members;
  // Devices that are being filled to take over a place whose member is still there.
  std::vector<std::optional<Member>> replacements;
  std::vector<std::size_t> spares;
  std::vector<LeftOut> left_out;

  // Absent only where `refusal` says why.
  std::optional<Layout> layout;
  // Places without a member in sync.
  std::uint32_t degraded = 0;
  // Copies or parity may differ from this byte (of what is synced) on; kAll: clean. Levels without
  // redundancy are clean.
  std::uint64_t resync_offset_bytes = kAll;
  // A sentence where the array cannot run.
  std::string refusal;
  // A sentence where it can, and data may be wrong: for who insists.
  std::string needs_insistence;
  // What is odd and did not decide anything.
  std::vector<std::string> doubts;

  bool runs() const noexcept { return refusal.empty() && needs_insistence.empty(); }
  bool dirty() const noexcept { return resync_offset_bytes != kAll; }
};

// Every array that the candidates belong to, in an order that does not depend on theirs. Each
// candidate is in one array, in one of its places, among its spares, or left out.
std::vector<Assembly> assemble(const std::vector<Candidate>& candidates);

}  // namespace ashlar::md
