// The graph: geoms (instances of classes), the providers they offer upward, the consumers that
// attach them downward.
//
//        user          consumer of no geom: an open device
//          |
//      provider  p1    sized, named; counts who reads, writes, excludes
//        geom   gpt
//      consumer 0
//          |
//      provider disk0
//        geom   file   a leaf has no consumers
//
// OWNERSHIP: the Topology owns geoms, a geom owns its providers and consumers. References stay
// valid until the geom is destroyed. THREAD: the control thread only. Nothing here is touched per
// request.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "topology/class.h"

namespace ashlar {

class Geom;
class Topology;
struct Consumer;

// GEOM's three counts. A consumer's counts say how it uses its provider; a provider's are the sums.
struct Access {
  int read = 0;
  int write = 0;
  int exclusive = 0;

  friend Access operator+(Access a, Access b) {
    return {a.read + b.read, a.write + b.write, a.exclusive + b.exclusive};
  }
  friend Access operator-(Access a, Access b) {
    return {a.read - b.read, a.write - b.write, a.exclusive - b.exclusive};
  }
  friend bool operator==(Access, Access) = default;
  bool any() const { return read != 0 || write != 0 || exclusive != 0; }
};

// What a class found a device to be a part of.
struct MemberOf {
  const ClassInfo* info = nullptr;
  std::string group;
  std::string detail;
};

struct Provider {
  Geom* geom = nullptr;
  std::uint32_t index = 0;           // among the geom's providers
  std::string name;                  // unique in the topology
  std::vector<std::string> aliases;  // not unique: two clones of a disk share them
  std::string detail;
  std::uint64_t size_bytes = 0;
  bool read_only = false;
  bool read_only_itself = false;  // not because of what lies below
  Errc orphaned = Errc::ok;       // set once: why the device is gone
  Limits limits;
  std::vector<MapExtent> map;
  std::optional<PartitionFacts> partition;
  std::optional<MemberOf> member;    // no other class is offered it then
  std::vector<Consumer*> consumers;  // attached to it
  Access access;                     // the sum of theirs
  // The device above that was put in beneath this one's users: whoever asks for this device by
  // name means that one. Null: nothing was put in.
  Provider* stand_in = nullptr;

  bool is_map() const { return !map.empty(); }
  // What a new user of this device gets.
  Provider& face() { return stand_in == nullptr ? *this : stand_in->face(); }
};

struct Consumer {
  Geom* geom = nullptr;  // null: a user's handle
  std::uint32_t index = 0;
  Provider* provider = nullptr;  // null: detached, the leg is lost
  Access access;
  std::string user;  // for messages, when geom is null: "nbd export p1"
  // A user that works for this geom, and so is not in the way of what the geom holds.
  const Geom* behalf = nullptr;
};

// What a layer above (program) hangs on a geom: for instance the worker of a detached class.
class GeomRuntime {
 public:
  virtual ~GeomRuntime() = default;
  // Lets go of what it keeps for `body` (LocalState), whose geom is about to be destroyed while
  // this one lives on. No request runs `body` any more. Returns when it is done.
  virtual void forget(const void* body) = 0;
};

class Geom {
 public:
  Geom(const ClassInfo& info, std::string name) : info_(info), name_(std::move(name)) {}
  Geom(const Geom&) = delete;
  Geom& operator=(const Geom&) = delete;

  const ClassInfo& info() const { return info_; }
  const ClassFacts& facts() const { return *info_.facts; }
  bool only_reads(const Consumer& consumer) const { return consumer.index < facts().only_read; }
  const std::string& name() const { return name_; }
  GeomBody& body() { return *body_; }
  const GeomBody& body() const { return *body_; }
  const ParameterTexts& parameters() const { return parameters_; }
  const std::vector<std::unique_ptr<Provider>>& providers() const { return providers_; }
  const std::vector<std::unique_ptr<Consumer>>& consumers() const { return consumers_; }
  const std::vector<std::string>& evidence() const { return evidence_; }
  const std::vector<std::string>& doubts() const { return doubts_; }
  bool tasted() const { return tasted_; }
  bool withering() const { return withering_; }

 private:
  friend class Topology;

  const ClassInfo& info_;
  std::string name_;
  std::unique_ptr<GeomBody> body_;
  ParameterTexts parameters_;
  std::vector<std::unique_ptr<Provider>> providers_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  std::vector<std::string> evidence_;
  std::vector<std::string> doubts_;
  bool tasted_ = false;
  bool withering_ = false;

 public:
  std::unique_ptr<GeomRuntime> runtime;  // last: it ends before the body it runs
};

}  // namespace ashlar
