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
    ASHLAR_ASSERT(bio.state == BioState::idle);
    Generation& home = *bio.home;
    home.roots.release(bio);
    if (home.retired || !waiting_.empty()) [[unlikely]]
      after_release();
  }

  // Starts `bio`, which allocate() made; a bio from elsewhere (another device's, or from before the
  // last replace()) works too, by a clone, and is counted in `clones`. What the device does not
  // offer, or does not fit it, ends with an error, like any other failure: through end_io.
  void submit(Bio& bio) noexcept {
    Generation& home = *current_;
    ASHLAR_ASSERT(bio.state == BioState::idle && bio.end_io != nullptr);
    bio.error = Errc::ok;
    bio.done = 0;
    bio.cancel = 0;
    bio.slot = 0;
    bio.direction = BioDirection::down;
    if (bio.home != &home) [[unlikely]] {
      submit_clone(bio);
      return;
    }
    ++home.in_flight;
    if (!accept(bio, home)) [[unlikely]] {
      end_early(bio);
      return;
    }
    lane_.start(bio);
  }

  Lane& lane() noexcept { return lane_; }
  const Program& program() const noexcept { return current_->program; }
  bool writable() const noexcept { return writable_; }
  std::uint64_t in_flight() const noexcept;
  std::uint64_t clones() const noexcept { return clones_; }

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

  bool accept(Bio& bio, const Generation& home) noexcept {
    const OpSet ops = writable_ ? home.program.ops : home.program.ops & OpSet::read_only();
    const Edge& entry = home.program.entry;
    const bool fits = ((bio.offset | bio.length) & entry.align_mask) == 0 &&
                      within(bio.offset, bio.length, entry.size_bytes) && ops.has(bio.op) &&
                      bio.length <= home.program.max_request_bytes && bio.flags == 0 &&
                      bio.length != 0;
    if (!fits) [[unlikely]]
      return accept_unusual(bio, home, ops);
    bio.offset += entry.add_bytes;
    bio.pc = entry.target;
    return true;
  }
  bool accept_unusual(Bio& bio, const Generation& home, OpSet ops) noexcept;
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
  std::uint64_t clones_ = 0;
};

}  // namespace ashlar
