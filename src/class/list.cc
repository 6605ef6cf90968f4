// The one list of built-in classes.
#include "class/list.h"

#include <array>

// One line a class; src/class/NAME/NAME.cc defines `const ClassInfo& NAME_class()`.
#define ASHLAR_BUILTIN_CLASSES(CLASS) \
  CLASS(bsdlabel)                     \
  CLASS(cache)                        \
  CLASS(concat)                       \
  CLASS(delay)                        \
  CLASS(fault)                        \
  CLASS(file)                         \
  CLASS(gpt)                          \
  CLASS(linear)                       \
  CLASS(mbr)                          \
  CLASS(md)                           \
  CLASS(memory)                       \
  CLASS(mirror)                       \
  CLASS(null)                         \
  CLASS(overlay)                      \
  CLASS(passthrough)                  \
  CLASS(stats)                        \
  CLASS(stripe)                       \
  CLASS(throttle)                     \
  CLASS(write_log)

namespace ashlar {

#define ASHLAR_DECLARE(name) const ClassInfo& name##_class();
ASHLAR_BUILTIN_CLASSES(ASHLAR_DECLARE)
#undef ASHLAR_DECLARE

std::span<const ClassInfo* const> builtin_classes() {
#define ASHLAR_ADDRESS(name) &name##_class(),
  static const std::array kAll = {ASHLAR_BUILTIN_CLASSES(ASHLAR_ADDRESS)};
#undef ASHLAR_ADDRESS
  return kAll;
}

const ClassInfo* find_builtin_class(std::string_view name) {
  for (const ClassInfo* each : builtin_classes()) {
    if (each->facts->name == name) return each;
  }
  return nullptr;
}

}  // namespace ashlar
