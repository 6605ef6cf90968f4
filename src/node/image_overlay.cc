// Images that are seen through an overlay.
//
//   disk0         overlay    what is tasted, opened, written
//   disk0.image   file       only read
//   disk0.store   file       a kept overlay, or what a temporary one has no memory for
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "class/overlay/store_file.h"
#include "node/node.h"
#include "node/reader.h"

namespace ashlar {
namespace {

// Whether there is a file; an error of any other kind is for whoever opens it.
bool is_missing(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) != 0 && errno == ENOENT;
}

}  // namespace

Result<Provider*> Node::make_overlaid(const ImageOptions& options, const std::string& name) {
  ImageOptions below = options;
  below.read_only = true;
  auto image = make_image(below, name + ".image");
  if (!image) return image;
  auto store = make_store(**image, *options.overlay, name + ".store");
  if (!store) {
    (void)topology_.destroy(*(*image)->geom);
    return store;
  }
  ParameterTexts parameters;
  if (!options.overlay->file.empty()) parameters["keep"] = "true";
  if (!options.overlay->memory.empty()) parameters["memory"] = options.overlay->memory;
  auto geom = make_geom("overlay", {name, {*image, *store}, std::move(parameters)});
  if (geom) return (*geom)->providers().front().get();
  (void)topology_.destroy(*(*store)->geom);
  (void)topology_.destroy(*(*image)->geom);
  return geom.error();
}

Result<Provider*> Node::make_store(Provider& image, const OverlayOptions& options,
                                   const std::string& name) {
  const bool temporary = options.file.empty();
  ParameterTexts parameters = {{"path", options.file},
                               {"block", std::to_string(image.limits.block_bytes)}};
  if (temporary) {
    auto made = overlay::make_temporary_file(image.size_bytes);
    if (!made) return made.error();
    parameters["path"] = *made;
  } else if (is_missing(options.file)) {
    if (!options.create) {
      return make_error(Errc::not_found, "overlay: {}: there is no such file", options.file);
    }
    if (auto made = make_overlay_file(image, options.file); !made) return made.error();
  }
  // What a temporary one has no memory for may well stay in the page cache.
  if (temporary || !options_.direct) parameters["direct"] = "off";
  auto geom = make_geom("file", {name, {}, parameters});
  if (temporary) unlink(parameters["path"].c_str());
  if (!geom) return geom.error();
  return (*geom)->providers().front().get();
}

Result<void> Node::make_overlay_file(Provider& image, const std::string& path) {
  DeviceReader reader(topology_, *lane_, image);
  const auto identity = overlay::fresh_identity();
  if (!identity) return identity.error();
  auto header = overlay::make_header(
      image.size_bytes, *identity,
      [&](std::uint64_t offset, ByteSpan into) { return reader.read(offset, into); });
  if (!header) return header.error();
  return overlay::make_store_file(path, *header);
}

}  // namespace ashlar
