// A stack that follows from a seed, as a plan: what can be assembled again over the same disks
// after a power cut.
//
//   stripe                      plan         assembled: real geoms of the real classes over
//   +- mirror                                sim_disk geoms, in a topology of their own
//   |  +- disk0
//   |  +- linear(disk1)
//   +- mbr(disk2)               the table is on the disk and found by tasting
//   +- md(disk3, disk4, disk5)  superblocks and bitmap are on the disks
//
// After a cut, a leg that its mirror had dropped stays away (an operator knows which one was
// dropped; class/mirror/mirror.md), and each leg is looked at by itself: a view has every mirror
// over one leg alone, and there are views enough for every leg beneath every other.
//
// An array of md is put together from the members that answer, by what their superblocks say. One
// that is dirty and degraded is insisted on; one that lacks too many is the end of the stack, and
// so is one of which only members answer that had failed in the eyes of those that do not: an
// operator knows, and they do not.
//
// THREAD: one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "md/assembly.h"
#include "sim/disk.h"
#include "sim/log_watch.h"
#include "topology/topology.h"

namespace ashlar::sim {

// The class of a name; a test plants its own here.
using FindClass = std::function<const ClassInfo*(std::string_view name)>;

// What the disks of a stack may do wrong.
enum class FaultSetting : std::uint8_t {
  honest,      // only what disks may do; errors and deaths among it
  lost_flush,  // disks lie about flushes
  misdirect,   // disks write to wrong places
};

// Which stacks are drawn.
enum class Stacks : std::uint8_t { any, with_arrays };

inline constexpr std::string_view kArrayClassName = "md";

// An array of Linux md, and how its members were found when it was put together last.
struct PlanArray {
  std::string name;  // "raid10 f2"
  std::optional<md::Layout> layout;
  bool dirty = false;
  bool insisted = false;      // dirty and degraded
  std::uint32_t in_sync = 0;  // bit r: the place r has a member in sync
};

struct PlanNode {
  std::string class_name;  // "sim_disk": a leaf
  std::string name;
  ParameterTexts parameters;
  std::vector<std::unique_ptr<PlanNode>> below;
  std::uint32_t disk = 0;            // of a leaf
  LogWatch* watch = nullptr;         // of a tap
  std::vector<bool> dropped;         // legs of a mirror that stay away; members that never were
  std::unique_ptr<PlanArray> array;  // of an md
  Geom* geom = nullptr;              // in the stack that stands at the moment
  std::vector<std::uint32_t> legs;   // of a mirror that stands: which leg each consumer is
  std::uint64_t size_bytes = 0;      // of the device
};

class Plan {
 public:
  // Every leg of every mirror that lives.
  static constexpr std::uint32_t kAllLegs = ~std::uint32_t{0};

  // Draws a stack and makes its disks. `find` outlives the plan.
  Plan(std::uint64_t seed, FaultSetting setting, Stacks stacks, const FindClass& find,
       Trace& trace);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // Puts the stack together; `view`: kAllLegs, or which leg of each mirror; `left_out`: which of
  // the sets of members that arrays can do without, 0: none. Null: an array is refused, see
  // refusal().
  Provider* assemble(Topology& topology, std::uint32_t view, std::uint32_t left_out = 0);
  // How many views show every leg, from 0.
  std::uint32_t views() const;
  // Remembers which legs the mirrors of the stack that stands have dropped.
  void note_dropped_legs();
  // Whether byte `offset` of `device` is on a disk that answers.
  static bool reachable(Provider& device, std::uint64_t offset);

  // --- arrays (plan_array.cc)
  bool has_arrays() const { return !arrays_.empty(); }
  // One of them has copies.
  bool has_copies() const;
  // Those of the stack that stands.
  std::vector<PlanNode*> arrays() const;
  // Of the stack that stands: how many sets of members may be left out, the empty one too.
  std::uint32_t left_out_sets() const;
  // One was dirty and degraded, and was started all the same.
  bool insisted() const;
  // Whether what byte `offset` of `device` shows was computed by an array that is dirty: then it
  // may be anything.
  bool uncertain(Provider& device, std::uint64_t offset) const;
  // Why there is no stack, where something that disks did explains it.
  const std::optional<std::string>& refusal() const { return refusal_; }
  // What nothing explains: a refusal, or an array that is degraded with all its members there.
  const std::optional<std::string>& complaint() const { return complaint_; }

  const std::string& description() const { return description_; }
  std::vector<std::unique_ptr<Disk>>& disks() { return disks_; }
  const std::vector<std::unique_ptr<Disk>>& disks() const { return disks_; }

  // The write_logs that stand, and the disks of their logs.
  struct Log {
    std::unique_ptr<LogWatch> watch;
    Disk* disk;
  };
  const std::vector<Log>& logs() const { return logs_; }
  // As an operator does before logging anew: a log that is left over is none.
  void clear_logs();

  // Whether errors are to be expected.
  bool troubled() const { return troubled_; }
  std::uint32_t block_bytes() const { return block_bytes_; }

 private:
  using NodePtr = std::unique_ptr<PlanNode>;

  NodePtr build(unsigned depth);
  NodePtr leaf();
  NodePtr partition();
  NodePtr layer(unsigned depth);
  NodePtr one(std::string class_name, NodePtr below, ParameterTexts parameters = {});
  NodePtr many(std::string class_name, std::vector<NodePtr> below, ParameterTexts parameters = {});
  std::vector<NodePtr> several(std::uint64_t most, unsigned depth);
  NodePtr delayed(NodePtr below);
  NodePtr cached(NodePtr below);
  NodePtr window(NodePtr below);
  NodePtr swapped_halves(unsigned depth);
  NodePtr logged(unsigned depth);
  NodePtr overlaid();
  NodePtr striped(unsigned depth);
  NodePtr mirrored(unsigned depth);
  NodePtr disk(std::uint64_t size_bytes, bool exact_discards = false);
  NodePtr arrayed();

  Provider* make(PlanNode& node, std::uint32_t view);
  Provider* make_array(PlanNode& node);
  Provider* refuse(PlanNode& node, const std::string& why);
  bool troubled_member(const PlanNode& node, std::uint32_t place) const;
  std::uint32_t troubled_members(const PlanNode& node) const;
  bool untroubled_suffice(const PlanNode& node) const;
  bool outlived(const PlanNode& node, const std::vector<md::Candidate>& candidates,
                const md::Assembly& assembly) const;
  Provider& make_over(PlanNode& node, std::vector<Provider*> over);
  Provider& taste(PlanNode& node, Provider& below);
  std::string text(const PlanNode& node) const;
  static void note_dropped_legs(PlanNode& node);

  Random random_;
  const FaultSetting setting_;
  const Stacks stacks_;
  bool troubled_ = false;  // some disk fails requests or dies
  Trace& trace_;
  const FindClass& find_;
  Topology* topology_ = nullptr;  // in which geoms are made at the moment
  std::vector<std::unique_ptr<Disk>> disks_;
  std::vector<Log> logs_;
  std::vector<PlanNode*> arrays_;
  std::uint32_t left_out_ = 0;
  bool drawing_ = true;  // each disk has its geom already
  std::optional<std::string> refusal_;
  std::optional<std::string> complaint_;
  std::uint32_t block_bytes_ = 512;
  std::uint32_t geoms_ = 0;
  unsigned mirrors_above_ = 0;
  NodePtr top_;
  std::string description_;
};

}  // namespace ashlar::sim
