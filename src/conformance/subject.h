// The class under test, made and opened: a geom over disks of the suite, a channel to it, and a
// model of what it must hold.
//
//   Subject subject(trial);
//   subject.fill();
//   subject.expect_ok(Op::write, {0, 4096});       // and what is read is compared, always
//   if (subject.failed()) return;
//
// The first thing that is wrong is noted in the trial, and ends it: what comes after is not run.
//
// THREAD: one, which is its lane's and the control thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "conformance/bounded_memory.h"
#include "conformance/conformance.h"
#include "conformance/disk.h"
#include "conformance/request.h"
#include "program/channel.h"
#include "program/compiler.h"

namespace ashlar::conformance {

// What lies below, in one run of an aspect.
struct Ground {
  std::string name;  // "over 3 disks"
  std::uint32_t disks = 0;
  bool plain = true;  // usual blocks, every operation: the ground for what takes long
  Limits limits;
};

// One run of an aspect: a class, over a ground, in a mode.
struct Trial {
  const ClassInfo& info;
  const Options& options;
  Ground ground;
  Dispatch dispatch;
  std::vector<std::string>& wrong;

  void complain(const std::string& sentence) const;
  bool failed() const { return !wrong.empty(); }
};

// The size of disk `number`: all differ, so that nobody may take them for equal.
std::uint64_t disk_size(const Options& options, std::uint32_t number);

class Subject {
 public:
  // Makes and opens it; `memory` is for its requests.
  explicit Subject(const Trial& trial, std::pmr::memory_resource* memory = nullptr);
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  // Everything has ended and every disk is content, or this is noted.
  ~Subject();

  bool failed() const { return trial_.failed(); }
  void complain(const std::string& sentence) const { trial_.complain(sentence); }

  const Trial& trial() const { return trial_; }
  Topology& topology() { return parts_->topology; }
  Lane& lane() { return *parts_->lane; }
  Shelf& shelf() { return parts_->shelf; }
  Channel& channel() { return *parts_->channel; }
  const Program& program() const { return *parts_->program; }
  Geom& geom() { return *parts_->geom; }
  Provider& top() { return *parts_->geom->providers().front(); }
  const Limits& limits() { return top().limits; }
  std::uint64_t size() { return top().size_bytes; }
  std::uint32_t block() { return limits().block_bytes; }
  // Asked for `op` it must do it.
  bool offers(Op op) { return limits().ops.has(op) && (writable_ || OpSet::read_only().has(op)); }
  // A request could go there.
  bool fits(Extent extent);
  bool writable() const { return writable_; }
  Random& random() { return random_; }
  // What layout.h has found out; empty: nothing yet.
  std::vector<std::uint64_t>& known_borders() { return borders_; }

  // Compiles anew, as after a change, and has later requests use it.
  void recompile();
  // The model has the device's present size.
  void resize_model();

  // --- requests
  // ---------------------------------------------------------------------------------
  // Starts one. It belongs to the subject until settle().
  Request& submit(Op op, Extent extent, std::uint8_t flags = 0);
  // Runs until it has ended; false, and noted, where it does not.
  bool wait(Request& request);
  // Runs until `reached`; false where everything has ended before. Noted where it takes for ever.
  bool wait_until(const std::function<bool()>& reached, const Request& request);
  // After its end: compares it with the model, and lets go of it. Its error.
  Errc settle(Request& request);
  Errc run(Op op, Extent extent, std::uint8_t flags = 0);
  void expect_ok(Op op, Extent extent, std::uint8_t flags = 0);
  void cancel(Request& request);

  // Writes everything, where it may be written; else notes what it holds.
  void fill();
  // Reads everything, in long pieces.
  void check_all();
  // Something that uses it never ended.
  void leave_behind() { hung_ = true; }
  // It works: writes, flushes and reads everything.
  void expect_works();

 private:
  // What must be left behind when a request never ends.
  struct Parts {
    Topology topology;
    Shelf shelf;
    std::unique_ptr<Lane> lane;
    Geom* geom = nullptr;
    Consumer* user = nullptr;
    std::deque<std::unique_ptr<Program>> programs;
    Program* program = nullptr;
    std::unique_ptr<Channel> channel;
    std::deque<std::unique_ptr<Request>> requests;
  };

  bool make();
  bool open(std::pmr::memory_resource* memory);
  Provider& make_disk(std::uint32_t number);
  ParameterTexts parameters() const;
  void start(Request& request);
  void judge(const Request& request, const Bio& bio);
  void compare(const Request& request, bool ok);
  void compare_with_reference(const Request& request);
  void end_requests();
  void take_stock();
  void hang(const Request& request);

  const Trial& trial_;
  std::unique_ptr<Parts> parts_;
  Random random_;
  std::optional<BlockModel> model_;
  std::vector<std::byte> reference_;  // of a device that cannot be written
  std::vector<std::uint64_t> borders_;
  Version last_version_ = 0;
  bool writable_ = false;
  bool hung_ = false;
};

}  // namespace ashlar::conformance
