// A node: one open set. It opens images, tastes what is on them until nothing new is found, makes
// declared stacks, and opens devices.
//
// THREAD: any; one mutex makes topology changes one event at a time. Nothing here is on the path of
// a request.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "node/counters.h"
#include "node/device.h"
#include "node/upkeep_report.h"
#include "program/engine.h"
#include "topology/topology.h"

namespace ashlar {

class Caretaker;          // node/caretaker.h
struct StackDescription;  // node/stack.h

// An image is seen through an overlay: what is written to it stays beside it.
struct OverlayOptions {
  std::string file{};    // keeps it; empty: it ends with the node
  bool create = true;    // makes the file where there is none
  std::string memory{};  // a temporary one's parameter; empty: its default
};

struct NodeOptions {
  bool writable = false;  // images may be opened for writing
  bool direct = true;     // O_DIRECT where the file allows it
  // What members make is made although some of its data may be wrong (the parameter `insist` of
  // classes that have it).
  bool insist = false;
  // What is due on arrays is done from when something over them is opened for writing: resync,
  // recovery. `upkeep.work` is of no concern.
  bool look_after = false;
  UpkeepOptions upkeep{};
  EngineOptions engine{};
  // Classes beside the built-in ones: for add_geom(), insert(), stack files, and to taste, behind
  // those. A name that a built-in class or another of these has is refused by Node::create(). What
  // is pointed to outlives the node.
  std::span<const ClassInfo* const> classes{};
};

struct ImageOptions {
  std::string path{};
  std::string name{};      // empty: disk0, disk1, ...
  bool read_only = false;  // even in a writable node
  bool taste = true;
  // The device of the image's name is the overlay; the image itself is NAME.image, and only read.
  std::optional<OverlayOptions> overlay{};
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

  // Makes what the members that were found belong to (ClassInfo::member): call it when all images
  // are there. Done by open(name) too. What cannot be made is a doubt. Where a member comes later,
  // what it belongs to is made anew, unless that is in use.
  void settle_members();

  // `name`: a name, an alias, or a last part that only one device has. Where there is none, the
  // error also says why members were refused: the device may be what they would have made.
  // Errors: not_found, ambiguous.
  Result<Provider*> find(std::string_view name) const;

  // Opens a device for use; `name` as for find().
  // Errors: not_found, ambiguous, busy, read_only, permission, gone.
  Result<std::unique_ptr<Device>> open(std::string_view name, const OpenOptions& options);
  Result<std::unique_ptr<Device>> open(Provider& provider, const OpenOptions& options);

  // --- change under running requests (node/live.cc). Every open device whose stack is affected is
  // compiled anew, and its lanes change over when they next poll; requests that have begun end on
  // the program that they began with. Nothing waits for lanes: what was taken out is destroyed when
  // the last of those requests has ended (settled). A refusal leaves everything as it was.
  // Geoms are named by their device. Errors: as Topology's function of the same name, and
  // not_found.

  // Puts a geom in between the device `under` and its present users. With `further` devices: a
  // class whose consumers join (mirror) copies to them, others get them when they are made.
  Result<Geom*> insert(std::string_view under, std::string_view class_name, std::string name,
                       ParameterTexts parameters = {},
                       const std::vector<std::string>& further = {});
  // Takes a geom out; its users go to the device that it has the bytes of.
  Result<void> remove(std::string_view name);
  // What the geom has attached as `from` becomes `to`, a device with the same bytes: for requests
  // on both at once there is no order but the users' own.
  Result<void> replace(std::string_view geom, std::string_view from, std::string_view to);
  // A further device joins the geom, and is copied to; the geom's status tells how far. Answers its
  // place among the geom's consumers.
  // An array has a place that nobody is in filled (start_upkeep); what the device held before may
  // be in the way of that, unless `force`. Errors: read_only too, then.
  Result<std::uint32_t> add_leg(std::string_view geom, std::string_view device, bool force = false);
  Result<void> remove_leg(std::string_view geom, std::string_view device);
  // Gives parameters of a running geom other values.
  Result<void> set(std::string_view geom, const ParameterTexts& parameters);
  // Looks again at the size of what is behind a leaf; what is over it follows.
  Result<void> rescan(std::string_view leaf);
  // Closes an image or another geom that nobody uses. Errors: busy.
  Result<void> destroy(std::string_view name);

  // Frees what the last change has left and no request uses any more. Done by itself too, soon.
  void reap();
  // Calls `act` with the node to itself, unless somebody else has it; then false. For lanes, which
  // must not wait: who has it may wait for a request of theirs. THREAD: any.
  bool try_alone(const std::function<void()>& act);
  // True where nothing is left of any change: every lane has changed over, and what was taken out
  // is destroyed.
  bool settled() const;

  // --- upkeep of arrays (node/upkeep.cc): by a thread of the node, as users leave it the time. The
  // array is open meanwhile, for writing unless it is only checked.

  // Starts it; with UpkeepOptions::Work::due only if something is. Errors: unsupported where the
  // geom has nothing to be looked after, busy where somebody is at it, those of open().
  Result<void> start_upkeep(std::string_view geom, const UpkeepOptions& options);
  // It ends soon, wherever it is; how far it has come is on the members. Nothing where none runs.
  Result<void> stop_upkeep(std::string_view geom);
  // How far it is, or how the last one has ended.
  Result<UpkeepStatus> upkeep(std::string_view geom) const;
  // The same once it has ended, or after `timeout_ms`. THREAD: any but a lane's own; it waits.
  Result<UpkeepStatus> wait_upkeep(std::string_view geom, unsigned timeout_ms) const;

  // --- counters (node/counters.h) --------------------------------------------------------------
  // What every open channel has counted, by device. Each lane answers when it next polls; one that
  // does not within `timeout_ms` is reported as silent. THREAD: any but a lane's own, and not with
  // a lock held: it waits.
  std::vector<DeviceCounters> counters(unsigned timeout_ms = 1000) const;
  // Switches what the users of a device have counted: the channels that are open, when their lane
  // next polls, and those that are opened later. Errors: not_found, ambiguous.
  Result<void> count(std::string_view device, const CountingChange& change);

  // Calls look(topology) while nobody changes the graph. THREAD: any.
  template <typename Look>
  auto inspect(Look&& look) const {
    const std::lock_guard lock(control_);
    return look(topology_);
  }

  // A disk goes away: requests in flight end with `gone`, geoms over it wither.
  Result<void> orphan(std::string_view name);

  // The graph, to be looked at. THREAD: while nobody changes it.
  const Topology& topology() const { return topology_; }
  std::vector<Doubt> doubts() const;

 private:
  friend class Device;
  class Reader;

  using Classes = std::vector<const ClassInfo*>;

  Node(const NodeOptions& options, Classes classes, std::unique_ptr<Lane> lane);

  Result<const ClassInfo*> class_of(std::string_view name) const;
  Result<Geom*> make_geom(std::string_view class_name, CreateRequest request);
  Result<Provider*> make_image(const ImageOptions& options, const std::string& name);
  // node/image_overlay.cc
  Result<Provider*> make_overlaid(const ImageOptions& options, const std::string& name);
  Result<Provider*> make_store(Provider& image, const OverlayOptions& options,
                               const std::string& name);
  Result<void> make_overlay_file(Provider& image, const std::string& path);
  Result<std::unique_ptr<Device>> open_locked(Provider& provider, const OpenOptions& options);
  // node/found.cc
  void taste_from(Provider& first);
  bool gather(const ClassInfo& info, std::vector<Provider*> members);
  Geom* made_of(const ClassInfo& info, const std::vector<Provider*>& members) const;
  bool names_face(const std::string& name, const Provider& face) const;
  Counting counting_of(const Provider& face) const;
  void close(Device& device);
  void settle();

  void on_spoil(Provider& provider) override;
  void on_last_write_close(Provider& provider) override;
  Result<void> on_change(std::span<Provider* const> restacked) override;

  // node/live.cc
  Result<void> prepare_change();
  Result<Geom*> geom_of(std::string_view name);
  void publish_change();
  bool has(const Geom* geom) const;
  void reached(Geom* geom, std::uint32_t place);
  void begin_leg(Geom* geom, std::uint32_t place);
  void start_copy(Geom* geom, std::uint32_t place);
  void later(std::function<void()> act);
  void destroy_later(std::unique_ptr<Geom> geom);
  void destroy_now(Geom& geom);
  void release_later(Consumer* hold);
  std::optional<std::uint64_t> oldest_change() const;
  void notify() noexcept;
  // node/upkeep.cc
  Result<std::shared_ptr<UpkeepReport>> report_of(std::string_view name) const;
  Result<void> begin_upkeep(Geom& geom, const UpkeepOptions& options);
  Result<void> check_member(const Geom& geom, const Provider& device, bool force) const;
  void look_after(Geom& geom);
  void look_after_all_below(Provider& top);

  const NodeOptions options_;
  const Classes classes_;                 // all it knows, in the order in which they taste
  mutable std::recursive_mutex control_;  // recursive: a reader made during create() opens a device
  std::unique_ptr<Lane> lane_;            // for tasting, used under control_
  Topology topology_;
  std::vector<Doubt> doubts_;
  bool unsettled_ = false;            // members were found since settle_members()
  std::vector<Doubt> member_doubts_;  // of the last settle_members()
  std::vector<std::string> refused_;  // why it made nothing of a group, for each such group
  std::uint32_t images_ = 0;
  std::set<std::string> tasted_;  // names of the devices that classes were asked about
  std::vector<Provider*> spoiled_;
  std::vector<std::string> to_taste_;

  // Changes under way. What a change left to be done waits for every program that it replaced.
  struct Later {
    std::uint64_t change;
    std::function<void()> act;
  };
  struct Fresh {
    Device* device;
    std::unique_ptr<Program> program;
  };
  std::vector<Device*> devices_;
  std::map<std::string, Counting> counting_;  // by the device's name
  std::vector<Fresh> fresh_;                  // compiled by on_change, not published yet
  std::uint64_t changes_ = 0;
  std::deque<Later> later_;
  struct LookedAfter {
    const Geom* geom;
    std::shared_ptr<UpkeepReport> report;
  };
  std::vector<LookedAfter> looked_after_;
  std::vector<std::unique_ptr<Geom>> leaving_;  // taken out, and not destroyed yet
  std::atomic<Caretaker*> awake_{nullptr};      // whom notify() tells
  std::unique_ptr<Caretaker> caretaker_;        // from the first change on
};

}  // namespace ashlar
