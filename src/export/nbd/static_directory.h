// An export directory that is a list of facts: for tests, fuzzing and benchmarks, where no device
// stands behind the exports.
#pragma once

#include <utility>

#include "export/nbd/export_directory.h"

namespace ashlar::nbd {

// The first export is the default one. THREAD: immutable after construction.
class StaticDirectory final : public ExportDirectory {
 public:
  explicit StaticDirectory(std::vector<ExportInfo> exports) : exports_(std::move(exports)) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> result;
    for (const ExportInfo& info : exports_) result.push_back(info.name);
    return result;
  }

  std::optional<ExportInfo> find(std::string_view name) const override {
    for (const ExportInfo& info : exports_) {
      if (name.empty() || info.name == name) return info;
    }
    return std::nullopt;
  }

  Result<ExportInfo> choose(std::string_view name) override {
    if (std::optional<ExportInfo> info = find(name)) return *std::move(info);
    return make_error(Errc::not_found, "there is no export '{}'", name);
  }

 private:
  std::vector<ExportInfo> exports_;
};

}  // namespace ashlar::nbd
