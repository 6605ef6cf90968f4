// The C API's words for errors, and its sets and devices. See ashlar.h.
#include "capi/handles.h"

#include <cstdio>
#include <string>

#include "node/stack.h"

namespace ashlar::capi {
namespace {

// Long enough for any sentence of ours with a path in it; longer ones are cut.
constexpr std::size_t kSentenceBytes = 1024;
thread_local constinit char last_sentence[kSentenceBytes] = {};

}  // namespace

int refuse_number(int error_number, const char* sentence) noexcept {
  std::snprintf(last_sentence, kSentenceBytes, "%s", sentence);
  return -error_number;
}

int refuse(Errc code, const char* sentence) noexcept {
  return refuse_number(errno_from_errc(code), sentence);
}

int refuse(const Error& error) noexcept { return refuse(error.code, error.message.c_str()); }

namespace {

int result_of(const Result<void>& result) noexcept { return result ? 0 : refuse(result.error()); }

template <typename T>
int result_of(const Result<T>& result) noexcept {
  return result ? 0 : refuse(result.error());
}

int no_set() noexcept { return refuse(Errc::invalid, "this is no open set"); }
int no_device() noexcept { return refuse(Errc::invalid, "this is no open device"); }
int missing(const char* sentence) noexcept { return refuse(Errc::invalid, sentence); }

constexpr unsigned kSetFlags = ASHLAR_SET_WRITABLE | ASHLAR_SET_BUFFERED | ASHLAR_SET_THREADS;
constexpr unsigned kImageFlags = ASHLAR_IMAGE_READ_ONLY | ASHLAR_IMAGE_RAW;
constexpr unsigned kOpenFlags = ASHLAR_OPEN_WRITE | ASHLAR_OPEN_EXCLUSIVE | ASHLAR_OPEN_UNMAPPED;

NodeOptions node_options(unsigned flags) {
  NodeOptions options;
  options.writable = (flags & ASHLAR_SET_WRITABLE) != 0;
  options.direct = (flags & ASHLAR_SET_BUFFERED) == 0;
  if ((flags & ASHLAR_SET_THREADS) != 0) options.engine.choice = EngineChoice::threads;
  return options;
}

}  // namespace
}  // namespace ashlar::capi

using namespace ashlar;
using namespace ashlar::capi;

const char* ashlar_version(void) { return ASHLAR_VERSION; }

const char* ashlar_last_error(void) { return last_sentence; }

const char* ashlar_error_text(int result) {
  if (result >= 0) return to_string(Errc::ok).data();
  if (result == -EAGAIN) return "queue is full";
  return to_string(errc_from_errno(-result)).data();
}

// --- sets
// -----------------------------------------------------------------------------------------

int ashlar_set_open(unsigned flags, ashlar_set** set) {
  if (set == nullptr) return missing("there is no place for the set");
  *set = nullptr;
  if ((flags & ~kSetFlags) != 0) return missing("unknown flags for a set");
  return guarded([&] {
    auto node = Node::create(node_options(flags));
    if (!node) return refuse(node.error());
    auto handle = std::make_unique<ashlar_set>();
    handle->node = *std::move(node);
    handle->engine = node_options(flags).engine.choice;
    *set = handle.release();
    return 0;
  });
}

int ashlar_set_add_image(ashlar_set* set, const char* path, const char* name, unsigned flags) {
  if (!is_handle(set)) return no_set();
  if (path == nullptr) return missing("there is no path");
  if ((flags & ~kImageFlags) != 0) return missing("unknown flags for an image");
  return guarded([&] {
    ImageOptions options;
    options.path = path;
    if (name != nullptr) options.name = name;
    options.read_only = (flags & ASHLAR_IMAGE_READ_ONLY) != 0;
    options.taste = (flags & ASHLAR_IMAGE_RAW) == 0;
    return result_of(set->node->add_image(options));
  });
}

int ashlar_set_add_stack_file(ashlar_set* set, const char* path) {
  if (!is_handle(set)) return no_set();
  if (path == nullptr) return missing("there is no path");
  return guarded([&] {
    auto stack = load_stack(path);
    return stack ? result_of(set->node->add_stack(*stack)) : refuse(stack.error());
  });
}

int ashlar_set_add_stack_text(ashlar_set* set, const char* text, const char* folder) {
  if (!is_handle(set)) return no_set();
  if (text == nullptr) return missing("there is no text");
  return guarded([&] {
    auto stack = parse_stack(text, "(stack)", folder != nullptr ? folder : ".");
    return stack ? result_of(set->node->add_stack(*stack)) : refuse(stack.error());
  });
}

int ashlar_set_list(ashlar_set* set, int (*each)(void*, const char*, uint64_t), void* user) {
  if (!is_handle(set)) return no_set();
  if (each == nullptr) return missing("there is no function to call");
  return guarded([&] {
    set->node->settle_members();
    for (const auto& geom : set->node->topology().geoms()) {
      for (const auto& provider : geom->providers()) {
        const int verdict = each(user, provider->name.c_str(), provider->size_bytes);
        if (verdict != 0) return verdict;
      }
    }
    return 0;
  });
}

int ashlar_set_close(ashlar_set* set) {
  if (set == nullptr) return 0;
  if (!is_handle(set)) return no_set();
  if (set->devices.load() != 0) return refuse(Errc::busy, "a device of the set is open");
  return guarded([&] {
    set->kind = AshlarKind{};
    delete set;
    return 0;
  });
}

// --- devices
// --------------------------------------------------------------------------------------

int ashlar_device_open(ashlar_set* set, const char* name, unsigned flags, ashlar_device** device) {
  if (device == nullptr) return missing("there is no place for the device");
  *device = nullptr;
  if (!is_handle(set)) return no_set();
  if (name == nullptr) return missing("there is no name");
  if ((flags & ~kOpenFlags) != 0) return missing("unknown flags for a device");
  return guarded([&] {
    auto handle = std::make_unique<ashlar_device>();
    OpenOptions options;
    options.write = (flags & ASHLAR_OPEN_WRITE) != 0;
    options.exclusive = (flags & ASHLAR_OPEN_EXCLUSIVE) != 0;
    options.unmapped = (flags & ASHLAR_OPEN_UNMAPPED) != 0;
    options.user = "a C program";
    auto opened = set->node->open(name, options);
    if (!opened) return refuse(opened.error());
    handle->set = set;
    handle->device = *std::move(opened);
    ++set->devices;
    *device = handle.release();
    return 0;
  });
}

int ashlar_device_info(ashlar_device* device, ashlar_info* info) {
  if (!is_handle(device)) return no_device();
  if (info == nullptr) return missing("there is no place for the information");
  const Device& what = *device->device;
  const Limits& limits = what.limits();
  const OpSet ops = what.writable() ? what.program().ops : what.program().ops & OpSet::read_only();
  *info = {};
  info->size_bytes = what.size_bytes();
  info->preferred_bytes = limits.preferred_bytes;
  info->block_bytes = limits.block_bytes;
  info->memory_alignment = limits.memory_alignment;
  for (std::size_t i = 0; i < kOpCount; ++i) {
    if (ops.has(static_cast<Op>(i))) info->operations |= 1u << i;
  }
  info->fua = ops.fua() ? 1 : 0;
  return 0;
}

int ashlar_device_close(ashlar_device* device) {
  if (device == nullptr) return 0;
  if (!is_handle(device)) return no_device();
  if (device->queues.load() != 0) return refuse(Errc::busy, "a queue of the device is open");
  return guarded([&] {
    ashlar_set& set = *device->set;
    device->kind = AshlarKind{};
    delete device;
    --set.devices;
    return 0;
  });
}
