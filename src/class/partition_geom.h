// What the classes for partition tables share: a table becomes a geom of pure maps, one provider a
// partition, named by the number that Linux gives to it.
#pragma once

#include <optional>

#include "topology/class.h"
#include "topology/partition_table.h"

namespace ashlar {

// The facts of a class over one consumer whose providers are parts of it. The policies are never
// asked: a map has no step.
constexpr ClassFacts partition_class_facts(std::string_view name, std::string_view summary) {
  return {.name = name, .summary = summary, .min_consumers = 1, .max_consumers = 1};
}

// A provider "pN" for each partition, with "label:..." and "uuid:..." as aliases. Containers get
// none. The body's status tells the table's own UUID, its unit, and how many partitions it has.
GeomPlan partition_plan(const PartitionTable& table);

// A reader's answer as taste() gives it: not_found becomes nothing, and other errors stay.
Result<std::optional<GeomPlan>> partition_offer(const Result<PartitionTable>& table);

// A reader's answer as create() gives it: every error stays.
Result<GeomPlan> partition_geom(const Result<PartitionTable>& table);

}  // namespace ashlar
