// The programs of one open device: the one that new requests run, and those that were replaced and
// that some lane's requests still run.
//
//   control:  publish(fresh) ---- a task for the lane of each channel
//   lane 1:                      [replace: new requests run fresh] ... last old one ends -> retired
//   lane 2:                                     [replace] ......... last old one ends -> retired
//   control:                                                        collect() frees the old program
//
// Each lane changes over when it next polls; nobody waits for it. A lane that does not poll goes on
// with the old program, which is as right as before, and which is not freed meanwhile. Questions
// about a channel's counters, and what it is to count, go to its lane in the same way.
//
// THREAD: publish, collect, count and ask on the control thread; open, and what channels tell, on
// their lanes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "node/counters.h"
#include "program/channel.h"

namespace ashlar {

inline constexpr LockClass kPublisherLock{"node.publisher"};

// A user of a channel who wants to know of changes. THREAD: the channel's lane.
class DeviceWatcher {
 public:
  virtual ~DeviceWatcher() = default;
  // New requests run `program`: entry.size_bytes and ops tell what the device is now. Bios that
  // were allocated before work still, by a clone; fresh ones need none.
  virtual void on_program(const Program& program) noexcept = 0;
};

class Publisher final : private ChannelListener {
 public:
  // `notify` is called when collect() may find something. THREAD: any.
  Publisher(std::unique_ptr<Program> first, std::function<void()> notify);
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  // REQUIRES: no channel is open.
  ~Publisher() override;

  // THREAD: the lane's. Errors: no_memory.
  Result<std::unique_ptr<Channel>> open(Lane& lane, bool writable,
                                        std::pmr::memory_resource* memory, DeviceWatcher* watcher);

  // New requests run `fresh`, from when each lane next polls. `change`: its number, ascending.
  void publish(std::unique_ptr<Program> fresh, std::uint64_t change);

  // What the channels count, those that are open (when their lane next polls) and those to come.
  void count(const Counting& wish);
  Counting counting() const;
  // Asks each channel for its counters, as a caller `user` of `device`; nobody is waited for.
  void ask(const std::shared_ptr<Survey>& survey, const std::string& device,
           const std::string& user);

  // The replaced programs that no channel uses any more; the caller destroys them.
  std::vector<std::unique_ptr<Program>> collect();

  // Frees every program. REQUIRES: no channel is open, and none will be.
  void clear();

  // The number of the earliest change whose replaced program is still there.
  std::optional<std::uint64_t> oldest_change() const;
  // Channels that have not changed over to the newest program.
  std::size_t behind() const;

  // THREAD: the control thread; valid until the next change.
  const Program& current() const;
  // Of a caller's own bio. THREAD: any.
  std::string describe_failure(Bio& bio, std::uint64_t offset) const;
  // THREAD: any.
  std::uint64_t size_bytes() const noexcept { return size_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Slot;
  struct Replaced {
    std::unique_ptr<Program> program;
    std::uint64_t change;
  };

  void on_retired(Channel& channel) noexcept override;
  void on_closed(Channel& channel) noexcept override;
  static void attend(const std::shared_ptr<Slot>& slot);
  static void change_over(const std::shared_ptr<Slot>& slot);
  static void answer(Slot& slot);
  void post(const std::shared_ptr<Slot>& slot) ASHLAR_REQUIRES(mutex_);
  void refresh(Slot& slot);

  const std::function<void()> notify_;
  std::atomic<std::uint64_t> size_bytes_;
  mutable Mutex mutex_{kPublisherLock};
  std::unique_ptr<Program> current_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<Replaced> replaced_ ASHLAR_GUARDED_BY(mutex_);
  Counting counting_ ASHLAR_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Slot>> slots_ ASHLAR_GUARDED_BY(mutex_);
};

}  // namespace ashlar
