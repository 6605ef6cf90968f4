// GEOM's access rules over a path, planned as a whole before anything changes.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "topology/geom.h"

namespace ashlar {

// The counts that a set of consumers will have if `consumer` gets `wanted`.
class AccessPlan {
 public:
  // Follows the path down from `consumer`; computes, changes nothing.
  AccessPlan(Consumer& consumer, Access wanted);

  // For a graph in which consumers were attached elsewhere, while the counts are still the old
  // ones: what follows below `roots`, the devices that gained or lost a consumer.
  explicit AccessPlan(std::span<Provider* const> roots);

  // Errors: busy, read_only, gone.
  Result<void> check() const;

  // Asks the bodies (which may refuse: permission), then sets the counts. On refusal the bodies
  // that agreed are asked back, and no count has changed.
  Result<void> apply();

  struct Change {
    Provider* provider;
    Access before;
    Access after;
    // Who may change its bytes: those who look after its geom (Consumer::behalf) leave them alone.
    int writers_before = 0;
    int writers_after = 0;
  };
  const std::vector<Change>& changes() const { return changes_; }

 private:
  Access planned(const Consumer& consumer) const;
  Access planned_sum(const Provider& provider) const;
  int planned_writers(const Provider& provider) const;
  void follow(Provider& provider);
  void follow_down(std::deque<Provider*> reached);

  std::map<Consumer*, Access> planned_;
  std::set<const Provider*> followed_;
  std::vector<Change> changes_;  // from the user downward
};

}  // namespace ashlar
