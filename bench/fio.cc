// Runs fio and reads its JSON.
#include "bench/fio.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace ashlar::bench {

std::optional<FioCost> run_fio(const FioRun& run) {
  const std::string command = fmt::format(
      "fio --name=x --filename={} --readonly --ioengine=io_uring --direct={} --rw=randread --bs=4k"
      " --iodepth={} --iodepth_batch={} --iodepth_batch_complete_min={} --time_based --runtime={} "
      "--norandommap --invalidate=0"
      " --gtod_reduce=1 --output-format=json 2>/dev/null",
      run.path, run.direct ? 1 : 0, run.depth, std::max(run.depth / 2, 1u),
      run.patient ? std::max(run.depth / 4, 1u) : 1, run.seconds);
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string text;
  std::array<char, 4096> piece;
  while (const std::size_t count = fread(piece.data(), 1, piece.size(), pipe)) {
    text.append(piece.data(), count);
  }
  if (pclose(pipe) != 0) return std::nullopt;
  const nlohmann::json report = nlohmann::json::parse(text, nullptr, false);
  if (report.is_discarded() || !report.contains("jobs")) return std::nullopt;
  const nlohmann::json& job = report["jobs"][0];
  const double wall_ns = 1e9 / job["read"]["iops"].get<double>();
  const double cpu_share = (job["usr_cpu"].get<double>() + job["sys_cpu"].get<double>()) / 100;
  return FioCost{wall_ns, wall_ns * cpu_share};
}

}  // namespace ashlar::bench
