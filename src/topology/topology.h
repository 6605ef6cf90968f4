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
// when nothing is attached to its providers; (4) the graph has no cycle, and geoms() lists what is
// below before what is above.
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
  // The device has a new size or new limits, or other devices below it: programs over it are out
  // of date.
  virtual void on_restack(Provider& /*provider*/) {}
  // A change of the graph is allowed and about to be made: the graph looks as it will, with
  // `restacked` as in on_restack, which follows. An error undoes it.
  virtual Result<void> on_change(std::span<Provider* const> /*restacked*/) { return {}; }
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

class AccessPlan;
class Surgery;  // topology/surgery.h

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

  // Offers `provider` to every class; the most confident makes a geom, or says that it is a member
  // (Provider::member). Null: nobody knew it. Damaged metadata is no error: it is reported in
  // `doubts`.
  struct TasteOutcome {
    Geom* geom = nullptr;
    std::vector<std::string> doubts;
  };
  Result<TasteOutcome> taste(Provider& provider, std::span<const ClassInfo* const> classes);

  // Makes a geom of members of one group, by create(). It has the name that its class wishes, where
  // no device can be meant by that, else the class's and a number ("md0"). Errors: as create().
  Result<Geom*> gather(const ClassInfo& info, std::vector<Provider*> members,
                       ParameterTexts parameters);

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

  // --- change under running requests. Each is checked for the whole path before anything changes:
  // access, sizes, limits, cycles; a refusal leaves everything as it was. What requests that have
  // begun still use is handed out, to be destroyed or detached when they have ended: geoms that
  // were taken out, and holds, consumers that keep a device open as it was.

  // Makes a geom over `request.over`, whose first device is in use, and puts it in between that and
  // all its present users. Errors: as create(); unsupported where the class has bytes of its own;
  // invalid where its device is not as the users know it.
  Result<Geom*> insert(const ClassInfo& info, CreateRequest request);
  // The opposite: its users go to what is below.
  Result<std::unique_ptr<Geom>> take_out(Geom& geom);
  // Consumer `index` of `geom` goes to another device, with the same bytes. Returns the hold.
  Result<Consumer*> reattach(Geom& geom, std::uint32_t index, Provider& to);
  // A further consumer joins; its place. `force`: what is on it may go.
  Result<std::uint32_t> add_consumer(Geom& geom, Provider& below, bool force = false);
  // Consumer `index` leaves. Returns the hold.
  Result<Consumer*> remove_consumer(Geom& geom, std::uint32_t index);
  // Gives parameters other values; those not named keep theirs. The size may follow.
  Result<void> set(Geom& geom, const ParameterTexts& texts);
  // Looks again at what is behind a leaf: its size. Errors: as the class says.
  Result<void> rescan(Geom& leaf);

  // By name, or by alias or last part of the name where only one device has it.
  // Errors: not_found (with near names), ambiguous (with the candidates).
  Result<Provider*> find(std::string_view name) const;

  const std::vector<std::unique_ptr<Geom>>& geoms() const { return geoms_; }
  std::vector<Provider*> providers() const;

 private:
  Result<Geom*> adopt(const ClassInfo& info, CreateRequest request, GeomPlan plan, bool tasted);
  Result<GeomPlan> plan_for(const ClassInfo& info, CreateRequest& request) const;
  int taste_member(Provider& provider, std::span<const ClassInfo* const> classes,
                   std::vector<std::string>& doubts);
  std::string free_name(const ClassInfo& info, const std::string& wish) const;
  Result<void> check_plan(const ClassInfo& info, const CreateRequest& request,
                          const GeomPlan& plan) const;
  friend class Surgery;

  void remove(Geom& geom);
  Consumer* make_hold(Consumer& consumer);
  void drop_hold(Consumer* hold);
  // `also`: a device below which counts change although it gained and lost no consumer.
  Result<void> settle(Surgery& surgery, bool may_shrink, Provider* also = nullptr);
  Result<void> try_resize(Provider& provider, std::uint64_t size_bytes);
  void tell_access(const AccessPlan& plan);
  std::unique_ptr<TasteReader> make_reader(Provider& provider) const;

  std::vector<std::unique_ptr<Geom>> geoms_;  // what is below before what is above
  std::map<std::string, Provider*, std::less<>> names_;
  std::vector<std::unique_ptr<Consumer>> users_;
  ReaderFactory make_reader_;
  TopologyListener* listener_ = nullptr;
};

}  // namespace ashlar
