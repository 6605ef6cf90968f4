// Guesses an array whose superblocks are gone: level, layout, chunk, where the data begin, and
// which member has which place, from what the members hold.
//
//   1. Relations. Pages at the same offset of all members: are they equal (raid1); is their sum
//   zero
//      (raid4, raid5); is their sum one of them (raid6: P cancels the data, Q remains)? Pages that
//      are zeros, or equal everywhere, say nothing and do not count. Where the relation begins, at
//      a change from zeros, or at one of the usual places, the data begin.
//   2. Continuity. Under each hypothesis the array's chunks follow each other in an order. A border
//      between two chunks fits where numbers go on counting across it, and where bytes follow each
//      other as they do within chunks (a model of three bytes, learned from the members). Parity
//      looks less like data than data does. Copies (raid10) must be equal, Q (raid6) must be right,
//      and known structures must begin where the array does.
//   3. Confidence. The best hypothesis is compared with the others, and with the noise that borders
//      show between chunks that are no neighbours. Where many do as well, or where nothing can be
//      seen (zeros, random bytes, encryption), that is the answer.
//
// What it takes for granted: all members are of one array, their data begin at the same offset, and
// at most one is missing (then raid5 and raid4 alone are looked for beside raid0: what it held is
// the sum of the others).
//
// Bounded, whatever the members hold: kMaxGuessPages pages are read at most, kMaxGuessSteps
// hypotheses are judged.
//
// THREAD: any; no state between calls.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ashlar::md {

inline constexpr std::size_t kMaxGuessDevices = 16;
// 256 MiB; those that are kept are fewer.
inline constexpr std::uint64_t kMaxGuessPages = 65536;
inline constexpr std::uint64_t kMaxGuessSteps = 400'000;

struct GuessInput {
  // By device; nullopt: one that is missing, of which at most one can be.
  std::vector<std::optional<std::uint64_t>> device_bytes;
  // Reads bytes that lie within a device.
  std::function<Result<void>(std::size_t device, std::uint64_t offset, ByteSpan into)> read;
};

struct Guess {
  std::int32_t level = 0;
  std::uint32_t layout = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t data_offset_bytes = 0;
  std::uint64_t component_bytes = 0;
  std::vector<std::size_t> order;  // the device in each place
  double confidence = 0;           // 0 to 1, that all of this is right
  std::vector<std::string> evidence;
};

struct Guesses {
  // What was seen, whatever may follow from it.
  std::vector<std::string> facts;
  // Best first; few. Empty where nothing can be told.
  std::vector<Guess> ranked;
  // A sentence: how sure, and why.
  std::string verdict;
};

// Errors: invalid where there are too few or too many devices; those of reading.
Result<Guesses> guess_array(const GuessInput& input);

}  // namespace ashlar::md
