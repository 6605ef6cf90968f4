// Goal: the class `cache` keeps the rules of every class, written back too.
// Method: the suite with other shapes of it than test/conformance_test.cc has. What only this class
// does is in test/cached_device_test.cc.
#include <gtest/gtest.h>

#include "class/list.h"
#include "conformance/conformance.h"

namespace ashlar {
namespace {

void expect_conformance(ParameterTexts parameters) {
  conformance::Options options;
  options.parameters = std::move(parameters);
  for (const std::string& wrong : conformance::run(*find_builtin_class("cache"), options)) {
    ADD_FAILURE() << wrong;
  }
}

TEST(Cache, written_back_conforms) {
  expect_conformance({{"mode", "write_back"}, {"memory", "128KiB"}});
}

TEST(Cache, written_back_in_long_blocks_conforms) {
  expect_conformance({{"mode", "write_back"}, {"memory", "2MiB"}, {"block", "64KiB"}});
}

TEST(Cache, written_through_in_short_blocks_without_read_ahead_conforms) {
  expect_conformance({{"memory", "256KiB"}, {"block", "512"}, {"read_ahead", "0"}});
}

}  // namespace
}  // namespace ashlar
