// The one way from a table to the plan of a geom.
#include "class/partition_geom.h"

#include <fmt/core.h>

#include <utility>

namespace ashlar {
namespace {

class TableBody final : public GeomBody {
 public:
  explicit TableBody(std::vector<std::pair<std::string, std::string>> status)
      : status_(std::move(status)) {}
  std::vector<std::pair<std::string, std::string>> status() const override { return status_; }

 private:
  std::vector<std::pair<std::string, std::string>> status_;
};

std::vector<std::pair<std::string, std::string>> status_of(const PartitionTable& table) {
  std::vector<std::pair<std::string, std::string>> status;
  if (!table.disk_uuid.empty()) status.emplace_back("uuid", table.disk_uuid);
  status.emplace_back("sector", fmt::format("{}", table.sector_bytes));
  status.emplace_back("partitions", fmt::format("{}", table.entries.size()));
  return status;
}

ProviderPlan provider_of(const PartitionTable& table, const PartitionEntry& entry) {
  ProviderPlan provider;
  provider.name = fmt::format("p{}", entry.number);
  provider.size_bytes = entry.extent.length;
  provider.map = {{0, entry.extent.length, 0, entry.extent.offset}};
  if (!entry.label.empty()) provider.aliases.push_back("label:" + entry.label);
  if (!entry.uuid.empty()) provider.aliases.push_back("uuid:" + entry.uuid);
  provider.detail = entry.type_name.empty() ? entry.type : entry.type_name;
  provider.partition =
      PartitionFacts{table.scheme, entry.type, entry.extent.offset, entry.nested_number};
  return provider;
}

}  // namespace

GeomPlan partition_plan(const PartitionTable& table) {
  GeomPlan plan;
  plan.body = std::make_unique<TableBody>(status_of(table));
  for (const PartitionEntry& entry : table.entries) {
    if (!entry.container) plan.providers.push_back(provider_of(table, entry));
  }
  plan.evidence = table.evidence;
  plan.doubts = table.doubts;
  plan.confidence = table.confidence;
  return plan;
}

Result<std::optional<GeomPlan>> partition_offer(const Result<PartitionTable>& table) {
  if (table) return std::optional(partition_plan(*table));
  if (table.error().code == Errc::not_found) return std::optional<GeomPlan>();
  return table.error();
}

Result<GeomPlan> partition_geom(const Result<PartitionTable>& table) {
  if (!table) return table.error();
  return partition_plan(*table);
}

}  // namespace ashlar
