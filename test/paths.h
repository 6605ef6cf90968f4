// Where the checkout and the command under test are. Paths are told to paths.cc alone: in every
// other source they would keep the compiler cache from serving two checkouts.
#pragma once

#include <filesystem>

namespace ashlar::test {

std::filesystem::path source_folder();
std::filesystem::path command_path();

}  // namespace ashlar::test
