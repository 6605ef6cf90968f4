// Assembles arrays. An Assembler does one array; what it decides of a candidate it says once.
#include "md/assembly.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace ashlar::md {
namespace {

using Indices = std::vector<std::size_t>;

bool has_place(std::uint16_t role) { return role <= kRoleMax; }

class Assembler {
 public:
  Assembler(const std::vector<Candidate>& all, Indices group)
      : all_(all), group_(std::move(group)) {}

  Assembly assemble() {
    choose_freshest();
    // What is not supported was not checked either.
    result_.members.resize(std::min(freshest().raid_disks, kMaxDevices));
    result_.replacements.resize(result_.members.size());
    result_.uuid = uuid_text(freshest());
    result_.name = freshest().name;
    refuse_what_is_unsupported();
    refuse_split_arrays();
    for (const std::size_t each : group_) place(each);
    use_lone_replacements();
    count_degraded();
    make_layout();
    if (result_.refusal.empty()) judge();
    return std::move(result_);
  }

 private:
  const Superblock& superblock(std::size_t candidate) const { return all_[candidate].superblock; }
  const std::string& name(std::size_t candidate) const { return all_[candidate].name; }
  const Superblock& freshest() const { return superblock(result_.freshest); }

  void leave_out(std::size_t candidate, std::string reason) {
    result_.left_out.push_back({candidate, std::move(reason)});
  }
  void refuse(std::string why) {
    if (result_.refusal.empty()) result_.refusal = std::move(why);
  }

  void choose_freshest();
  void refuse_what_is_unsupported();
  void refuse_split_arrays();
  bool failed_in(const Superblock& witness, const Superblock& accused) const;
  void place(std::size_t candidate);
  std::string why_not(std::size_t candidate) const;
  std::string contradiction(std::size_t candidate) const;
  std::uint16_t role_of(std::size_t candidate) const;
  void put(std::size_t candidate, std::uint16_t role);
  void use_lone_replacements();
  void count_degraded();
  void make_layout();
  void judge();
  void judge_dirt(const std::vector<bool>& in_sync);
  void doubt_what_the_kernel_refuses(const std::vector<bool>& in_sync);

  const std::vector<Candidate>& all_;
  const Indices group_;
  Assembly result_;
};

void Assembler::choose_freshest() {
  // Members before replacements, and both before those without a place: a spare's count may be
  // anything.
  const auto rank = [&](std::size_t candidate) {
    const Superblock& each = superblock(candidate);
    const int kind = !has_place(each.role()) ? 0 : each.replacement ? 1 : 2;
    return std::tuple(kind, each.events);
  };
  result_.freshest =
      *std::max_element(group_.begin(), group_.end(),
                        [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
}

void Assembler::refuse_what_is_unsupported() {
  for (const std::size_t each : group_) {
    const bool counts = superblock(each).events + 1 >= freshest().events;
    if (counts && !superblock(each).unsupported.empty()) {
      refuse(fmt::format("{} says: {}", name(each), superblock(each).unsupported));
    }
  }
}

// True where the witness knows the accused, and not as one that has a place.
bool Assembler::failed_in(const Superblock& witness, const Superblock& accused) const {
  const std::uint16_t role = accused.role();
  if (!has_place(role)) return false;
  return std::find(witness.roles.begin(), witness.roles.end(), role) == witness.roles.end();
}

void Assembler::refuse_split_arrays() {
  for (const std::size_t each : group_) {
    const Superblock& other = superblock(each);
    if (each == result_.freshest || other.events != freshest().events) continue;
    if (failed_in(other, freshest()) && failed_in(freshest(), other)) {
      refuse(
          fmt::format("{} and {} each say that the other has failed: they were written to "
                      "separately; leave one of them out",
                      name(result_.freshest), name(each)));
    }
  }
}

std::string Assembler::contradiction(std::size_t candidate) const {
  const Superblock& a = freshest();
  const Superblock& b = superblock(candidate);
  const auto differs = [&](const char* what, auto of_a, auto of_b) {
    return fmt::format("contradicts {}: {} {}, not {}", name(result_.freshest), what, of_b, of_a);
  };
  if (a.level != b.level) return differs("level", a.level, b.level);
  if (a.layout != b.layout) return differs("layout", a.layout, b.layout);
  if (a.chunk_bytes != b.chunk_bytes) return differs("chunk", a.chunk_bytes, b.chunk_bytes);
  if (a.raid_disks != b.raid_disks) return differs("members", a.raid_disks, b.raid_disks);
  if (a.level > 0 && a.component_bytes != b.component_bytes) {
    return differs("bytes used of each", a.component_bytes, b.component_bytes);
  }
  return {};
}

// By the freshest superblock where the own one is older: it may have recorded a failure that this
// device did not live to see.
std::uint16_t Assembler::role_of(std::size_t candidate) const {
  const Superblock& each = superblock(candidate);
  if (each.events >= freshest().events || !has_place(each.role())) return each.role();
  if (each.device_number >= freshest().roles.size()) return kRoleFaulty;
  return freshest().roles[each.device_number];
}

// Why a candidate that has, or had, a place cannot have it.
std::string Assembler::why_not(std::size_t candidate) const {
  const Superblock& each = superblock(candidate);
  const std::uint16_t role = role_of(candidate);
  if (each.events + 1 < freshest().events) {
    return fmt::format("is stale: it has {} events, the array {}{}", each.events, freshest().events,
                       role == kRoleFaulty ? ", and records it as failed" : "");
  }
  if (each.events > freshest().events) {
    return fmt::format("has {} events, more than any member in sync, {}", each.events,
                       freshest().events);
  }
  if (!has_place(role)) return "has failed, as other members record";
  if (candidate != result_.freshest && failed_in(each, freshest())) {
    return fmt::format("says that {} has failed", name(result_.freshest));
  }
  std::string odd = contradiction(candidate);
  if (!odd.empty()) return odd;
  if (role >= result_.members.size()) {
    return fmt::format("has place {} of {}", role, result_.members.size());
  }
  if (freshest().level > 0 && each.data_bytes < freshest().component_bytes) {
    return fmt::format("is too small: {} bytes of data, {} are used", each.data_bytes,
                       freshest().component_bytes);
  }
  return {};
}

void Assembler::place(std::size_t candidate) {
  const Superblock& each = superblock(candidate);
  if (each.role() == kRoleSpare) {
    result_.spares.push_back(candidate);
    return;
  }
  if (!has_place(each.role())) {
    leave_out(candidate, "has failed, as it records itself");
    return;
  }
  std::string reason = why_not(candidate);
  if (!reason.empty()) {
    leave_out(candidate, std::move(reason));
    return;
  }
  put(candidate, role_of(candidate));
}

void Assembler::put(std::size_t candidate, std::uint16_t role) {
  const Superblock& each = superblock(candidate);
  auto& places = each.replacement ? result_.replacements : result_.members;
  std::optional<Member>& here = places[role];
  const Member member{candidate, each.recovery_offset_bytes, each.recovery_by_bitmap,
                      each.events < freshest().events};
  if (!here) {
    here = member;
    return;
  }
  const std::uint64_t other_events = superblock(here->candidate).events;
  if (each.events == other_events) {
    refuse(fmt::format("{} and {} both have place {}: one is a copy of the other; leave one out",
                       name(here->candidate), name(candidate), role));
    leave_out(candidate, fmt::format("has place {}, as {} has", role, name(here->candidate)));
    return;
  }
  const bool fresher = each.events > other_events;
  const std::size_t loser = fresher ? here->candidate : candidate;
  const std::size_t winner = fresher ? candidate : here->candidate;
  leave_out(loser, fmt::format("is an older copy of {}, which has place {}", name(winner), role));
  if (fresher) here = member;
}

void Assembler::use_lone_replacements() {
  for (std::size_t role = 0; role < result_.members.size(); ++role) {
    if (result_.members[role]) continue;
    result_.members[role] = std::exchange(result_.replacements[role], std::nullopt);
  }
}

void Assembler::count_degraded() {
  for (const auto& member : result_.members) {
    if (!member || !member->in_sync()) ++result_.degraded;
    if (!member || !member->behind) continue;
    result_.doubts.push_back(fmt::format("{} is one update behind; it is taken, as the kernel does",
                                         name(member->candidate)));
  }
}

void Assembler::make_layout() {
  if (!has_place(freshest().role())) {
    refuse("no member is there, only devices without a place");
    return;
  }
  const bool sizes_count = freshest().level <= 0;
  if (sizes_count && result_.degraded != 0) {
    refuse(fmt::format("{} of {} members are missing, and {} can do without none", result_.degraded,
                       freshest().raid_disks, level_name(freshest().level)));
    return;
  }
  Geometry geometry{freshest().level,
                    freshest().layout,
                    freshest().raid0_layout_known,
                    freshest().chunk_bytes,
                    freshest().raid_disks,
                    freshest().component_bytes,
                    {}};
  if (sizes_count) {
    for (const auto& member : result_.members) {
      geometry.data_bytes.push_back(superblock(member->candidate).data_bytes);
    }
  }
  Result<Layout> layout = Layout::make(geometry);
  if (!layout) {
    refuse(layout.error().message);
    return;
  }
  result_.layout = std::move(*layout);
}

void Assembler::judge() {
  std::vector<bool> in_sync;
  for (const auto& member : result_.members) in_sync.push_back(member && member->in_sync());
  std::string lost = result_.layout->lost_without(in_sync);
  if (!lost.empty()) {
    refuse(std::move(lost));
    return;
  }
  judge_dirt(in_sync);
  doubt_what_the_kernel_refuses(in_sync);
}

void Assembler::judge_dirt(const std::vector<bool>& in_sync) {
  const std::uint64_t sync_bytes = result_.layout->sync_bytes();
  if (sync_bytes == 0 || freshest().resync_offset_bytes >= sync_bytes) return;
  result_.resync_offset_bytes = freshest().resync_offset_bytes;
  if (result_.layout->parity() == nullptr) return;
  for (std::uint32_t role = 0; role < in_sync.size(); ++role) {
    if (in_sync[role] || result_.layout->only_parity(role)) continue;
    result_.needs_insistence = fmt::format(
        "the array was not shut down cleanly, and place {} has no member in sync: what is computed "
        "in its stead may be wrong",
        role);
  }
}

// The kernel takes the copies of raid10 as lying on members side by side, which with sets of
// members they do not.
void Assembler::doubt_what_the_kernel_refuses(const std::vector<bool>& in_sync) {
  const Raid10Layout* layout = result_.layout->raid10();
  if (layout == nullptr || !layout->sets()) return;
  for (std::size_t first = 0; first < in_sync.size(); ++first) {
    bool kept = false;
    for (std::size_t i = 0; i < layout->copies(); ++i) {
      kept = kept || in_sync[(first * layout->near_copies() + i) % in_sync.size()];
    }
    if (kept) continue;
    result_.doubts.push_back("all data are there, but the kernel would not start the array");
    return;
  }
}

std::vector<Indices> groups_of(const std::vector<Candidate>& candidates) {
  std::map<std::tuple<Uuid, Version>, Indices> groups;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Superblock& each = candidates[i].superblock;
    groups[{each.set_uuid, each.version}].push_back(i);
  }
  std::vector<Indices> result;
  for (auto& [key, group] : groups) {
    // By what is on the devices, and by name where that is the same.
    std::sort(group.begin(), group.end(), [&](std::size_t a, std::size_t b) {
      const auto key_of = [&](std::size_t i) {
        const Superblock& each = candidates[i].superblock;
        return std::tuple(each.device_number, ~each.events, std::string_view(candidates[i].name));
      };
      return key_of(a) < key_of(b);
    });
    result.push_back(std::move(group));
  }
  return result;
}

}  // namespace

std::vector<Assembly> assemble(const std::vector<Candidate>& candidates) {
  std::vector<Assembly> arrays;
  for (Indices& group : groups_of(candidates)) {
    arrays.push_back(Assembler(candidates, std::move(group)).assemble());
  }
  for (Assembly& each : arrays) {
    const auto same = std::count_if(arrays.begin(), arrays.end(), [&](const Assembly& other) {
      return candidates[other.freshest].superblock.set_uuid ==
             candidates[each.freshest].superblock.set_uuid;
    });
    if (same > 1) {
      each.doubts.push_back("there are superblocks of other versions with the same UUID");
    }
  }
  return arrays;
}

}  // namespace ashlar::md
