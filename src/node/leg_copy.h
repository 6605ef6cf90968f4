// Fills a device that joined a running geom: the geom's own bytes, read through it as any user
// reads, are written to the device, range by range, while requests go on.
//
//   gate.lock(1 MiB) -> reads, each followed by its write, 8 at a time -> gate.unlock() -> the next
//
// Changes of the locked range wait for it; all others go on, and go to the new device too.
//
// THREAD: made anywhere; then the caretaker's, on its lane.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "node/device.h"

namespace ashlar {

class LegCopy {
 public:
  // A range is locked for as long as it takes to move so much; a fast disk needs a few ms for it.
  static constexpr std::uint64_t kRangeBytes = 1 * kMiB;
  static constexpr std::uint64_t kPieceBytes = 128 * kKiB;
  static constexpr std::size_t kDepth = kRangeBytes / kPieceBytes;

  struct Parts {
    CopyGate* gate;  // of the geom; it lives as long as `source` is open
    std::uint32_t consumer;
    std::unique_ptr<Device> source;  // the geom's
    std::unique_ptr<Device> target;
  };
  // `finish` is called when everything is copied, without a lock: the node makes the last step, and
  // answers false where there is more to do, because the geom grew or a range was spoiled.
  LegCopy(Parts parts, std::function<bool(LegCopy&)> finish);
  LegCopy(const LegCopy&) = delete;
  LegCopy& operator=(const LegCopy&) = delete;
  // REQUIRES: ended.
  ~LegCopy();

  // Begins, on `lane`. Where there is no memory for it, the copy has failed.
  void start(Lane& lane);
  // Comes to an end soon, wherever it is; the device is dropped.
  void stop();
  // Nothing is under way and nothing will be.
  bool ended() const { return ended_; }

  // Everything up to here was copied once.
  std::uint64_t copied_bytes() const { return at_; }
  const Parts& parts() const { return parts_; }

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const;
  };
  struct Piece {
    LegCopy* copy = nullptr;
    std::unique_ptr<std::byte, FreeMemory> memory;
    Segment segment;
    Extent extent;
  };
  // Outlives the copy, for a gate that becomes ready late.
  struct Call {
    LegCopy* copy;
  };

  void next_range();
  void lock(Extent range);
  void copy_range();
  void submit(Piece& piece, Channel& channel, Op op);
  static void end_read(Bio& bio) noexcept;
  static void end_write(Bio& bio) noexcept;
  void end_piece(Errc error);
  void end_range();
  void end(Errc error);

  Parts parts_;
  const std::function<bool(LegCopy&)> finish_;
  Lane* lane_ = nullptr;
  std::unique_ptr<Channel> reads_;
  std::unique_ptr<Channel> writes_;
  std::array<Piece, kDepth> pieces_;
  std::shared_ptr<Call> call_ = std::make_shared<Call>(Call{this});
  std::uint64_t at_ = 0;
  Extent range_;
  Extent again_;          // spoiled, and not copied again yet
  bool locked_ = false;   // the gate is, or is about to be
  bool spoiled_ = false;  // range_ is one that is copied again
  std::uint32_t under_way_ = 0;
  Errc error_ = Errc::ok;
  bool stopping_ = false;
  bool ended_ = false;
};

}  // namespace ashlar
