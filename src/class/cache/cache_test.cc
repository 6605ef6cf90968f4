// Goal: the class `cache` as written back: conformance, and what only this class does.
// Method: the suite with several shapes of the cache (test/conformance_test.cc has the default);
// counters and dirty bytes by status(); lanes with threads of their own.
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

TEST(Cache, written_back_with_room_for_the_whole_device_conforms) {
  expect_conformance({{"mode", "write_back"}, {"memory", "1MiB"}, {"dirty", "512KiB"}});
}

TEST(Cache, written_back_in_long_blocks_conforms) {
  expect_conformance({{"mode", "write_back"}, {"memory", "2MiB"}, {"block", "64KiB"}});
}

TEST(Cache, written_through_in_short_blocks_without_read_ahead_conforms) {
  expect_conformance({{"memory", "256KiB"}, {"block", "512"}, {"read_ahead", "0"}});
}

}  // namespace
}  // namespace ashlar
