// A node: one open set. It opens images, tastes what is on them until nothing new is found, makes
// declared stacks, and opens devices.
//
// THREAD: any; one mutex makes topology changes one event at a time. Nothing here is on the path of
// a request.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "node/device.h"
#include "program/engine.h"
#include "topology/topology.h"

namespace ashlar {

struct StackDescription;  // node/stack.h

struct NodeOptions {
  bool writable = false;  // images may be opened for writing
  bool direct = true;     // O_DIRECT where the file allows it
  EngineOptions engine{};
  // Classes beside the built-in ones, with names of their own: known to add_geom() and to stack
  // files, and they taste, after the built-in ones. What is pointed to outlives the node.
  std::span<const ClassInfo* const> classes{};
};

struct ImageOptions {
  std::string path{};
  std::string name{};      // empty: disk0, disk1, ...
  bool read_only = false;  // even in a writable node
  bool taste = true;
};

// What tasting did not like, and about which device.
struct Doubt {
  std::string device;
  std::string sentence;
};

class Node final : private TopologyListener {
 public:
  // Errors: exists where a class of `options` has the name of another; what Lane::create says.
  static Result<std::unique_ptr<Node>> create(const NodeOptions& options);
  // REQUIRES: its devices are closed.
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Opens an image or a block device as a `file` geom and tastes what is on it.
  Result<Provider*> add_image(const ImageOptions& options);

  // Makes a geom of a class over devices that are there, then tastes its providers.
  Result<Geom*> add_geom(std::string_view class_name, CreateRequest request, bool taste = true);

  // Makes everything in a stack file.
  Result<void> add_stack(const StackDescription& stack);

  // Opens a device for use. `name`: a name, an alias, or a last part that only one device has.
  // Errors: not_found, ambiguous, busy, read_only, permission, gone.
  Result<std::unique_ptr<Device>> open(std::string_view name, const OpenOptions& options);
  Result<std::unique_ptr<Device>> open(Provider& provider, const OpenOptions& options);

  // A disk goes away: requests in flight end with `gone`, geoms over it wither.
  Result<void> orphan(std::string_view name);

  // The graph, to be looked at. THREAD: while nobody changes it.
  const Topology& topology() const { return topology_; }
  const std::vector<Doubt>& doubts() const { return doubts_; }

 private:
  friend class Device;
  class Reader;

  using Classes = std::vector<const ClassInfo*>;

  Node(const NodeOptions& options, Classes classes, std::unique_ptr<Lane> lane);

  Result<Geom*> make_geom(std::string_view class_name, CreateRequest request);
  Result<std::unique_ptr<Device>> open_locked(Provider& provider, const OpenOptions& options);
  void taste_from(Provider& first);
  void close(Device& device);
  void settle();

  void on_spoil(Provider& provider) override;
  void on_last_write_close(Provider& provider) override;

  const NodeOptions options_;
  const Classes classes_;         // all it knows, in the order in which they taste
  std::recursive_mutex control_;  // recursive: a reader made during create() opens a device
  std::unique_ptr<Lane> lane_;    // for tasting, used under control_
  Topology topology_;
  std::vector<Doubt> doubts_;
  std::uint32_t images_ = 0;
  std::set<std::string> tasted_;  // names of the devices that classes were asked about
  std::vector<Provider*> spoiled_;
  std::vector<std::string> to_taste_;
};

}  // namespace ashlar
