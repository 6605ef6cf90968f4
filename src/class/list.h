// The built-in classes. An explicit list: nothing registers itself.
#pragma once

#include <span>
#include <string_view>

#include "topology/class.h"

namespace ashlar {

// Every class that this library was built with, in the order in which they taste.
std::span<const ClassInfo* const> builtin_classes();

// The built-in class of that name, or null.
const ClassInfo* find_builtin_class(std::string_view name);

}  // namespace ashlar
