// Goal: every class in the list keeps the rules that no class may break.
// Method: the conformance suite, one test for each class and aspect. A class takes part by being in
// the list; test/conformance_hints.cc says what the suite cannot know of it.
#include <gtest/gtest.h>

#include "class/list.h"
#include "test/conformance_hints.h"

namespace ashlar {
namespace {

using Question = std::tuple<const ClassInfo*, const conformance::Aspect*>;

class Conformance : public testing::TestWithParam<Question> {};

TEST_P(Conformance, holds) {
  const auto [info, aspect] = GetParam();
  for (const std::string& wrong :
       conformance::run(*info, *aspect, test::conformance_options(*info))) {
    ADD_FAILURE() << wrong << "\nthe rule: " << aspect->asks;
  }
}

std::vector<const conformance::Aspect*> all_aspects() {
  std::vector<const conformance::Aspect*> all;
  for (const conformance::Aspect& each : conformance::aspects()) all.push_back(&each);
  return all;
}

std::string name_of(const testing::TestParamInfo<Question>& test) {
  const auto [info, aspect] = test.param;
  return std::string(info->facts->name) + "_" + std::string(aspect->name);
}

INSTANTIATE_TEST_SUITE_P(Classes, Conformance,
                         testing::Combine(testing::ValuesIn(builtin_classes().begin(),
                                                            builtin_classes().end()),
                                          testing::ValuesIn(all_aspects())),
                         name_of);

}  // namespace
}  // namespace ashlar
