// What the build says.
#include "test/paths.h"

namespace ashlar::test {

std::filesystem::path source_folder() { return ASHLAR_SOURCE_DIR; }
std::filesystem::path command_path() { return ASHLAR_COMMAND; }

}  // namespace ashlar::test
