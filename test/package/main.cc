// Includes an installed header and calls the installed library; prints one sentence.
#include <cstdio>

#include "base/errc.h"

int main() {
  const std::string_view text = ashlar::to_string(ashlar::Errc::gone);
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
  return text.empty() ? 1 : 0;
}
