// The format of an overlay that is kept: what lies on the store, a file or any other device. All
// numbers are little-endian.
//
//   0        header, 4 KiB: what it is an overlay of. Written once.
//   4 KiB    zeros; else somebody began to write the overlay's bytes to the device below
//   8 KiB    zeros; else all of them are there, and the overlay is of no more use
//   16 KiB   data: the byte n of the device, where it is in the overlay, is here at 16 KiB + n;
//            the rest are holes
//   map      records, 4 KiB each: which bytes are in the overlay. In no order; what counts is their
//            union
//
//   header   magic 8, version 4, samples 4, base size 8, map 8, slots 8, identity 16,
//            at 64: samples [offset 8, hash 8] ..., at 4092: checksum 4
//   record   magic 8, flags 4, ranges 4, identity 16, number 8, reach 8, sealed 8, at 60: checksum
//            4, at 64: ranges [offset 8, length 8] ...
//
// `identity` is of this overlay alone: a record that an earlier one left is none. `reach`: no slot
// from here on was used when the record was written. `sealed`: how many records, besides those that
// say they are a tail, were there and never change again.
//
// The bytes are hostile: what does not fit is `corrupt`, with a sentence.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/extent.h"
#include "base/result.h"

namespace ashlar::overlay {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kBegunAt = kPageBytes;
inline constexpr std::uint64_t kAppliedAt = 2 * kPageBytes;
inline constexpr std::uint64_t kDataAt = 4 * kPageBytes;
inline constexpr std::uint32_t kVersion = 1;

// How many ranges a record has room for.
inline constexpr std::size_t kMostRanges = (kPageBytes - 64) / 16;
// So many slots behind the last used one may be in use when the power goes.
inline constexpr std::uint64_t kReachAhead = 256;

using Identity = std::array<std::byte, 16>;

// A few bytes of the device below, by which a wrong one is recognised.
struct Sample {
  std::uint64_t offset = 0;  // of one page, or what there is of it
  std::uint64_t hash = 0;
};

struct Header {
  std::uint64_t base_bytes = 0;
  std::uint64_t map_at = 0;
  std::uint64_t slots = 0;
  Identity identity{};
  std::vector<Sample> samples;

  // Of the whole store.
  std::uint64_t size_bytes() const { return map_at + slots * kPageBytes; }
};

struct Record {
  bool tail = false;  // the next one of its session says all of it again
  std::uint64_t number = 0;
  std::uint64_t reach = 0;
  std::uint64_t sealed = 0;
  std::vector<Extent> ranges;  // at most kMostRanges
};

// Fills the span from a byte offset of some device.
using Read = std::function<Result<void>(std::uint64_t offset, ByteSpan into)>;

// A new overlay of a device that `read` reads. Errors: those of `read`.
Result<Header> make_header(std::uint64_t base_bytes, const Identity& identity, const Read& read);

// REQUIRES: a page.
void put_header(const Header& header, ByteSpan page);
void put_record(const Record& record, const Identity& identity, ByteSpan page);

// Everything that is said on the store.
struct Loaded {
  Header header;
  bool begun = false;
  bool applied = false;
  struct Slot {
    std::uint64_t slot = 0;
    Record record;
  };
  std::vector<Slot> slots;  // in the order of their numbers
  std::uint64_t reach = 0;
  std::uint64_t torn = 0;  // slots with something in them that is no record
};

// `size_bytes`: of the store. Errors: corrupt, unsupported (another version), those of `read`.
Result<Loaded> load(const Read& read, std::uint64_t size_bytes);

// Whether the device that `read` reads is the one that `loaded` is an overlay of. Where a commit
// has begun, samples of what is in the overlay say nothing. Errors: invalid, with a sentence that
// names `device`; those of `read`.
Result<void> check_base(const Loaded& loaded, std::uint64_t base_bytes, const std::string& device,
                        const Read& read);

// The ranges of all records: ascending, apart from each other.
std::vector<Extent> ranges_of(const Loaded& loaded);

// Sorts, and joins what touches or overlaps.
void join_ranges(std::vector<Extent>& ranges);

}  // namespace ashlar::overlay
