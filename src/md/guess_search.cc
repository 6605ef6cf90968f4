// Every order of few members, climbing from several where there are many; coarsely first, then the
// best with all that can be looked at.
#include "md/guess_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "md/signature.h"

namespace ashlar::md {
namespace {

constexpr std::uint64_t kSeed = 4;        // any: the same members give the same answer
constexpr std::size_t kPlaces = 48;       // of each member, looked at for the best
constexpr std::size_t kCoarsePlaces = 8;  // and for all
constexpr std::size_t kLearned = 400;     // pages
constexpr std::size_t kNoise = 400;       // borders
constexpr std::size_t kKept = 192;
constexpr std::size_t kMostTried = 6;  // members of which all orders are tried
constexpr int kClimbs = 12;
constexpr std::uint64_t kMinRows = 3;

// In bits, for or against.
constexpr double kQRight = 6, kQWrong = -24;
constexpr double kCopyRight = 3, kCopyWrong = -12;
constexpr double kKnownStart = 8;
constexpr double kRelation = 6;   // for parity, where it is everywhere
constexpr double kStartRank = 5;  // against each place of the data that is less usual
constexpr double kMostStrange = 2;

// times 2^exponent over GF(256), polynomial 0x11d.
std::uint8_t times_power(std::uint8_t value, std::uint32_t exponent) {
  unsigned product = value;
  for (; exponent > 0; --exponent) product = (product << 1) ^ ((product & 0x80) != 0 ? 0x11d : 0);
  return static_cast<std::uint8_t>(product);
}

// Orders that only exchange members with the same copies are one.
bool is_canonical(const Shape& shape, const std::vector<std::size_t>& order) {
  const std::uint32_t near = shape.layout & 255;
  if (shape.level == 1) return std::is_sorted(order.begin(), order.end());
  if (shape.level != 10 || shape.layout >> 8 != 1 || order.size() % near != 0) return true;
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (i % near != 0 && order[i - 1] > order[i]) return false;
  }
  return true;
}

}  // namespace

Search::Search(Pages& pages, const Relations& relations)
    : pages_(pages), relations_(relations), links_(pages) {
  Random random(kSeed);
  places_ = relations.places;
  for (std::size_t i = places_.size(); i > 1; --i) {
    std::swap(places_[i - 1], places_[random.below(i)]);
  }
  learn();
  measure_noise();
}

void Search::learn() {
  for (std::size_t i = 0; i < std::min(places_.size(), kLearned / pages_.count() + 1); ++i) {
    for (std::size_t device = 0; device < pages_.count(); ++device) {
      if (!pages_.zero(device, places_[i])) links_.learn(pages_.at(device, places_[i]));
    }
  }
}

void Search::measure_noise() {
  if (places_.size() < 2) return;
  Random random(kSeed + 1);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < kNoise; ++i) {
    const Point end{random.below(pages_.count()), places_[random.below(places_.size())]};
    const Point start{random.below(pages_.count()), places_[random.below(places_.size())]};
    if (end.offset == 0 || end.offset == start.offset) continue;
    const double bits = links_.fit(end, start);
    sum += bits;
    squares += bits * bits;
  }
  noise_mean_ = sum / kNoise;
  noise_deviation_ = std::sqrt(std::max(0.01, squares / kNoise - noise_mean_ * noise_mean_));
}

// Of raid10 the far copies lie where the component ends: with data at 0, superblocks are behind
// them.
std::vector<Shape> Search::shapes_of(const Family& family, std::uint64_t chunk) const {
  std::vector<Shape> shapes;
  for (const std::uint64_t start : relations_.starts) {
    std::vector<std::uint64_t> ends = {pages_.bytes()};
    if (start == 0) {
      const std::uint64_t bytes = pages_.bytes();
      ends = {align_down(bytes, kGuessPage) - std::min(bytes, 16 * kKiB)};
      if (bytes >= 128 * kKiB) ends.push_back(align_down(bytes, 64 * kKiB) - 64 * kKiB);
    }
    if (family.level != 10) ends.resize(1);
    for (const std::uint64_t end : ends) {
      const std::uint64_t component =
          end <= start
              ? 0
              : (chunk == 0 ? align_down(end - start, 64 * kKiB) : align_down(end - start, chunk));
      if (component == 0 || (chunk != 0 && component / chunk < kMinRows)) continue;
      for (const std::uint32_t layout : family.layouts) {
        shapes.push_back({family.level, layout, chunk, start, component});
      }
    }
  }
  return shapes;
}

std::vector<Hypothesis> Search::run(const std::vector<Family>& families) {
  for (const Family& family : families) {
    if (family.level == 1) {
      for (const Shape& shape : shapes_of(family, 0)) try_shape(shape);
      continue;
    }
    for (std::uint64_t chunk = kGuessPage; chunk <= kMiB; chunk *= 2) {
      for (const Shape& shape : shapes_of(family, chunk)) try_shape(shape);
    }
  }
  for (Hypothesis& each : kept_) {
    const Shape& shape = each.shape;
    const auto layout =
        Layout::make({shape.level, shape.layout, true, shape.chunk_bytes,
                      static_cast<std::uint32_t>(pages_.count()), shape.component_bytes,
                      std::vector(pages_.count(), shape.component_bytes)});
    each = judge(shape, *layout, each.order, kPlaces);
  }
  std::stable_sort(kept_.begin(), kept_.end(),
                   [&](const Hypothesis& a, const Hypothesis& b) { return weight(a) > weight(b); });
  return kept_;
}

double Search::weight(const Hypothesis& hypothesis) const {
  const double borders = static_cast<double>(kPlaces * pages_.count());
  const double chance = std::max(1.0, 0.5 * noise_deviation_ * std::sqrt(borders));
  return (hypothesis.bits - hypothesis.prior) / chance + hypothesis.prior;
}

void Search::try_shape(const Shape& shape) {
  const auto layout =
      Layout::make({shape.level, shape.layout, true, shape.chunk_bytes,
                    static_cast<std::uint32_t>(pages_.count()), shape.component_bytes,
                    std::vector(pages_.count(), shape.component_bytes)});
  if (!layout) return;
  if (pages_.count() <= kMostTried || shape.level == 1) {
    try_all(shape, *layout);
  } else {
    climb(shape, *layout);
  }
}

void Search::try_all(const Shape& shape, const Layout& layout) {
  std::vector<std::size_t> order(pages_.count());
  std::iota(order.begin(), order.end(), 0);
  do {
    if (!is_canonical(shape, order)) continue;
    if (steps_ >= kMaxGuessSteps) return;
    keep(judge(shape, layout, order, kCoarsePlaces));
  } while (shape.level != 1 && std::next_permutation(order.begin(), order.end()));
}

void Search::climb(const Shape& shape, const Layout& layout) {
  Random random(kSeed + 2);
  std::vector<std::size_t> order(pages_.count());
  std::iota(order.begin(), order.end(), 0);
  for (int climb = 0; climb < kClimbs && steps_ < kMaxGuessSteps; ++climb) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    Hypothesis best = judge(shape, layout, order, kCoarsePlaces);
    for (bool better = true; better && steps_ < kMaxGuessSteps;) {
      better = false;
      for (std::size_t i = 0; i < order.size(); ++i) {
        for (std::size_t j = i + 1; j < order.size(); ++j) {
          std::vector<std::size_t> other = best.order;
          std::swap(other[i], other[j]);
          Hypothesis tried = judge(shape, layout, other, kCoarsePlaces);
          if (tried.bits <= best.bits) continue;
          best = std::move(tried);
          better = true;
        }
      }
    }
    keep(best);
  }
}

void Search::keep(const Hypothesis& hypothesis) {
  const auto worse = [](const Hypothesis& a, const Hypothesis& b) { return a.bits > b.bits; };
  for (const Hypothesis& each : kept_) {
    const bool same = each.order == hypothesis.order &&
                      each.shape.start == hypothesis.shape.start &&
                      each.shape.layout == hypothesis.shape.layout &&
                      each.shape.chunk_bytes == hypothesis.shape.chunk_bytes &&
                      each.shape.level == hypothesis.shape.level &&
                      each.shape.component_bytes == hypothesis.shape.component_bytes;
    if (pages_.count() > kMostTried && same) return;
    if (pages_.count() <= kMostTried) break;
  }
  if (kept_.size() == kKept && kept_.back().bits >= hypothesis.bits) return;
  if (kept_.size() == kKept) kept_.pop_back();
  kept_.insert(std::upper_bound(kept_.begin(), kept_.end(), hypothesis, worse), hypothesis);
}

Hypothesis Search::judge(const Shape& shape, const Layout& layout,
                         const std::vector<std::size_t>& order, std::size_t places) {
  ++steps_;
  Hypothesis hypothesis;
  hypothesis.shape = shape;
  hypothesis.order = order;
  const auto rank = std::find(relations_.starts.begin(), relations_.starts.end(), shape.start);
  hypothesis.prior = -kStartRank * static_cast<double>(rank - relations_.starts.begin());
  const Place first = layout.place(0);
  hypothesis.begins_known = known_start(order[first.role], shape.start + first.offset_bytes);
  if (hypothesis.begins_known) hypothesis.prior += kKnownStart;
  const bool parity_shows = relations_.sum_zero.likely() || relations_.sum_is_member.likely();
  if (parity_shows && layout.parity() != nullptr) hypothesis.prior += kRelation;
  hypothesis.bits = hypothesis.prior;
  const ParityLayout* parity = layout.parity();
  if (shape.level == 6 && !judge_q(hypothesis, *parity, places)) return hypothesis;
  if (shape.level == 1) return hypothesis;
  for (std::size_t i = 0; i < std::min(places, places_.size()); ++i) {
    if (places_[i] < shape.start || places_[i] - shape.start >= shape.component_bytes) continue;
    judge_borders(hypothesis, layout, places_[i] - shape.start, i);
    if (parity != nullptr) judge_parity(hypothesis, *parity, places_[i] - shape.start);
  }
  hypothesis.bits += hypothesis.border_bits;
  return hypothesis;
}

// The chunks from one place on, as many as there are members.
void Search::judge_borders(Hypothesis& hypothesis, const Layout& layout, std::uint64_t place,
                           std::size_t turn) {
  Content content;
  for (std::size_t i = 0; i < pages_.count(); ++i) {
    content = layout.content(static_cast<std::uint32_t>((turn + i) % pages_.count()), place);
    if (content.kind == Content::Kind::data) break;
  }
  if (content.kind != Content::Kind::data) return;
  const std::uint64_t chunk = hypothesis.shape.chunk_bytes;
  std::uint64_t at = align_down(content.array_offset_bytes, chunk);
  for (std::size_t i = 0; i < pages_.count(); ++i, at += chunk) {
    if (at + 2 * chunk > layout.array_bytes()) return;
    if (hypothesis.shape.level == 10) judge_copies(hypothesis, layout, at);
    const Place end = layout.place(at + chunk - 1);
    const Place start = layout.place(at + chunk);
    const std::uint64_t from = hypothesis.shape.start;
    hypothesis.border_bits += links_.fit({hypothesis.order[end.role], from + end.offset_bytes + 1},
                                         {hypothesis.order[start.role], from + start.offset_bytes});
    ++hypothesis.borders;
  }
}

void Search::judge_copies(Hypothesis& hypothesis, const Layout& layout, std::uint64_t offset) {
  const auto hash_of = [&](std::uint32_t copy) {
    const Place place = layout.place(offset, copy);
    return pages_.hash(hypothesis.order[place.role], hypothesis.shape.start + place.offset_bytes);
  };
  const std::uint64_t first = hash_of(0);
  for (std::uint32_t copy = 1; copy < layout.copies(); ++copy) {
    const std::uint64_t other = hash_of(copy);
    if (first == 0 && other == 0) continue;
    ++(first == other ? hypothesis.copies_equal : hypothesis.copies_differ);
    hypothesis.bits += first == other ? kCopyRight : kCopyWrong;
  }
}

void Search::judge_parity(Hypothesis& hypothesis, const ParityLayout& layout, std::uint64_t place) {
  const std::uint64_t at = align_down(place, kGuessPage);
  const auto stripe = layout.stripe(at / layout.chunk_bytes());
  float others = 0, of_p = 0;
  std::size_t with_bytes = 0;
  for (std::uint32_t role = 0; role < pages_.count(); ++role) {
    if (role == stripe.q) continue;
    const Point start{hypothesis.order[role], hypothesis.shape.start + at};
    if (!pages_.zero(start.device, start.offset)) ++with_bytes;
    (role == stripe.p ? of_p : others) += links_.strangeness(start);
  }
  if (with_bytes < 3) return;
  const double more = of_p - others / static_cast<float>(layout.data_disks());
  hypothesis.bits += std::clamp(more, -kMostStrange, kMostStrange);
}

// False where Q is elsewhere, so that nothing else needs to be looked at.
bool Search::judge_q(Hypothesis& hypothesis, const ParityLayout& layout, std::size_t places) {
  constexpr std::size_t kSums = 6;
  std::size_t looked = 0, sums = 0;
  for (const QPlace& each : relations_.q_places) {
    const std::uint64_t start = hypothesis.shape.start;
    if (each.offset < start || each.offset - start >= layout.member_bytes()) continue;
    if (++looked > places) break;
    const auto stripe = layout.stripe((each.offset - start) / layout.chunk_bytes());
    bool right = hypothesis.order[stripe.q] == each.device;
    if (right && sums < kSums) {
      ++sums;
      right = q_sum_right(hypothesis, layout, each);
    }
    ++(right ? hypothesis.q_right : hypothesis.q_wrong);
    hypothesis.bits += right ? kQRight : kQWrong;
    if (!right && pages_.count() <= kMostTried) return false;
  }
  return true;
}

bool Search::q_sum_right(const Hypothesis& hypothesis, const ParityLayout& layout,
                         const QPlace& place) {
  const auto stripe = layout.stripe((place.offset - hypothesis.shape.start) / layout.chunk_bytes());
  // A few bytes tell.
  constexpr std::size_t kBytes = 64, kStep = kGuessPage / kBytes;
  std::array<std::uint8_t, kBytes> sum{};
  const auto add = [&](std::size_t device, std::uint32_t exponent) {
    const Page& page = pages_.at(device, place.offset);
    for (std::size_t i = 0; i < kBytes; ++i) {
      sum[i] ^= times_power(std::to_integer<std::uint8_t>(page[i * kStep + i % kStep]), exponent);
    }
  };
  for (std::uint32_t index = 0; index < layout.data_disks(); ++index) {
    const std::uint32_t role = layout.data_role(stripe, index);
    add(hypothesis.order[role], layout.q_exponent(stripe, role));
  }
  add(place.device, 0);
  return std::all_of(sum.begin(), sum.end(), [](std::uint8_t each) { return each == 0; });
}

bool Search::known_start(std::size_t device, std::uint64_t offset) {
  const std::uint64_t key = offset / kGuessPage * kMaxGuessDevices + device;
  if (const auto found = known_starts_.find(key); found != known_starts_.end()) {
    return found->second;
  }
  std::vector<std::byte> start;
  for (std::uint64_t at = 0; at < 2 * kGuessPage; at += kGuessPage) {
    const Page& page = pages_.at(device, offset + at);
    start.insert(start.end(), page.begin(), page.end());
  }
  return known_starts_[key] = signature_of(start).has_value();
}

}  // namespace ashlar::md
