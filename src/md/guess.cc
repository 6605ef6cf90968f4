// From relations to hypotheses, and from what speaks for them to what can be said.
#include "md/guess.h"

#include <algorithm>
#include <cmath>

#include "md/guess_search.h"
#include "md/names.h"
#include "md/signature.h"

namespace ashlar::md {
namespace {

constexpr std::size_t kMaxRanked = 5;
// Less is not worth a line.
constexpr double kLeast = 0.02;
constexpr double kMost = 0.99;

// Those that are the same with another order of members are tried once: parity-first and -last are
// raid4, and of raid6 parity-first and parity-first-6 are parity-last.
const std::vector<std::uint32_t> kParityLayouts = {2, 0, 3, 1};
const std::vector<std::uint32_t> kSyndromeLayouts = {2, 0, 3, 1, 5, 8, 9, 10, 16, 17, 18, 19};
const std::vector<std::uint32_t> kCopyLayouts = {0x102, 0x201, 0x10201, 0x103, 0x301, 0x10301};

const std::vector<Family> kStriped = {{0, {0}}, {10, kCopyLayouts}};

class Guesser {
 public:
  explicit Guesser(const GuessInput& input) : pages_(input) {}

  Result<Guesses> guess();

 private:
  std::vector<Family> families();
  void state_relations();
  std::string relation_sentence() const;
  void rank(const Search& search, const std::vector<Hypothesis>& all);
  static bool settled(const Hypothesis& best);
  double trust(const Search& search, const Hypothesis& best) const;
  Guess guess_of(const Search& search, const Hypothesis& from);
  std::string border_sentence(const Search& search, const Hypothesis& from) const;
  std::string start_sentence(const Hypothesis& from);
  void judge(const Search& search);
  // The relation itself says which level it is.
  bool related() const {
    return relations_.equal.likely() || relations_.sum_zero.likely() ||
           relations_.sum_is_member.likely();
  }

  Pages pages_;
  Relations relations_;
  Guesses guesses_;
};

Result<Guesses> Guesser::guess() {
  relations_ = find_relations(pages_);
  if (!pages_.error()) return pages_.error().error();
  guesses_.facts.push_back(
      fmt::format("{} pages of each member were looked at; {} are not all "
                  "zeros",
                  relations_.pages, relations_.with_bytes));
  if (relations_.with_bytes == 0) {
    guesses_.verdict = "cannot tell: there is nothing but zeros";
    return guesses_;
  }
  state_relations();
  Search search(pages_, relations_);
  std::vector<Hypothesis> all = search.run(families());
  // Numbers that count can look like parity. Then copies, or borders, tell.
  if (all.empty() || !settled(all.front())) all = search.run(kStriped);
  if (!pages_.error()) return pages_.error().error();
  if (search.cut_short()) {
    guesses_.facts.push_back("not all orders of the members could be tried");
  }
  rank(search, all);
  judge(search);
  return guesses_;
}

std::vector<Family> Guesser::families() {
  if (relations_.equal.likely()) return {{1, {0}}};
  if (relations_.sum_is_member.likely()) return {{6, kSyndromeLayouts}};
  const std::vector<Family> parity = {{5, kParityLayouts}, {4, {0}}};
  if (relations_.sum_zero.likely()) return parity;
  if (pages_.missing()) return parity;
  return {};
}

std::string Guesser::relation_sentence() const {
  const auto of = [](const Relation& relation) {
    return fmt::format("in {} of {} places", relation.holds, relation.holds + relation.broken);
  };
  if (relations_.equal.likely()) {
    return of(relations_.equal) + " all members are equal: copies";
  }
  if (relations_.sum_is_member.likely()) {
    return of(relations_.sum_is_member) +
           " the sum of all members is one of them: two parities, and that one is Q";
  }
  if (relations_.sum_zero.likely()) {
    return of(relations_.sum_zero) + " the sum of all members is zero: one parity";
  }
  if (pages_.missing()) {
    return "a member is missing, so that parity cannot be seen; that there is one is assumed";
  }
  return "neither equal members nor parity over all of them were found";
}

void Guesser::state_relations() { guesses_.facts.push_back(relation_sentence()); }

// Nothing that competes could do better.
bool Guesser::settled(const Hypothesis& best) {
  constexpr double kGood = 7;  // bits, of 8 that a border can have
  if (best.shape.level == 1 || (best.q_right >= 4 && best.q_wrong == 0)) return true;
  return best.borders != 0 && best.border_bits >= kGood * static_cast<double>(best.borders);
}

// How far a level that no relation shows, or an order that none fixes, is more than what the best
// of many random orders would be: 0 to 1.
double Guesser::trust(const Search& search, const Hypothesis& best) const {
  if (best.shape.level == 1 || (best.q_right >= 4 && best.q_wrong == 0)) return 1;
  if (best.borders == 0) return 0;
  const double count = static_cast<double>(best.borders);
  const double above = (best.border_bits - search.noise_mean() * count) /
                       (search.noise_deviation() * std::sqrt(count));
  // The best of some thousand orders is 4 deviations above their mean by chance.
  return std::clamp((above - 4) / 6, 0.0, 1.0);
}

void Guesser::rank(const Search& search, const std::vector<Hypothesis>& all) {
  if (all.empty()) return;
  const Hypothesis& best = all.front();
  double sum = 0;
  for (const Hypothesis& each : all) {
    sum += std::exp2(search.weight(each) - search.weight(best));
  }
  const double trusted = trust(search, best);
  for (const Hypothesis& each : all) {
    const double confidence =
        std::min(kMost, std::exp2(search.weight(each) - search.weight(best)) / sum * trusted);
    if (guesses_.ranked.size() == kMaxRanked || confidence < kLeast) break;
    guesses_.ranked.push_back(guess_of(search, each));
    guesses_.ranked.back().confidence = confidence;
  }
}

std::string Guesser::border_sentence(const Search& search, const Hypothesis& from) const {
  const double count = static_cast<double>(from.borders);
  return fmt::format(
      "{} borders between chunks go on with {:.1f} bits each in favour; those of chunks that are "
      "no neighbours have {:.1f}, give or take {:.1f}",
      from.borders, from.border_bits / count, search.noise_mean(), search.noise_deviation());
}

// Of the array's beginning, put together as the hypothesis says.
std::string Guesser::start_sentence(const Hypothesis& from) {
  const Shape& shape = from.shape;
  const auto layout =
      Layout::make({shape.level, shape.layout, true, shape.chunk_bytes,
                    static_cast<std::uint32_t>(pages_.count()), shape.component_bytes,
                    std::vector(pages_.count(), shape.component_bytes)});
  std::vector<std::byte> start;
  while (start.size() < std::min(kSignatureBytes, layout->array_bytes())) {
    const Place place = layout->place(start.size());
    const Page& page = pages_.at(from.order[place.role], shape.start + place.offset_bytes);
    start.insert(start.end(), page.begin(), page.end());
  }
  const auto found = signature_of(start);
  if (!found) return {};
  if (!found->size_bytes) return fmt::format("the array begins with {}", found->what);
  return fmt::format("the array of {} bytes begins with {} of {}", layout->array_bytes(),
                     found->what, *found->size_bytes);
}

Guess Guesser::guess_of(const Search& search, const Hypothesis& from) {
  const Shape& shape = from.shape;
  Guess guess{shape.level,
              shape.layout,
              shape.chunk_bytes,
              shape.start,
              shape.component_bytes,
              from.order,
              0,
              {}};
  const bool striped = shape.level == 0 || shape.level == 10;
  if (!striped) guess.evidence.push_back(relation_sentence());
  const auto layout =
      Layout::make({shape.level, shape.layout, true, shape.chunk_bytes,
                    static_cast<std::uint32_t>(pages_.count()), shape.component_bytes,
                    std::vector(pages_.count(), shape.component_bytes)});
  if (layout->raid10() != nullptr) guess.component_bytes = layout->raid10()->member_bytes();
  if (from.q_right != 0) {
    guess.evidence.push_back(fmt::format("Q is where and what it must be in {} of {} stripes",
                                         from.q_right, from.q_right + from.q_wrong));
  }
  if (from.copies_equal + from.copies_differ != 0) {
    guess.evidence.push_back(fmt::format("copies are equal in {} of {} chunks", from.copies_equal,
                                         from.copies_equal + from.copies_differ));
  }
  if (from.borders != 0) guess.evidence.push_back(border_sentence(search, from));
  if (std::string start = start_sentence(from); !start.empty()) {
    guess.evidence.push_back(std::move(start));
  }
  return guess;
}

void Guesser::judge(const Search& search) {
  const double best = guesses_.ranked.empty() ? 0 : guesses_.ranked.front().confidence;
  if (best < 0.2) {
    guesses_.verdict =
        related() ? "the level is known, but the content does not tell the order of the members: "
                    "their chunks fit together in many ways as well as in any other"
                  : "cannot tell: no order of the members looks better than chance would have it; "
                    "the content may be random or encrypted, or this may be no array";
    return;
  }
  const Guess& first = guesses_.ranked.front();
  const std::string layout = first.level == 0 ? "" : layout_name(first.level, first.layout);
  const char* how = best > 0.9 ? "sure" : best > 0.6 ? "likely" : "a guess among others";
  guesses_.verdict =
      fmt::format("{}: {}{}{}", how, level_name(first.level), layout.empty() ? "" : ", ", layout);
  if (search.cut_short()) guesses_.verdict += ", of what could be tried";
}

}  // namespace

Result<Guesses> guess_array(const GuessInput& input) {
  const std::size_t count = input.device_bytes.size();
  const auto missing = std::count_if(input.device_bytes.begin(), input.device_bytes.end(),
                                     [](const auto& each) { return !each.has_value(); });
  if (count < 2 || count > kMaxGuessDevices) {
    return make_error(Errc::invalid, "{} members are given; 2 to {} can be guessed about", count,
                      kMaxGuessDevices);
  }
  if (missing > 1 || (missing == 1 && count < 3)) {
    return make_error(Errc::invalid,
                      "{} of {} members are missing; one of three or more can be, no more", missing,
                      count);
  }
  return Guesser(input).guess();
}

}  // namespace ashlar::md
