// gpt: the partitions of a GUID partition table, from whichever of its two copies is good.
#include "class/gpt/gpt_table.h"
#include "class/partition_geom.h"

namespace ashlar {
namespace {

constexpr ClassFacts kFacts =
    partition_class_facts("gpt", "the partitions of a GUID partition table");

Result<GeomPlan> create(const CreateArguments& arguments) {
  return partition_geom(read_gpt(*arguments.consumers[0].reader));
}

// Like Linux, no table inside a partition; an entry may cover the table itself.
Result<std::optional<GeomPlan>> taste(TasteReader& reader) {
  if (reader.partition() != nullptr) return std::optional<GeomPlan>();
  return partition_offer(read_gpt(reader));
}

}  // namespace

const ClassInfo& gpt_class() {
  static constexpr ClassInfo kInfo = {&kFacts, &create, &taste};
  return kInfo;
}

}  // namespace ashlar
