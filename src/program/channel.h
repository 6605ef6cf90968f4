// A channel: one lane's way into one device. It hands out bios of the right size, checks what is
// submitted, and starts it.
//
//   Bio* bio = channel.allocate();
//   bio->op = Op::read; bio->offset = 0; bio->length = 4096;
//   bio->payload = Payload{&segment, 1, 0};
//   bio->end_io = [](Bio& done) noexcept { ... };
//   channel.submit(*bio);          // end_io may be called before submit returns
//
// THREAD: the lane's.
#pragma once

#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include "program/generation.h"
#include "program/lane.h"

namespace ashlar {

class Channel;

// Whoever wants to know what becomes of a channel: the device that it leads into.
// THREAD: the lane's.
class ChannelListener {
 public:
  virtual ~ChannelListener() = default;
  // uses() has become false for a program. Not told of those that end with the channel.
  virtual void on_retired(Channel& channel) noexcept = 0;
  // The channel is gone; only its address may be used.
  virtual void on_closed(Channel& channel) noexcept = 0;
};

struct ChannelOptions {
  bool writable = false;
  std::pmr::memory_resource* memory = nullptr;  // null: new and delete
  ChannelListener* listener = nullptr;          // outlives the channel
};

class Channel {
 public:
  // `program` must outlive the channel, or its replacement and the end of its last request.
  static Result<std::unique_ptr<Channel>> open(Lane& lane, const Program& program,
                                               const ChannelOptions& options);
  // REQUIRES: no request in flight.
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // A bio with a frame for this device, or null when memory is exhausted. Release it to the same
  // channel; that may start a bio from elsewhere that waited for memory, like submit().
  Bio* allocate() noexcept {
    Bio* bio = current_->roots.allocate();
    if (bio != nullptr) [[likely]]
      bio->home = current_.get();
    return bio;
  }
  void release(Bio& bio) noexcept {
    ASHLAR_ASSERT(bio.state == BioState::idle && bio.room == 0);
    Generation& home = *bio.home;
    home.roots.release(bio);
    if (home.retired || !waiting_.empty()) [[unlikely]]
      after_release();
  }

  // Starts `bio`: one that allocate() made, or one in the caller's own memory with room for the
  // frame (program/own_bio.h). Any other (another device's, one from before the last replace(), one
  // without the room) works too, by a clone, and is counted in `short_frames`. What the device does
  // not offer, or does not fit it, ends with an error, like any other failure: through end_io.
  void submit(Bio& bio) noexcept {
    Generation& home = *current_;
    ASHLAR_ASSERT(bio.state == BioState::idle && bio.end_io != nullptr);
    bio.error = Errc::ok;
    bio.done = 0;
    bio.cancel = 0;
    bio.slot = 0;
    bio.direction = BioDirection::down;
    if (bio.home != &home) {
      if (bio.room_bytes() < home.roots.frame_bytes()) [[unlikely]] {
        submit_clone(bio);
        return;
      }
      bio.home = &home;
    }
    if ((++home.started & home.sample_mask) == 0) [[unlikely]]
      home.begin_sample(bio);
    if (!accept(bio, home)) [[unlikely]] {
      end_early(bio);
      return;
    }
    lane_.start_down(bio, home.steps[bio.pc]);
  }

  // --- reads without a request ------------------------------------------------------------------
  // Where the bytes of a read of [offset, offset + length) lie, where the device is, below folded
  // maps, nothing but an open file that is read through the page cache. Nothing: submit() it; so it
  // is too while layers are counted or latencies measured, and where submit() would fail.
  std::optional<FileRange> plain_file(std::uint64_t offset, std::uint64_t length) const noexcept;

  // `bio` stands for a read that its owner carries out with what plain_file() told just now, and
  // counts as a request under way until end_own_read(): so long its program is kept, and with it
  // the geom and its descriptor, whatever becomes of the device. It cannot be cancelled, and
  // end_io is not called. REQUIRES: allocate() made it since the last replace().
  void begin_own_read(Bio& bio) noexcept;
  // It may be released, or submitted, after this.
  void end_own_read(Bio& bio) noexcept;

  // The room that a bio of one's own needs for its frame. Changes with replace().
  std::uint32_t frame_bytes() const noexcept { return current_->roots.frame_bytes(); }

  Lane& lane() noexcept { return lane_; }
  const Program& program() const noexcept { return current_->program; }
  bool writable() const noexcept { return writable_; }
  std::uint64_t in_flight() const noexcept;

  // --- counters ------------------------------------------------------------------------------
  // Requests submitted since the channel was opened.
  std::uint64_t requests() const noexcept { return earlier_ + current_->started; }
  // Of these, the ones that were served by a clone, for want of room in their own frame.
  std::uint64_t short_frames() const noexcept { return short_frames_; }
  // Of these, the ones that had to wait for memory.
  std::uint64_t shortages() const noexcept { return shortages_; }

  // Counts by layer from now on; `layer_counts` has one for each step of program(), and begins anew
  // with replace(). Errors: no_memory.
  Result<void> count_layers(bool on);
  bool counts_layers() const noexcept { return counting_; }
  std::span<const LayerCount> layer_counts() const noexcept;

  // Measures one request in `every` (rounded up to a power of two; 0: none) from now on.
  // Errors: no_memory.
  Result<void> measure_latency(std::uint64_t every);
  // Null: nothing is measured.
  LatencySampler* sampler() const noexcept { return sampler_.get(); }

  // Requests from now on run `program`; those under way finish on the one they began with.
  // Errors: no_memory, and nothing has changed.
  Result<void> replace(const Program& program);
  // True while requests still run `program`.
  bool uses(const Program& program) const noexcept;

 private:
  friend class Context;
  friend class Lane;
  Channel(Lane& lane, const ChannelOptions& options, std::pmr::memory_resource& memory)
      : lane_(lane), memory_(memory), listener_(options.listener), writable_(options.writable) {}

  static bool fits(const Program& program, std::uint64_t offset, std::uint64_t length) noexcept {
    std::uint64_t end = 0;
    return ((offset | length) & program.entry.align_mask) == 0 &&
           !__builtin_add_overflow(offset, length, &end) && end <= program.entry.size_bytes &&
           length - 1 < program.max_request_bytes;
  }
  bool accept(Bio& bio, const Generation& home) noexcept {
    const Edge& entry = home.program.entry;
    const bool usual =
        home.data_ops.has(bio.op) && bio.flags == 0 && fits(home.program, bio.offset, bio.length);
    if (!usual) [[unlikely]]
      return accept_unusual(bio, home);
    bio.offset += entry.add_bytes;
    bio.pc = entry.target;
    return true;
  }
  bool accept_unusual(Bio& bio, const Generation& home) noexcept;
  void end_early(Bio& bio) noexcept;
  void submit_clone(Bio& bio) noexcept;
  void start_clone(Bio& original, Bio& clone) noexcept;
  static void end_clone(Bio& clone) noexcept;
  static void cancel_foreign(Bio& original) noexcept;
  void after_release() noexcept;
  void drop_retired() noexcept;

  Lane& lane_;
  std::pmr::memory_resource& memory_;
  ChannelListener* listener_;
  const bool writable_;
  std::unique_ptr<Generation> current_;
  std::vector<std::unique_ptr<Generation>> old_;
  List<Bio, &Bio::queue> waiting_;  // foreign bios for which no clone was to be had
  std::uint64_t earlier_ = 0;       // requests of earlier generations
  std::uint64_t short_frames_ = 0;
  std::uint64_t shortages_ = 0;
  bool counting_ = false;
  std::unique_ptr<LatencySampler> sampler_;
};

}  // namespace ashlar
