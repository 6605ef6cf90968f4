// The set of all geoms that were opened together (the open set): creation and destruction, names,
// access counts, orphaning, resizing.
//
//   Topology topology;
//   Geom* disk = *topology.create(file_class, {.name = "disk0", .parameters = {{"path",
//   "a.img"}}}); Provider* p1 = *topology.find("disk0/p1"); Consumer* mine = topology.attach(*p1,
//   "me"); topology.set_access(*mine, {1, 0, 0});
//
// THREAD: the control thread only.
// INVARIANTS: (1) a provider's access is the sum of its consumers'; (2) where a consumer holds a
// provider exclusively, no other consumer has it open for writing; (3) a geom is destroyed only
// when nothing is attached to its providers; (4) the graph has no cycle: consumers are given at
// creation.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/geom.h"

namespace ashlar {

// What happens to the graph, told to one listener (the node).
struct TopologyListener {
  virtual ~TopologyListener() = default;
  // The device is gone; requests must come to an end.
  virtual void on_orphan(Provider& /*provider*/) {}
  // The device has a new size or new limits: programs over it are out of date.
  virtual void on_restack(Provider& /*provider*/) {}
  // Somebody opened `provider` for writing: what was tasted on it and is not in use is stale.
  virtual void on_spoil(Provider& /*provider*/) {}
  // The last writer of `provider` closed: it may be tasted anew.
  virtual void on_last_write_close(Provider& /*provider*/) {}
};

struct CreateRequest {
  std::string name{};
  std::vector<Provider*> over{};  // consumers, in order
  ParameterTexts parameters{};
};

class Topology {
 public:
  // Makes a reader over a provider for create() and taste(). Given by the layer that can do I/O.
  using ReaderFactory = std::function<std::unique_ptr<TasteReader>(Provider&)>;

  Topology() = default;
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  ~Topology();

  void set_reader_factory(ReaderFactory factory) { make_reader_ = std::move(factory); }
  void set_listener(TopologyListener* listener) { listener_ = listener; }

  // Makes a geom by its class's create(). Errors: as the class says; exists when a name is taken;
  // invalid on a wrong number of consumers or parameters; gone when a consumer is orphaned.
  Result<Geom*> create(const ClassInfo& info, CreateRequest request);

  // Offers `provider` to every class; the most confident makes a geom. Null: nobody knew it.
  // Damaged metadata is no error: it is reported in `doubts`.
  struct TasteOutcome {
    Geom* geom = nullptr;
    std::vector<std::string> doubts;
  };
  Result<TasteOutcome> taste(Provider& provider, std::span<const ClassInfo* const> classes);

  // Removes a geom. Errors: busy when something is attached to a provider of it.
  Result<void> destroy(Geom& geom);

  // A user's consumer. It keeps the provider's geom alive.
  Consumer* attach(Provider& provider, std::string user);
  // REQUIRES: a consumer made by attach(). Drops its access first.
  void detach(Consumer* consumer);

  // Sets a user's counts. The whole path down is computed and checked before anything changes.
  // Errors: busy, read_only, gone, permission; the sentence names who is in the way.
  Result<void> set_access(Consumer& consumer, Access wanted);

  // The device is gone for good. Geoms over it wither unless they survive the loss.
  void orphan(Provider& provider, Errc reason);

  // A leaf changed size; geoms over it follow as their classes say.
  void resize(Provider& provider, std::uint64_t size_bytes);

  // By name, or by alias or last part of the name where only one device has it.
  // Errors: not_found (with near names), ambiguous (with the candidates).
  Result<Provider*> find(std::string_view name) const;

  const std::vector<std::unique_ptr<Geom>>& geoms() const { return geoms_; }
  std::vector<Provider*> providers() const;

 private:
  Result<Geom*> adopt(const ClassInfo& info, CreateRequest request, GeomPlan plan, bool tasted);
  Result<void> check_plan(const ClassInfo& info, const CreateRequest& request,
                          const GeomPlan& plan) const;
  void remove(Geom& geom);
  std::unique_ptr<TasteReader> make_reader(Provider& provider) const;

  std::vector<std::unique_ptr<Geom>> geoms_;  // in order of creation: consumers before users
  std::map<std::string, Provider*, std::less<>> names_;
  std::vector<std::unique_ptr<Consumer>> users_;
  ReaderFactory make_reader_;
  TopologyListener* listener_ = nullptr;
};

}  // namespace ashlar
