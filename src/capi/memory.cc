// The C API's memory that is not mapped. See ashlar.h.
#include "capi/handles.h"

using namespace ashlar;
using namespace ashlar::capi;

namespace {

int no_memory_handle() noexcept { return refuse(Errc::invalid, "this is no open memory"); }

}  // namespace

int ashlar_memory_open(int fd, uint64_t offset, uint64_t length, unsigned flags,
                       ashlar_memory** memory) {
  if (memory == nullptr) return refuse(Errc::invalid, "there is no place for the memory");
  *memory = nullptr;
  if ((flags & ~unsigned{ASHLAR_MEMORY_READ_ONLY}) != 0) {
    return refuse(Errc::invalid, "unknown flags for memory");
  }
  return guarded([&] {
    auto handle = std::make_unique<ashlar_memory>();
    auto made = UnmappedMemory::create(fd, offset, length, (flags & ASHLAR_MEMORY_READ_ONLY) == 0);
    if (!made) return refuse(made.error());
    handle->memory = *std::move(made);
    *memory = handle.release();
    return 0;
  });
}

int ashlar_memory_part(ashlar_memory* memory, uint64_t offset, uint64_t length,
                       struct iovec* part) {
  if (!is_handle(memory)) return no_memory_handle();
  if (part == nullptr || !within(offset, length, memory->memory->size_bytes())) {
    return refuse(Errc::invalid, "the memory has no such part");
  }
  const Segment segment = memory->memory->segment(offset, length);
  *part = {segment.data, segment.length};
  return 0;
}

int ashlar_memory_mapped(ashlar_memory* memory, uint64_t* bytes) {
  if (!is_handle(memory)) return no_memory_handle();
  if (bytes == nullptr) return refuse(Errc::invalid, "there is no place for the number");
  *bytes = memory->memory->mapped_bytes();
  return 0;
}

int ashlar_memory_close(ashlar_memory* memory) {
  if (memory == nullptr) return 0;
  if (!is_handle(memory)) return no_memory_handle();
  memory->kind = {};
  delete memory;
  return 0;
}
