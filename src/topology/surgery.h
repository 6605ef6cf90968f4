// A change of the graph that can be undone: consumers go elsewhere, and sizes and limits follow
// upward. What Topology's change functions are made of.
//
//   Surgery surgery(topology);
//   surgery.move(consumer, &other);
//   surgery.restack();                       // sizes and limits of everything above
//   if (problem) return problem;             // ~Surgery puts everything back
//   surgery.commit();
//
// THREAD: the control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "topology/topology.h"

namespace ashlar {

// The limits of a geom's provider, from those below and its class's policies.
Limits stacked_limits(const Geom& geom, const Provider& provider);

// True where following consumers down from `from` leads to `geom`.
bool leads_to(const Provider& from, const Geom& geom);

class Surgery {
 public:
  explicit Surgery(Topology& topology) : topology_(topology) {}
  Surgery(const Surgery&) = delete;
  Surgery& operator=(const Surgery&) = delete;
  // Undoes it unless it was committed.
  ~Surgery();

  // Attaches `consumer` to another device, or to none. Counts stay as they are (AccessPlan).
  void move(Consumer& consumer, Provider* to);
  // A leaf has another size.
  void resize(Provider& provider, std::uint64_t size_bytes);
  // The consumers of `geom` are not those it had: its sizes are to be asked for.
  void touch(Geom& geom) { resized_.insert(&geom); }

  // Brings sizes and limits up to date, from the changed devices upward. After all moves.
  void restack();
  // What is out of date: the devices over every move, lowest first. After restack().
  std::span<Provider* const> restacked() const { return restacked_; }
  // Devices that gained or lost a consumer.
  std::span<Provider* const> roots() const { return roots_; }

  // A device that is now less than its users were told, in a sentence: larger blocks, fewer
  // operations, and unless `may_shrink` fewer bytes. After restack().
  Result<void> check_promises(bool may_shrink) const;

  void commit() { committed_ = true; }

 private:
  struct Move {
    Consumer* consumer;
    Provider* before;
  };
  struct Before {
    Provider* provider;
    std::uint64_t size_bytes;
    Limits limits;
    bool read_only;
    std::vector<MapExtent> map;
  };

  void attach(Consumer& consumer, Provider* to);
  void save(Provider& provider);
  void follow_sizes(Geom& geom);
  void sort_geoms();

  Topology& topology_;
  std::vector<Move> moves_;
  std::vector<Before> before_;
  std::vector<Provider*> roots_;
  std::vector<Provider*> restacked_;
  std::set<const Geom*> resized_;
  std::set<const Provider*> changed_;
  bool committed_ = false;
};

}  // namespace ashlar
