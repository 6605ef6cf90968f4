// Looks at all pages of the beginning, and at some of the rest.
#include "md/guess_relations.h"

#include <algorithm>
#include <map>
#include <set>

namespace ashlar::md {
namespace {

constexpr std::uint64_t kDense = 2 * kMiB + 256 * kKiB;
constexpr std::uint64_t kSpread = 512;  // pages of the rest
constexpr std::size_t kMaxQPlaces = 64;
constexpr std::size_t kMaxStarts = 4;

// Where md's data usually begin: behind nothing, small superblocks, or whole MiB.
std::vector<std::uint64_t> usual_starts() {
  std::vector<std::uint64_t> starts = {0, 8 * kKiB, 12 * kKiB, 16 * kKiB, 64 * kKiB, 128 * kKiB};
  for (const std::uint64_t mib :
       {1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 130, 132}) {
    starts.push_back(mib * kMiB);
  }
  return starts;
}

std::vector<std::uint64_t> places_of(std::uint64_t bytes) {
  std::vector<std::uint64_t> places;
  for (std::uint64_t at = 0; at < std::min(bytes, kDense); at += kGuessPage) places.push_back(at);
  if (bytes <= kDense) return places;
  const std::uint64_t step = align_up((bytes - kDense) / kSpread, kGuessPage);
  std::uint64_t skew = 0;
  // Neither all at the same place of a chunk, nor of a stripe.
  for (std::uint64_t at = kDense; at < bytes; at += std::max(step, kGuessPage)) {
    skew = (skew + 7 * kGuessPage) % std::max(step, kGuessPage);
    const std::uint64_t place = at + align_down(skew, kGuessPage);
    if (place + kGuessPage <= bytes) places.push_back(place);
  }
  return places;
}

void note(Relation& relation, std::uint64_t at, bool holds) {
  if (holds) {
    if (relation.holds++ == 0) relation.first = at;
  } else if (relation.holds == 0) {
    relation.not_before = at + kGuessPage;
  } else {
    ++relation.broken;
  }
}

class Finder {
 public:
  explicit Finder(Pages& pages) : pages_(pages) {}

  Relations find() {
    for (const std::uint64_t at : places_of(pages_.bytes())) look(at);
    find_starts();
    return std::move(found_);
  }

 private:
  void look(std::uint64_t at);
  void look_at_sum(std::uint64_t at, const std::map<std::uint64_t, std::size_t>& times);
  bool empty(std::uint64_t at) {
    for (std::size_t i = 0; i < pages_.count(); ++i) {
      if (!pages_.zero(i, at)) return false;
    }
    return true;
  }
  void find_starts();

  Pages& pages_;
  Relations found_;
};

void Finder::look(std::uint64_t at) {
  std::map<std::uint64_t, std::size_t> times;
  for (std::size_t i = 0; i < pages_.count(); ++i) ++times[pages_.hash(i, at)];
  ++found_.pages;
  if (times.size() == 1 && times.begin()->first == 0) return;
  ++found_.with_bytes;
  const bool equal = times.size() == 1;
  // A missing member would be made to fit.
  if (!pages_.missing()) {
    note(found_.equal, at, equal);
    if (!equal) look_at_sum(at, times);
  }
  if (!equal || pages_.count() == 2) found_.places.push_back(at);
}

void Finder::look_at_sum(std::uint64_t at, const std::map<std::uint64_t, std::size_t>& times) {
  Page sum{};
  std::size_t with_bytes = 0;
  for (std::size_t i = 0; i < pages_.count(); ++i) {
    if (pages_.zero(i, at)) continue;
    ++with_bytes;
    const Page& page = pages_.at(i, at);
    for (std::size_t byte = 0; byte < kGuessPage; ++byte) sum[byte] ^= page[byte];
  }
  const bool zero = sum == Page{};
  // Copies in pairs cancel each other without being parity.
  const bool paired = std::all_of(times.begin(), times.end(), [](const auto& each) {
    return each.first == 0 || each.second % 2 == 0;
  });
  if (!paired) note(found_.sum_zero, at, zero);
  // Nor is a lone one beside pairs Q.
  const bool copies = std::any_of(times.begin(), times.end(), [](const auto& each) {
    return each.first != 0 && each.second > 1;
  });
  if (copies || with_bytes < 3 || zero) return;
  for (std::size_t i = 0; i < pages_.count(); ++i) {
    if (pages_.zero(i, at) || pages_.at(i, at) != sum) continue;
    note(found_.sum_is_member, at, true);
    if (found_.q_places.size() < kMaxQPlaces) found_.q_places.push_back({at, i});
    return;
  }
  note(found_.sum_is_member, at, false);
}

// A usual place behind which the relation holds everywhere, and before which, best of all, there is
// nothing.
void Finder::find_starts() {
  const Relation* relation = &found_.equal;
  if (found_.sum_zero.likely()) relation = &found_.sum_zero;
  if (found_.sum_is_member.likely()) relation = &found_.sum_is_member;
  const bool any = relation->likely();
  std::uint64_t first = any ? relation->first : 0;
  if (!any && !found_.places.empty()) first = found_.places.front();
  const std::uint64_t not_before = any ? relation->not_before : 0;
  std::set<std::uint64_t> possible = {first};
  for (const std::uint64_t each : usual_starts()) possible.insert(each);
  std::vector<std::pair<int, std::uint64_t>> rated;
  for (const std::uint64_t each : possible) {
    if (each >= pages_.bytes() || each < not_before) continue;
    const bool begins = !empty(each) && (each == 0 || empty(each - kGuessPage));
    if (each > first && !(begins && relation == &found_.equal)) continue;
    const bool usual = each == 0 || each % kMiB == 0;
    rated.emplace_back(-(begins ? 4 : 0) - (usual ? 2 : 0) - (each == first ? 1 : 0), each);
  }
  std::sort(rated.begin(), rated.end());
  for (const auto& [rate, each] : rated) {
    if (found_.starts.size() < kMaxStarts) found_.starts.push_back(each);
  }
}

}  // namespace

Relations find_relations(Pages& pages) { return Finder(pages).find(); }

}  // namespace ashlar::md
