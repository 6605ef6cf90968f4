// mbr: the partitions of a PC's master boot record, the logical ones included.
#include "class/mbr/mbr_table.h"
#include "class/partition_geom.h"

namespace ashlar {
namespace {

constexpr ClassFacts kFacts =
    partition_class_facts("mbr", "the partitions of a master boot record");

Result<GeomPlan> create(const CreateArguments& arguments) {
  return partition_geom(read_mbr(*arguments.consumers[0].reader));
}

// Like Linux, no table inside a partition: a boot sector there is what starts a system from it,
// and a table that contains itself would never end.
Result<std::optional<GeomPlan>> taste(TasteReader& reader) {
  if (reader.partition() != nullptr) return std::optional<GeomPlan>();
  return partition_offer(read_mbr(reader));
}

}  // namespace

const ClassInfo& mbr_class() {
  static constexpr ClassInfo kInfo = {&kFacts, &create, &taste};
  return kInfo;
}

}  // namespace ashlar
