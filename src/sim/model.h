// What each sector of a device may hold, by what was asked of the device and what it answered.
//
// Every change has a number, and fills each sector with bytes that follow from this number and the
// sector's: a stale, misplaced or damaged sector is told from a right one.
//
//   time  --[w1 issued....acknowledged]------[w2
//   issued....acknowledged]---[flush...acknowledged]--> read  | w1 or before | w1          | w1 or
//   w2                    | w2 cut   | w1 or before                 w1, w2 or before | w2
//
// A read sees w unless a write that was issued after w's end was acknowledged before the read was
// issued. A power cut leaves w unless a write that was issued after w's end is durable:
// acknowledged with FUA, or before a flush was issued that was acknowledged. What failed or was
// cancelled, and every discard, may be done, or in part, and never makes older bytes wrong. Nothing
// is said of which leg of a mirror is read: each may give any of the values that are right at the
// time, and each must give a durable one.
//
// THREAD: one. The unit is the sector of 512 bytes, whatever the device's block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/extent.h"
#include "bio/op.h"

namespace ashlar::sim {

inline constexpr std::uint64_t kSectorBytes = 512;

// The number of a request, from 1.
using RequestId = std::uint32_t;

class Model {
 public:
  // A device of zeros. REQUIRES: whole sectors.
  explicit Model(std::uint64_t size_bytes);

  // The bytes that the write `id` has for `extent`.
  static void fill(Extent extent, RequestId id, ByteSpan into);

  // A request begins; the answer is its number.
  RequestId begin(Op op, Extent extent, bool fua);
  // It ended; `ok` where it was acknowledged. For reads, `bytes` are what came.
  // Nothing when all is right, else what is wrong.
  std::optional<std::string> end(RequestId id, bool ok, ByteView bytes = {});

  // The power was cut: what is under way will not end.
  void cut();
  // After it: nothing when `bytes`, read from `extent`, may have survived, else what is wrong.
  std::optional<std::string> check_survivors(Extent extent, ByteView bytes);
  // After the last check: what was seen there is what is there.
  void adopt_survivors();

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  struct Record {
    RequestId id;       // 0: what was there at first
    RequestId content;  // what fill() takes; 0: zeros
    std::uint64_t issued;
    std::uint64_t ended;     // kNever: under way
    std::uint64_t stale_at;  // when a later write was acknowledged
    bool superseded;         // a later write is durable
    bool seen;               // since the cut
  };
  struct Request {
    Op op;
    bool fua;
    Extent extent;
    std::uint64_t issued;
    std::uint64_t ended;
    bool acknowledged;
  };

  static std::uint64_t first_word(RequestId content, std::uint64_t sector);
  static bool holds(RequestId content, std::uint64_t sector, ByteView bytes);
  static bool changes(Op op) { return op != Op::read && op != Op::flush; }

  template <typename Visit>
  void for_each_sector(Extent extent, Visit&& visit);
  Record& record(std::uint64_t sector, RequestId id);
  void end_change(RequestId id, bool ok);
  void end_flush(const Request& flush);
  void make_durable(RequestId id);
  void prune(std::vector<Record>& records) const;
  std::uint64_t oldest_read() const;
  std::optional<std::string> check_read(const Request& read, ByteView bytes) const;
  std::string describe(std::uint64_t sector, ByteView bytes, std::string_view why) const;

  std::uint64_t now_ = 1;  // counts events
  std::vector<std::vector<Record>> sectors_;
  std::vector<Request> requests_;     // by number
  std::vector<RequestId> unflushed_;  // acknowledged and not durable, oldest first
  std::vector<RequestId> reads_;      // under way
};

}  // namespace ashlar::sim
