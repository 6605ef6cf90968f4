// One lane's requests to one file: each is carried out in rounds of one engine request, until all
// its bytes are moved or something fails.
//
//   payload in one piece             -> a vector of one, in the pad
//   payload of whole segments        -> the payload's own vector, as it is
//   payload that begins or ends
//     within a segment               -> a vector from the lane's pool, as much as it holds a round
//   memory not fit for direct I/O    -> an aligned buffer from the lane's pool, a buffer's length a
//                                       round; when all are in use the request waits for one
//
// THREAD: the lane's, but for the counts, and FileTarget's atomics.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "class/file/block_pool.h"
#include "class/file/direct_io.h"
#include "program/engine.h"
#include "program/local.h"

namespace ashlar {

class LaneFile;

// What all lanes share of one file.
struct FileTarget {
  int fd = -1;
  DirectRule rule;
  std::atomic<bool> gone{false};             // orphaned: everything ends with Errc::gone
  std::atomic<bool> discard_refused{false};  // the file system knows no holes: discard does nothing
  std::atomic<std::uint64_t> past_bounced{0};  // counts of lanes that have ended
  std::atomic<std::uint64_t> past_zeroed{0};
  std::vector<iovec> zeroes;  // many times the same zeros, for write_zeroes
  LocalSet<LaneFile>* lanes = nullptr;
};

// A request under way; lies in the bio's pad.
struct Transfer {
  enum class Stage : std::uint8_t {
    move,     // read or write of the payload
    range,    // discard or write_zeroes by the file system
    zeroes,   // write_zeroes by writing
    sync,     // flush, or the end of a write_zeroes with kFua
    waiting,  // for a buffer; in no engine
  };

  EngineRequest request;  // first: the engine's completion finds the transfer by it
  ListLink link;          // in the lane's list
  Bio* bio = nullptr;
  LaneFile* lane = nullptr;
  std::uint64_t moved = 0;      // bytes
  std::byte* vector = nullptr;  // a block of the pool of vectors
  std::byte* buffer = nullptr;  // a block of the pool of buffers
  iovec one = {};
  Stage stage = Stage::move;
};

// A pad is raw memory; a transfer is not trivial.
struct FilePad {
  alignas(8) std::byte bytes[sizeof(Transfer)];
};

class LaneFile final : public LocalState {
 public:
  // A buffer of 128 KiB moves a misaligned payload at nearly the speed of a larger one; 32 of them
  // keep a disk busy, and bound what a lane spends on callers who do not align.
  static constexpr std::size_t kBufferBytes = 128 * 1024;
  static constexpr std::size_t kMostBuffers = 32;
  // 256 segments a round; as many vectors as a deep queue has requests.
  static constexpr std::size_t kVectorBytes = 4096;
  static constexpr std::size_t kMostVectors = 1024;

  // Throws std::bad_alloc.
  LaneFile(FileTarget& target, Context& cx);
  ~LaneFile() override;

  Verdict begin(Bio& bio, FilePad& pad) noexcept;
  void cancel(FilePad& pad) noexcept;
  void attend(Context& cx) noexcept override;  // ends everything when the file is gone

  // For status, on any thread.
  std::uint64_t bounced() const noexcept { return bounced_.load(std::memory_order_relaxed); }
  std::uint64_t zeroed_by_writing() const noexcept {
    return zeroed_.load(std::memory_order_relaxed);
  }
  std::string_view engine_name() const noexcept { return engine_name_; }

 private:
  using Transfers = List<Transfer, &Transfer::link>;

  static void completed(EngineRequest& request);
  void carry_on(Transfer& transfer) noexcept;
  void moved_some(Transfer& transfer) noexcept;
  void failed(Transfer& transfer, int error_number) noexcept;

  void next_round(Transfer& transfer) noexcept;
  void bounce(Transfer& transfer, const Payload& view, std::uint64_t length) noexcept;
  void gather(Transfer& transfer, const Payload& view, std::uint64_t length) noexcept;
  void submit(Transfer& transfer, const iovec* vector, std::uint32_t count,
              std::uint64_t length) noexcept;
  void start_range(Transfer& transfer) noexcept;
  void next_zeroes(Transfer& transfer) noexcept;
  void start_sync(Transfer& transfer) noexcept;
  void finish(Transfer& transfer, Errc error) noexcept;
  void serve_waiting() noexcept;
  bool fits_direct(const Payload& view, std::uint64_t length) const noexcept;

  FileTarget& target_;
  Context& cx_;
  Engine& engine_;
  const std::string_view engine_name_;
  Transfers in_flight_;  // the engine has them
  Transfers waiting_;    // for a buffer
  BlockPool vectors_;
  BlockPool buffers_;
  std::atomic<std::uint64_t> bounced_{0};
  std::atomic<std::uint64_t> zeroed_{0};
  LocalSet<LaneFile>::Member member_;  // last: it leaves the set first
};

}  // namespace ashlar
