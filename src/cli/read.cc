// `ashlar read`: the bytes of a device.
#include <unistd.h>

#include "cli/app.h"
#include "cli/ordered_reader.h"
#include "cli/progress.h"
#include "cli/sink.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

Result<ByteRange> range_of(const ReadOptions& options, const Device& device) {
  const std::uint64_t size = device.size_bytes();
  const std::string& name = device.provider().name;
  if (options.offset > size) {
    return make_error(Errc::out_of_range, "{} has {} bytes; there is no byte {}", name, size,
                      options.offset);
  }
  const std::uint64_t rest = size - options.offset;
  const std::uint64_t length = options.length.value_or(rest);
  if (length > rest) {
    return make_error(Errc::out_of_range, "{} has {} bytes; from byte {} on it has {}, not {}",
                      name, size, options.offset, rest, length);
  }
  return ByteRange{options.offset, length};
}

// An image must not be replaced by what is read from it.
Result<void> check_apart(const Sink& sink, const Node& node) {
  for (const auto& geom : node.topology().geoms()) {
    const auto path = geom->parameters().find("path");
    if (path == geom->parameters().end() || !sink.is_same_file(path->second)) continue;
    return make_error(Errc::busy, "{} is the file of '{}', which is being read", sink.name(),
                      geom->name());
  }
  return {};
}

Result<std::unique_ptr<Sink>> sink_of(const ReadOptions& options, const Node& node) {
  if (options.output.empty() || options.output == "-") return Sink::standard_output();
  auto sink = Sink::create(options.output, options.force);
  if (!sink) return sink.error();
  if (auto apart = check_apart(**sink, node); !apart) return apart.error();
  return sink;
}

Result<void> copy(OrderedReader& reader, Sink& sink, Progress& progress) {
  std::uint64_t done = 0;
  while (true) {
    auto piece = reader.next();
    if (!piece) {
      return make_error(piece.error().code, "{}; {} has the {} before it", piece.error().message,
                        sink.name(), counted(done, "byte"));
    }
    if (piece->empty()) return sink.finish();
    if (auto put = sink.put(*piece); !put) return put;
    done += piece->size();
    progress.show(done);
  }
}

}  // namespace

Result<int> run_read(const ReadOptions& options) {
  leave_on_interrupt("stopped while looking at what is on the disks; nothing was changed");
  auto node = open_stack(options.stack);
  if (!node) return node.error();
  auto device = open_device(**node, options.stack, options.device);
  if (!device) return device.error();
  auto range = range_of(options, **device);
  if (!range) return range.error();
  auto lane = Lane::create({.engine = options.stack.engine_options()});
  if (!lane) return lane.error();
  auto channel = (*device)->channel(**lane);
  if (!channel) return channel.error();
  auto sink = sink_of(options, **node);
  if (!sink) return sink.error();
  leave_on_interrupt(fmt::format("stopped; {} has a part of the bytes", (*sink)->name()));
  OrderedReader reader(**device, **channel, *range);
  Progress progress(range->length, !(*sink)->terminal());
  if (auto copied = copy(reader, **sink, progress); !copied) return copied.error();
  return kFine;
}

}  // namespace ashlar::cli
