// bsdlabel: the partitions of a BSD disklabel, on a bare disk or inside an MBR slice.
#include <charconv>

#include "class/bsd_disklabel.h"
#include "class/partition_geom.h"

namespace ashlar {
namespace {

constexpr ClassFacts kFacts =
    partition_class_facts("bsdlabel", "the partitions of a BSD disklabel");

// "0xa5" of a partition that mbr made; nothing for other partitions and other types.
std::optional<BsdFlavour> flavour_of(const PartitionFacts& facts) {
  if (facts.scheme != "mbr" || facts.type.size() != 4) return std::nullopt;
  std::uint8_t type = 0;
  const char* end = facts.type.data() + facts.type.size();
  if (std::from_chars(facts.type.data() + 2, end, type, 16).ptr != end) return std::nullopt;
  return bsd_flavour(type);
}

// A bare disk, or the slice that the facts describe; nothing inside any other partition.
std::optional<BsdPlace> place_of(const TasteReader& reader) {
  const PartitionFacts* facts = reader.partition();
  if (facts == nullptr) return BsdPlace{};
  const auto flavour = flavour_of(*facts);
  if (!flavour) return std::nullopt;
  return BsdPlace{*flavour, facts->offset_bytes, facts->nested_number};
}

// Linux has no slices: what it calls sda6 is disk0/p2/p6 here, and disk0/p6 names it too.
void add_flat_names(GeomPlan& plan, const std::string& slice) {
  const std::size_t slash = slice.rfind('/');
  if (slash == std::string::npos) return;
  for (ProviderPlan& provider : plan.providers) {
    provider.aliases.push_back(slice.substr(0, slash + 1) + provider.name);
  }
}

Result<GeomPlan> create(const CreateArguments& arguments) {
  TasteReader& reader = *arguments.consumers[0].reader;
  return partition_geom(read_bsdlabel(reader, place_of(reader).value_or(BsdPlace{})));
}

Result<std::optional<GeomPlan>> taste(TasteReader& reader) {
  const std::optional<BsdPlace> place = place_of(reader);
  if (!place) return std::optional<GeomPlan>();
  auto offer = partition_offer(read_bsdlabel(reader, *place));
  const bool in_slice = place->flavour != BsdFlavour::bare;
  if (in_slice && offer && offer->has_value()) add_flat_names(**offer, reader.name());
  return offer;
}

}  // namespace

const ClassInfo& bsdlabel_class() {
  static constexpr ClassInfo kInfo = {&kFacts, &create, &taste};
  return kInfo;
}

}  // namespace ashlar
