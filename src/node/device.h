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

#include <functional>
#include <memory>
#include <memory_resource>
#include <string>

#include "node/publisher.h"
#include "program/channel.h"
#include "program/compiler.h"
#include "topology/topology.h"

namespace ashlar {

class Node;

struct OpenOptions {
  bool write = false;
  bool exclusive = false;  // nobody else may have it open for writing
  Dispatch dispatch = Dispatch::direct;
  bool unmapped = false;         // takes payloads in memory that is not mapped (bio/unmapped.h)
  std::string user = "a user";   // for messages of others who are refused
  const Geom* behalf = nullptr;  // works for this geom: what that holds is not in its way
};

class Device {
 public:
  // Closes it. REQUIRES: its channels are gone.
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // The graph may change under an open device (Node::insert and others). These are valid until it
  // does. THREAD: the control thread, or any while nobody changes the graph.
  const Provider& provider() const { return *consumer_->provider; }
  const Program& program() const { return publisher_.current(); }
  const Limits& limits() const { return provider().limits; }

  // As of the newest change. THREAD: any.
  std::uint64_t size_bytes() const { return publisher_.size_bytes(); }
  bool writable() const { return writable_; }

  // This device on `lane`. `watcher` is told of changes; it outlives the channel.
  // THREAD: the lane's. Errors: no_memory.
  Result<std::unique_ptr<Channel>> channel(Lane& lane, std::pmr::memory_resource* memory = nullptr,
                                           DeviceWatcher* watcher = nullptr) const;

  // A sentence for a bio of this device that ended with an error: which layer, which disk, which
  // byte. "read of 4096 bytes at byte 0 of disk0/p1: I/O error in file 'disk0' at byte 1048576".
  // A caller's own bio whose program was replaced since gets a sentence without a layer.
  // REQUIRES: it was not released. THREAD: its lane's.
  std::string describe_failure(Bio& bio, std::uint64_t offset) const;

  // Raises a read-only open to read-write, or lowers it. Channels opened before keep what they
  // have. Errors: as for Node::open; nothing has changed then.
  Result<void> set_writable(bool writable);

 private:
  friend class Node;
  Device(Node& node, Consumer* consumer, std::unique_ptr<Program> program, OpenOptions options,
         std::function<void()> notify)
      : node_(node),
        consumer_(consumer),
        publisher_(std::move(program), std::move(notify)),
        options_(options),
        writable_(options.write) {}

  Node& node_;
  Consumer* consumer_;
  mutable Publisher publisher_;
  const OpenOptions options_;
  bool writable_;
};

}  // namespace ashlar
