// An open device: a consumer with its access counts, and the compiled program. The first interface
// of Ashlar; everything else (command, exports, C) is a client of it.
//
//   auto node = Node::create({}).value();
//   node->add_image({.path = "a.img"});
//   auto device = node->open("p1", {}).value();
//   auto lane = Lane::create({}).value();
//   auto channel = device->channel(*lane).value();
//   channel->submit(*bio);
//
// OWNERSHIP: a device outlives its channels; the node outlives its devices.
// THREAD: any thread may open a channel on its own lane; the rest is guarded by the node.
#pragma once

#include <memory>
#include <memory_resource>
#include <string>

#include "program/channel.h"
#include "program/compiler.h"
#include "topology/topology.h"

namespace ashlar {

class Node;

struct OpenOptions {
  bool write = false;
  bool exclusive = false;  // nobody else may have it open for writing
  Dispatch dispatch = Dispatch::direct;
  std::string user = "a user";  // for messages of others who are refused
};

class Device {
 public:
  // Closes it. REQUIRES: its channels are gone.
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Provider& provider() const { return *consumer_->provider; }
  const Program& program() const { return *program_; }
  const Limits& limits() const { return provider().limits; }
  std::uint64_t size_bytes() const { return provider().size_bytes; }
  bool writable() const { return writable_; }

  // This device on `lane`. THREAD: the lane's. Errors: no_memory.
  Result<std::unique_ptr<Channel>> channel(Lane& lane,
                                           std::pmr::memory_resource* memory = nullptr) const;

  // A sentence for a bio of this device that ended with an error: which layer, which disk, which
  // byte. "read of 4096 bytes at byte 0 of disk0/p1: I/O error in file 'disk0' at byte 1048576".
  std::string describe_failure(Bio& bio, std::uint64_t offset) const;

  // Raises a read-only open to read-write, or lowers it. Channels opened before keep what they
  // have. Errors: as for Node::open; nothing has changed then.
  Result<void> set_writable(bool writable);

 private:
  friend class Node;
  Device(Node& node, Consumer* consumer, std::unique_ptr<Program> program, OpenOptions options)
      : node_(node),
        consumer_(consumer),
        program_(std::move(program)),
        options_(options),
        writable_(options.write) {}

  Node& node_;
  Consumer* consumer_;
  std::unique_ptr<Program> program_;
  const OpenOptions options_;
  bool writable_;
};

}  // namespace ashlar
