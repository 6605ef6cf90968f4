// Hypotheses and how well the members agree with them. For guess.cc.
//
// THREAD: one.
#pragma once

#include <vector>

#include "md/guess_links.h"
#include "md/guess_relations.h"
#include "md/layout.h"

namespace ashlar::md {

// A level with its layouts, all of which are tried.
struct Family {
  std::int32_t level = 0;
  std::vector<std::uint32_t> layouts;
};

struct Shape {
  std::int32_t level = 0;
  std::uint32_t layout = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t start = 0;
  std::uint64_t component_bytes = 0;
};

struct Hypothesis {
  Shape shape;
  std::vector<std::size_t> order;
  double bits = 0;   // all that speaks for it
  double prior = 0;  // of that, what does not depend on chance: where the array begins
  // What that is made of.
  std::size_t borders = 0;
  double border_bits = 0;
  std::size_t q_right = 0;
  std::size_t q_wrong = 0;
  std::size_t copies_equal = 0;
  std::size_t copies_differ = 0;
  bool begins_known = false;  // with a known structure
};

class Search {
 public:
  Search(Pages& pages, const Relations& relations);

  // The best, best first, each with all its places looked at. May be called again: what was found
  // before competes then.
  std::vector<Hypothesis> run(const std::vector<Family>& families);

  // The binary logarithm of how likely a hypothesis is beside others: bits that may be chance count
  // less.
  double weight(const Hypothesis& hypothesis) const;
  // What a border between chunks that are no neighbours has: mean and deviation.
  double noise_mean() const { return noise_mean_; }
  double noise_deviation() const { return noise_deviation_; }
  // Hypotheses were left out, since there are too many.
  bool cut_short() const { return steps_ >= kMaxGuessSteps; }

 private:
  void learn();
  void measure_noise();
  std::vector<Shape> shapes_of(const Family& family, std::uint64_t chunk) const;
  void try_shape(const Shape& shape);
  void try_all(const Shape& shape, const Layout& layout);
  void climb(const Shape& shape, const Layout& layout);
  void keep(const Hypothesis& hypothesis);
  Hypothesis judge(const Shape& shape, const Layout& layout, const std::vector<std::size_t>& order,
                   std::size_t places);
  void judge_borders(Hypothesis& hypothesis, const Layout& layout, std::uint64_t place,
                     std::size_t turn);
  void judge_copies(Hypothesis& hypothesis, const Layout& layout, std::uint64_t offset);
  void judge_parity(Hypothesis& hypothesis, const ParityLayout& layout, std::uint64_t place);
  bool judge_q(Hypothesis& hypothesis, const ParityLayout& layout, std::size_t places);
  bool q_sum_right(const Hypothesis& hypothesis, const ParityLayout& layout, const QPlace& place);
  bool known_start(std::size_t device, std::uint64_t offset);

  Pages& pages_;
  const Relations& relations_;
  Links links_;
  std::vector<std::uint64_t> places_;  // a sample, in no order
  std::unordered_map<std::uint64_t, bool> known_starts_;
  double noise_mean_ = 0;
  double noise_deviation_ = 1;
  std::uint64_t steps_ = 0;
  std::vector<Hypothesis> kept_;
};

}  // namespace ashlar::md
