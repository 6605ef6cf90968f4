// Goal: a program in C can do what ashlar.h promises: every operation, errors with their numbers and
// sentences, cancelling, a poll loop, closing with requests in flight; and misuse has defined results.
// Method: a memory disk, a file, a faulty disk and a disk that takes an hour, made from a stack's
// text; built as C11 with all warnings. Each check that fails is printed; the exit status says all.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capi/ashlar.h"

static int failures = 0;
static int checks = 0;

#define CHECK(condition)                                             \
  do {                                                               \
    ++checks;                                                        \
    if (!(condition)) {                                              \
      ++failures;                                                    \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      fprintf(stderr, "  last error: %s\n", ashlar_last_error());    \
    }                                                                \
  } while (0)

enum { kBlock = 4096, kDepth = 8 };

static const char kStack[] =
    "[[geom]]\nname = \"disk\"\nclass = \"memory\"\nsize = \"1MiB\"\ntaste = false\n"
    "[[geom]]\nname = \"base\"\nclass = \"memory\"\nsize = \"1MiB\"\ntaste = false\n"
    "[[geom]]\nname = \"slow\"\nclass = \"delay\"\nover = [\"base\"]\ntime = \"3600s\"\ntaste = false\n"
    "[[geom]]\nname = \"weak\"\nclass = \"memory\"\nsize = \"1MiB\"\ntaste = false\n"
    "[[geom]]\nname = \"bad\"\nclass = \"fault\"\nover = [\"weak\"]\nerror = \"io\"\ntaste = false\n";

// A set, a device of it and a queue, open.
struct bed {
  ashlar_set *set;
  ashlar_device *device;
  ashlar_queue *queue;
};

static struct bed open_bed(const char *name) {
  struct bed bed = {NULL, NULL, NULL};
  CHECK(ashlar_set_open(ASHLAR_SET_WRITABLE, &bed.set) == 0);
  CHECK(ashlar_set_add_stack_text(bed.set, kStack, NULL) == 0);
  CHECK(ashlar_device_open(bed.set, name, ASHLAR_OPEN_WRITE, &bed.device) == 0);
  CHECK(ashlar_queue_open(bed.device, kDepth, &bed.queue) == 0);
  return bed;
}

static void close_bed(struct bed *bed) {
  CHECK(ashlar_queue_close(bed->queue) == 0);
  CHECK(ashlar_device_close(bed->device) == 0);
  CHECK(ashlar_set_close(bed->set) == 0);
}

static struct ashlar_request make(uint32_t op, uint64_t offset, const struct iovec *iov,
                                  uint32_t iov_count) {
  struct ashlar_request request;
  memset(&request, 0, sizeof(request));
  request.op = op;
  request.offset = offset;
  request.iov = iov;
  request.iov_count = iov_count;
  return request;
}

static void fill(unsigned char *bytes, size_t length, unsigned seed) {
  for (size_t i = 0; i < length; ++i) bytes[i] = (unsigned char)((i * 7u + seed * 131u) >> 2);
}

static void test_every_operation(const char *name, struct bed *bed) {
  unsigned char out[2 * kBlock], in[2 * kBlock];
  fill(out, sizeof(out), (unsigned)strlen(name));
  struct iovec halves[2] = {{out, 512}, {out + 512, sizeof(out) - 512}};
  struct iovec whole = {in, sizeof(in)};
  struct ashlar_request write_it = make(ASHLAR_WRITE, kBlock, halves, 2);
  struct ashlar_info info;
  CHECK(ashlar_device_info(bed->device, &info) == 0);
  CHECK(info.size_bytes == 1 << 20 && info.block_bytes >= 512 && info.memory_alignment >= 1);
  CHECK((info.operations & 1u << ASHLAR_WRITE) != 0);
  write_it.flags = info.fua ? ASHLAR_FUA : 0;
  CHECK(ashlar_run(bed->queue, &write_it) == 0);
  struct ashlar_request read_it = make(ASHLAR_READ, kBlock, &whole, 1);
  CHECK(ashlar_run(bed->queue, &read_it) == 0);
  CHECK(memcmp(in, out, sizeof(in)) == 0);
  struct ashlar_request flush = make(ASHLAR_FLUSH, 0, NULL, 0);
  CHECK(ashlar_run(bed->queue, &flush) == 0);
  struct ashlar_request zero = make(ASHLAR_WRITE_ZEROES, kBlock, NULL, 0);
  zero.length = kBlock;
  CHECK(ashlar_run(bed->queue, &zero) == 0);
  struct ashlar_request discard = make(ASHLAR_DISCARD, 0, NULL, 0);
  discard.length = kBlock;
  CHECK(ashlar_run(bed->queue, &discard) == 0);
  CHECK(ashlar_run(bed->queue, &read_it) == 0);
  CHECK(in[0] == 0 && memcmp(in, in + 1, kBlock - 1) == 0);
  CHECK(memcmp(in + kBlock, out + kBlock, kBlock) == 0);
}

static void test_memory(void) {
  struct bed bed = open_bed("disk");
  test_every_operation("disk", &bed);
  close_bed(&bed);
}

static void test_file(unsigned set_flags) {
  char path[] = "/tmp/ashlar_c_api_XXXXXX";
  const int fd = mkstemp(path);
  CHECK(fd >= 0 && ftruncate(fd, 1 << 20) == 0);
  struct bed bed = {NULL, NULL, NULL};
  CHECK(ashlar_set_open(ASHLAR_SET_WRITABLE | set_flags, &bed.set) == 0);
  CHECK(ashlar_set_add_image(bed.set, path, "image", ASHLAR_IMAGE_RAW) == 0);
  CHECK(ashlar_device_open(bed.set, "image", ASHLAR_OPEN_WRITE, &bed.device) == 0);
  CHECK(ashlar_queue_open(bed.device, kDepth, &bed.queue) == 0);
  test_every_operation("file", &bed);
  close_bed(&bed);
  unsigned char byte = 1;
  CHECK(pread(fd, &byte, 1, kBlock) == 1 && byte == 0);
  close(fd);
  unlink(path);
}

// Depth requests at a time, the completions in a loop of the program's own.
static void test_poll_loop(void) {
  struct bed bed = open_bed("disk");
  unsigned char buffers[kDepth][kBlock];
  struct iovec iov[kDepth];
  uint64_t ids[kDepth];
  struct ashlar_completion done[kDepth];
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < kDepth; ++i) {
      fill(buffers[i], kBlock, (unsigned)(round + i));
      iov[i].iov_base = buffers[i];
      iov[i].iov_len = kBlock;
      struct ashlar_request request = make(ASHLAR_WRITE, (uint64_t)i * kBlock, &iov[i], 1);
      request.user = &buffers[i];
      CHECK(ashlar_submit(bed.queue, &request, &ids[i]) == 0 && ids[i] != 0);
    }
    struct ashlar_request one_more = make(ASHLAR_FLUSH, 0, NULL, 0);
    CHECK(ashlar_submit(bed.queue, &one_more, NULL) == -EAGAIN);
    int ended = 0;
    while (ended < kDepth) {
      struct pollfd entry = {ashlar_queue_fd(bed.queue), POLLIN, 0};
      if (ashlar_prepare_to_sleep(bed.queue) == 0) CHECK(poll(&entry, 1, -1) == 1);
      const int count = ashlar_poll(bed.queue, done, kDepth);
      CHECK(count >= 0);
      for (int i = 0; i < count; ++i) {
        CHECK(done[i].result == 0 && done[i].done_bytes == kBlock && done[i].user != NULL);
      }
      ended += count;
    }
    CHECK(ashlar_wait(bed.queue, done, kDepth, -1) == 0);  // nothing is under way
    CHECK(ashlar_cancel(bed.queue, ids[0]) == -ENOENT);    // long gone
  }
  close_bed(&bed);
}

static void test_cancel(void) {
  struct bed bed = open_bed("slow");
  unsigned char buffer[2][kBlock];
  struct iovec iov[2] = {{buffer[0], kBlock}, {buffer[1], kBlock}};
  struct ashlar_request first = make(ASHLAR_READ, 0, &iov[0], 1);
  struct ashlar_request second = make(ASHLAR_READ, 0, &iov[1], 1);
  uint64_t ids[2];
  struct ashlar_completion done;
  CHECK(ashlar_submit(bed.queue, &first, &ids[0]) == 0);
  CHECK(ashlar_submit(bed.queue, &second, &ids[1]) == 0);
  CHECK(ashlar_wait(bed.queue, &done, 1, 0) == 0);
  CHECK(ashlar_wait(bed.queue, &done, 1, 1) == 0);
  CHECK(ashlar_cancel(bed.queue, ids[1]) == 0);
  CHECK(ashlar_wait(bed.queue, &done, 1, -1) == 1);
  CHECK(done.id == ids[1] && done.result == -ECANCELED);
  CHECK(ashlar_cancel(bed.queue, ids[1]) == -ENOENT);
  CHECK(ashlar_cancel(bed.queue, 12345) == -ENOENT);
  close_bed(&bed);  // the first is still in flight: close cancels it and waits
}

static void test_errors(void) {
  struct bed bed = open_bed("bad");
  unsigned char buffer[kBlock];
  struct iovec iov = {buffer, kBlock};
  struct ashlar_request request = make(ASHLAR_READ, 0, &iov, 1);
  CHECK(ashlar_run(bed.queue, &request) == -EIO);
  CHECK(strstr(ashlar_last_error(), "bad") != NULL);
  CHECK(strcmp(ashlar_error_text(-EIO), "I/O error") == 0);
  request.offset = 1;
  CHECK(ashlar_run(bed.queue, &request) == -EINVAL);
  request.offset = 1 << 20;
  CHECK(ashlar_run(bed.queue, &request) == -ERANGE);
  request.offset = UINT64_MAX - kBlock + 1;
  CHECK(ashlar_run(bed.queue, &request) == -ERANGE);
  uint64_t id = 0;
  struct ashlar_completion done;
  request.offset = 0;
  CHECK(ashlar_submit(bed.queue, &request, &id) == 0);
  CHECK(ashlar_wait(bed.queue, &done, 1, -1) == 1);
  CHECK(done.result == -EIO && done.id == id);
  ashlar_device *device = NULL;
  CHECK(ashlar_device_open(bed.set, "nowhere", 0, &device) == -ENOENT && device == NULL);
  CHECK(strstr(ashlar_last_error(), "nowhere") != NULL);
  CHECK(ashlar_set_add_image(bed.set, "/nonexistent/image", NULL, 0) == -ENOENT);
  CHECK(ashlar_set_add_stack_text(bed.set, "[[geom", NULL) == -EINVAL);
  CHECK(ashlar_set_add_stack_file(bed.set, "/nonexistent/stack") < 0);
  close_bed(&bed);
}

static void test_read_only(void) {
  struct bed bed = {NULL, NULL, NULL};
  unsigned char buffer[kBlock] = {0};
  struct iovec iov = {buffer, kBlock};
  CHECK(ashlar_set_open(0, &bed.set) == 0);
  CHECK(ashlar_set_add_stack_text(bed.set, kStack, NULL) == 0);
  CHECK(ashlar_device_open(bed.set, "disk", 0, &bed.device) == 0);
  CHECK(ashlar_queue_open(bed.device, 1, &bed.queue) == 0);
  struct ashlar_request request = make(ASHLAR_WRITE, 0, &iov, 1);
  CHECK(ashlar_run(bed.queue, &request) == -EROFS);
  struct ashlar_info info;
  CHECK(ashlar_device_info(bed.device, &info) == 0);
  CHECK((info.operations & 1u << ASHLAR_WRITE) == 0);
  close_bed(&bed);
}

static void test_counters(void) {
  struct bed bed = open_bed("disk");
  unsigned char buffer[kBlock];
  struct iovec iov = {buffer, kBlock};
  struct ashlar_request request = make(ASHLAR_READ, 0, &iov, 1);
  struct ashlar_counters counters = {.size = sizeof(counters), .requests = 99};
  CHECK(ashlar_queue_counters(bed.queue, &counters) == 0);
  CHECK(counters.size == sizeof(counters) && counters.requests == 0 && counters.frame_bytes != 0);
  for (int i = 0; i < 10; ++i) CHECK(ashlar_run(bed.queue, &request) == 0);
  CHECK(ashlar_queue_counters(bed.queue, &counters) == 0);
  CHECK(counters.requests == 10 && counters.short_frames == 0 && counters.shortages == 0);
  CHECK(counters.latency_every == 0 && counters.latency_count == 0);

  CHECK(ashlar_queue_measure(bed.queue, 3) == 0);
  for (int i = 0; i < 40; ++i) CHECK(ashlar_run(bed.queue, &request) == 0);
  CHECK(ashlar_queue_counters(bed.queue, &counters) == 0);
  CHECK(counters.requests == 50 && counters.latency_every == 4 && counters.latency_count == 10);
  CHECK(counters.latency_p50_ns <= counters.latency_p99_ns);
  CHECK(counters.latency_p99_ns <= counters.latency_max_ns && counters.latency_max_ns != 0);
  CHECK(ashlar_queue_measure(bed.queue, 0) == 0);
  CHECK(ashlar_queue_counters(bed.queue, &counters) == 0);
  CHECK(counters.latency_every == 0 && counters.latency_max_ns == 0);

  // A program of an earlier, and of a later header.
  struct {
    struct ashlar_counters known;
    uint64_t later;
  } large;
  memset(&large, 0xff, sizeof(large));
  large.known.size = offsetof(struct ashlar_counters, shortages);
  CHECK(ashlar_queue_counters(bed.queue, &large.known) == 0);
  CHECK(large.known.requests == 50 && large.known.shortages == UINT64_MAX);
  large.known.size = sizeof(large);
  CHECK(ashlar_queue_counters(bed.queue, &large.known) == 0);
  CHECK(large.known.shortages == 0 && large.later == 0);

  large.known.size = 8;
  CHECK(ashlar_queue_counters(bed.queue, &large.known) == -EINVAL);
  CHECK(ashlar_queue_counters(bed.queue, NULL) == -EINVAL);
  CHECK(ashlar_queue_counters(NULL, &counters) == -EINVAL);
  CHECK(ashlar_queue_measure(NULL, 1) == -EINVAL);
  CHECK(ashlar_queue_measure(bed.queue, UINT64_MAX) == -EINVAL);
  close_bed(&bed);
}

static int count_devices(void *user, const char *name, uint64_t size_bytes) {
  CHECK(name[0] != '\0' && size_bytes == 1 << 20);
  return ++*(int *)user == 100 ? -1 : 0;
}

static void *use_from_another_thread(void *queue) {
  struct ashlar_request flush = make(ASHLAR_FLUSH, 0, NULL, 0);
  return (void *)(intptr_t)ashlar_run(queue, &flush);
}

// What a careless program may do. None of it may end the process or be taken for success.
static void test_misuse(void) {
  struct bed bed = open_bed("disk");
  struct ashlar_completion done;
  struct ashlar_info info;
  ashlar_set *set = NULL;
  ashlar_device *device = NULL;
  ashlar_queue *queue = NULL;
  int devices = 0;
  CHECK(ashlar_set_list(bed.set, count_devices, &devices) == 0 && devices == 5);

  CHECK(ashlar_set_open(0, NULL) == -EINVAL);
  CHECK(ashlar_set_open(~0u, &set) == -EINVAL && set == NULL);
  CHECK(ashlar_set_add_image(NULL, "x", NULL, 0) == -EINVAL);
  CHECK(ashlar_set_add_image(bed.set, NULL, NULL, 0) == -EINVAL);
  CHECK(ashlar_set_add_image(bed.set, "x", NULL, 64) == -EINVAL);
  CHECK(ashlar_set_add_stack_text(bed.set, NULL, NULL) == -EINVAL);
  CHECK(ashlar_set_add_stack_file(bed.set, NULL) == -EINVAL);
  CHECK(ashlar_set_list(bed.set, NULL, NULL) == -EINVAL);
  CHECK(ashlar_device_open(NULL, "disk", 0, &device) == -EINVAL);
  CHECK(ashlar_device_open((ashlar_set *)bed.device, "disk", 0, &device) == -EINVAL);
  CHECK(ashlar_device_open(bed.set, NULL, 0, &device) == -EINVAL);
  CHECK(ashlar_device_open(bed.set, "disk", 0, NULL) == -EINVAL);
  CHECK(ashlar_device_info(NULL, &info) == -EINVAL);
  CHECK(ashlar_device_info(bed.device, NULL) == -EINVAL);
  CHECK(ashlar_queue_open(NULL, 1, &queue) == -EINVAL);
  CHECK(ashlar_queue_open((ashlar_device *)bed.set, 1, &queue) == -EINVAL);
  CHECK(ashlar_queue_open(bed.device, 0, &queue) == -EINVAL);
  CHECK(ashlar_queue_open(bed.device, UINT32_MAX, &queue) == -EINVAL && queue == NULL);

  CHECK(ashlar_set_close(bed.set) == -EBUSY);
  CHECK(ashlar_device_close(bed.device) == -EBUSY);
  CHECK(ashlar_set_close((ashlar_set *)bed.queue) == -EINVAL);
  CHECK(ashlar_queue_close(NULL) == 0 && ashlar_device_close(NULL) == 0);
  CHECK(ashlar_set_close(NULL) == 0);

  struct ashlar_request request = make(ASHLAR_READ, 0, NULL, 3);
  CHECK(ashlar_submit(bed.queue, NULL, NULL) == -EINVAL);
  CHECK(ashlar_submit(NULL, &request, NULL) == -EINVAL);
  CHECK(ashlar_submit(bed.queue, &request, NULL) == -EINVAL);
  struct iovec hole = {NULL, 512};
  request = make(ASHLAR_READ, 0, &hole, 1);
  CHECK(ashlar_run(bed.queue, &request) == -EINVAL);
  struct iovec endless[2] = {{&hole, SIZE_MAX}, {&hole, SIZE_MAX}};
  request = make(ASHLAR_WRITE, 0, endless, 2);
  CHECK(ashlar_run(bed.queue, &request) == -EINVAL);
  request = make(99, 0, NULL, 0);
  CHECK(ashlar_run(bed.queue, &request) == -EINVAL);
  request = make(ASHLAR_FLUSH, 0, NULL, 0);
  request.flags = 1u << 31;
  CHECK(ashlar_run(bed.queue, &request) == -EINVAL);
  CHECK(ashlar_poll(bed.queue, NULL, 1) == -EINVAL);
  CHECK(ashlar_poll(bed.queue, NULL, 0) == 0);
  CHECK(ashlar_wait(NULL, &done, 1, 0) == -EINVAL);
  CHECK(ashlar_queue_fd(NULL) == -EINVAL && ashlar_prepare_to_sleep(NULL) == -EINVAL);
  CHECK(ashlar_cancel(NULL, 1) == -EINVAL);

  pthread_t thread;
  void *result = NULL;
  CHECK(pthread_create(&thread, NULL, use_from_another_thread, bed.queue) == 0);
  CHECK(pthread_join(thread, &result) == 0 && (intptr_t)result == -EPERM);
  CHECK(strlen(ashlar_error_text(-EPERM)) > 0 && strlen(ashlar_error_text(-99999)) > 0);
  CHECK(strcmp(ashlar_error_text(0), "no error") == 0 && strlen(ashlar_version()) > 0);
  close_bed(&bed);
}

// Requests of every state at the close of the queue: under way, ended and not fetched.
// Bytes go from a memfd to a device and back into it, and this process never looks at them.
static void test_unmapped_memory(void) {
  struct bed bed = {NULL, NULL, NULL};
  ashlar_memory *memory = NULL;
  struct iovec part[2];
  unsigned char out[kBlock], in[kBlock];
  uint64_t mapped = 1;
  const int fd = memfd_create("c api", MFD_CLOEXEC);
  CHECK(fd >= 0 && ftruncate(fd, 16 << 20) == 0);
  fill(out, sizeof(out), 77);
  CHECK(pwrite(fd, out, sizeof(out), 512) == kBlock);
  CHECK(ashlar_memory_open(fd, 0, 16 << 20, 0, &memory) == 0);
  CHECK(ashlar_memory_mapped(memory, &mapped) == 0 && mapped == 0);
  CHECK(ashlar_memory_part(memory, 512, kBlock, &part[0]) == 0);
  CHECK(ashlar_memory_part(memory, 8 << 20, kBlock, &part[1]) == 0);
  CHECK(ashlar_memory_part(memory, 16 << 20, 1, &part[1]) == -EINVAL);
  CHECK(ashlar_memory_part((ashlar_memory *)&bed, 0, 1, &part[1]) == -EINVAL);
  CHECK(ashlar_memory_open(fd, 1, kBlock, 0, NULL) == -EINVAL);

  CHECK(ashlar_set_open(ASHLAR_SET_WRITABLE, &bed.set) == 0);
  CHECK(ashlar_set_add_stack_text(bed.set, kStack, NULL) == 0);
  CHECK(ashlar_device_open(bed.set, "disk", ASHLAR_OPEN_WRITE | ASHLAR_OPEN_UNMAPPED,
                           &bed.device) == 0);
  CHECK(ashlar_queue_open(bed.device, kDepth, &bed.queue) == 0);
  struct ashlar_request request = make(ASHLAR_WRITE, 0, &part[0], 1);
  request.flags = ASHLAR_UNMAPPED;
  CHECK(ashlar_run(bed.queue, &request) == 0);
  request = make(ASHLAR_READ, 0, &part[1], 1);
  request.flags = ASHLAR_UNMAPPED;
  CHECK(ashlar_run(bed.queue, &request) == 0);
  CHECK(pread(fd, in, sizeof(in), 8 << 20) == kBlock);
  CHECK(memcmp(in, out, sizeof(in)) == 0);
  CHECK(ashlar_memory_mapped(memory, &mapped) == 0 && mapped > 0 && mapped < 16 << 20);
  close_bed(&bed);

  // A device that was not opened for it says so.
  bed = open_bed("disk");
  CHECK(ashlar_run(bed.queue, &request) == -EOPNOTSUPP);
  close_bed(&bed);
  CHECK(ashlar_memory_close(memory) == 0);
  CHECK(ashlar_memory_close(NULL) == 0);
  close(fd);
}

static void test_close_in_flight(void) {
  static unsigned char buffers[kDepth][kBlock];
  for (int started = 0; started <= kDepth; ++started) {
    struct bed bed = open_bed(started % 2 != 0 ? "slow" : "disk");
    for (int i = 0; i < started; ++i) {
      struct iovec iov = {buffers[i], kBlock};
      struct ashlar_request request = make(ASHLAR_READ, 0, &iov, 1);
      CHECK(ashlar_submit(bed.queue, &request, NULL) == 0);
    }
    close_bed(&bed);
  }
}

int main(void) {
  test_memory();
  test_file(0);
  test_file(ASHLAR_SET_BUFFERED);
  test_file(ASHLAR_SET_THREADS);
  test_poll_loop();
  test_cancel();
  test_errors();
  test_read_only();
  test_counters();
  test_misuse();
  test_unmapped_memory();
  test_close_in_flight();
  printf("%d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
