// The stacks that benchmarks run requests through, and a lane that does so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "class/list.h"
#include "program/channel.h"
#include "program/compiler.h"
#include "topology/topology.h"

namespace ashlar::bench {

// Towers of one class over one disk, or the stack that stands for real ones:
//
//   stats - gpt (partition 1) - stripe of 4 - mirrors of 2 - 8 disks
struct StackShape {
  std::string layers;         // "linear", "passthrough", "atomic" (below), or "mixed"
  int height = 0;             // of a tower
  std::string disk = "null";  // or "memory"
  std::uint64_t disk_bytes = 64 * kGiB;
};

// A layer that does one locked instruction a request: what the search for them must find.
const ClassInfo& atomic_class();

// A compiled stack.
class Stack {
 public:
  Stack(const StackShape& shape, Dispatch dispatch = Dispatch::direct);

  const Program& program() const { return *program_; }
  std::uint64_t size_bytes() const { return top_->size_bytes; }

 private:
  Provider* disk(const StackShape& shape, const std::string& name);
  Provider* tower(const StackShape& shape);
  Provider* mixed(const StackShape& shape);
  Provider* add(const ClassInfo& info, std::string name, std::vector<Provider*> over,
                ParameterTexts parameters = {});

  Topology topology_;
  Provider* top_ = nullptr;
  std::unique_ptr<Program> program_;
};

// Whose memory the bios are in.
enum class Bios {
  pool,      // the channel's
  own,       // the caller's, with room for the frame (program/own_bio.h)
  too_small  // the caller's, without: a clone stands in
};

constexpr std::uint64_t kRequestBytes = 4096;

// Requests of 4 KiB at random offsets, on a lane of this thread. THREAD: the one that made it.
class Load {
 public:
  Load(const Stack& stack, Bios bios, std::uint64_t seed = 1, bool writable = false);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  Channel& channel() { return *channel_; }

  // `count` reads, `depth` (at most kMaxDepth, a divisor of count) at a time: each has a bio of its
  // own, is filled, submitted and seen to end. Nothing is allocated here.
  void run(std::uint64_t count, unsigned depth);
  // Writes every byte of the device once.
  void fill();

  static constexpr unsigned kMaxDepth = 32;

 private:
  struct OwnMemory;

  static void ended(Bio& bio) noexcept { --static_cast<Load*>(bio.user)->left_; }
  // Flat: in line is what the compiler puts in line for a program that submits in one place.
  template <Bios kBios>
  [[gnu::flatten]] void run_with(std::uint64_t count, unsigned depth);
  template <Bios kBios>
  Bio* bio_for(unsigned k);
  template <Bios kBios>
  void give_back(Bio* bio);
  void start(Bio& bio, Op op, std::uint64_t offset);

  const Bios bios_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Channel> channel_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::byte> buffer_;
  Segment segment_;
  std::unique_ptr<OwnMemory> own_;
  const std::uint64_t blocks_;
  unsigned left_ = 0;
};

}  // namespace ashlar::bench
