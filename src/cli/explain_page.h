// The explanation of a program for people.
#pragma once

#include <string>

#include "cli/explanation.h"
#include "cli/terminal.h"

namespace ashlar::cli {

std::string explain_page(const Explanation& all, const Paint& paint);

}  // namespace ashlar::cli
