// What was asked of a write_log, and whether the log that it left on its disk can be true.
//
//   requests -> [sim_tap: LogWatch beside it] -> [write_log] -> data
//                            ^                        +-------> log disk
//                            +---- entries, replayed ----------------+
//
// The log is read with the reader of the class, and replayed. What each sector shows then, flush by
// flush, must be what a request wrote there, and nothing that was overwritten by what the flush
// covers. Requests that were under way together may be in the log in either order: the k-th flush
// of the log is one of those that the watch saw, and covers at the least what each flush covers
// that cannot stand behind it.
//
// THREAD: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/extent.h"
#include "bio/bio.h"
#include "topology/topology.h"

namespace ashlar::sim {

class LogWatch {
 public:
  // Nothing was asked yet, and `write_log` stands.
  void restart(Geom* write_log);

  // A request begins; the answer is its number. Reads are none of its business.
  std::size_t begin(const Bio& bio);
  void end(std::size_t number, bool ok);

  bool stands() const { return write_log_ != nullptr; }
  // Nothing when `log`, the whole of the log's disk, may be there now, else what is wrong.
  std::optional<std::string> check(ByteView log) const;

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  struct Change {
    Op op;
    bool fua;
    Extent extent;
    std::vector<std::byte> bytes;  // of a write
    std::uint64_t issued;
    std::uint64_t ended;  // kNever: under way
    bool acknowledged;
  };
  class Replay;

  bool logging() const;
  std::vector<std::uint64_t> covered_by_flush() const;

  Geom* write_log_ = nullptr;
  std::uint64_t now_ = 0;  // counts events
  std::vector<Change> changes_;
};

// A geom of the class sim_tap over `below`, a write_log's device, which tells `watch` of requests.
Result<Provider*> make_tap(Topology& topology, const std::string& name, Provider& below,
                           LogWatch& watch);

}  // namespace ashlar::sim
