// Ashlar for C (C11) and whatever calls C: open a set of images, open a device in it, and move
// bytes.
//
//   ashlar_set *set;  ashlar_device *device;  ashlar_queue *queue;
//   ashlar_set_open(0, &set);
//   ashlar_set_add_image(set, "disk.img", NULL, 0);
//   ashlar_device_open(set, "p1", 0, &device);
//   ashlar_queue_open(device, 64, &queue);
//   struct iovec memory = {buffer, 4096};
//   struct ashlar_request request = {.op = ASHLAR_READ, .iov = &memory, .iov_count = 1};
//   int result = ashlar_run(queue, &request);
//   ashlar_queue_close(queue);  ashlar_device_close(device);  ashlar_set_close(set);
//
// docs/c-api.md is the manual, with a whole program.
//
// RESULTS: 0 or a count on success, else a negative errno value. ashlar_error_text() has words for
// each; ashlar_last_error() has the sentence of the last call that failed on this thread.
// OWNERSHIP: a set outlives its devices, a device its queues; a close out of order is refused with
// -EBUSY. A handle is gone once its close succeeded; NULL or a handle of another kind is refused
// with -EINVAL. No call takes anything over but what it says.
// THREAD: sets and devices: any. A queue belongs to the thread that opened it, and is closed before
// that ends; others are refused with -EPERM. Different queues of one device do not disturb each
// other.
// No exception leaves a function, and no assertion is met by what is passed in, but for memory that
// is not there.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ashlar_set ashlar_set;
typedef struct ashlar_device ashlar_device;
typedef struct ashlar_queue ashlar_queue;

// "0.1.0"; static storage.
const char* ashlar_version(void);

// A short phrase for a result, for instance "I/O error"; static storage.
const char* ashlar_error_text(int result);

// The sentence of the last call that failed on this thread, "" when none has. Valid until the next
// failing call of the thread.
const char* ashlar_last_error(void);

// --- sets: images and the stacks on them ---------------------------------------------------------

enum {
  ASHLAR_SET_WRITABLE = 1,  // images may be opened for writing
  ASHLAR_SET_BUFFERED = 2,  // through the page cache, without O_DIRECT
  ASHLAR_SET_THREADS = 4    // file I/O by threads even where io_uring is to be had
};

enum {
  ASHLAR_IMAGE_READ_ONLY = 1,  // even in a writable set
  ASHLAR_IMAGE_RAW = 2         // do not look for partitions and the like
};

// Errors: -EINVAL for flags that are none; -ENOMEM, -EMFILE and what else the system says.
int ashlar_set_open(unsigned flags, ashlar_set** set);

// Opens an image or a block device and looks at what is on it. `name` is what it is called in the
// set; NULL: disk0, disk1, ...
int ashlar_set_add_image(ashlar_set* set, const char* path, const char* name, unsigned flags);

// Makes everything in a stack file, or in the text of one; relative paths are relative to the
// file's folder, or to `folder` (NULL: the working directory).
int ashlar_set_add_stack_file(ashlar_set* set, const char* path);
int ashlar_set_add_stack_text(ashlar_set* set, const char* text, const char* folder);

// Calls `each` for every device of the set, until it returns other than 0; returns that, or 0.
// `each` must not call functions with this set.
int ashlar_set_list(ashlar_set* set, int (*each)(void* user, const char* name, uint64_t size_bytes),
                    void* user);

// NULL is closed already. Errors: -EBUSY while a device is open.
int ashlar_set_close(ashlar_set* set);

// --- devices -------------------------------------------------------------------------------------

enum {
  ASHLAR_OPEN_WRITE = 1,
  ASHLAR_OPEN_EXCLUSIVE = 2,  // nobody else may have it open for writing
  ASHLAR_OPEN_UNMAPPED = 4    // takes requests with ASHLAR_UNMAPPED
};

struct ashlar_info {
  uint64_t size_bytes;
  uint64_t preferred_bytes;   // a good length of a request
  uint32_t block_bytes;       // offsets and lengths are multiples of it
  uint32_t memory_alignment;  // of addresses, so that nothing is copied; 1: any
  uint32_t operations;        // bit ASHLAR_READ and so on: set where the device offers it
  uint32_t fua;               // 1 where ASHLAR_FUA is offered
};

// `name`: a name, an alias, or a last part that only one device has. Errors: -ENOENT, -ENOTUNIQ,
// -EBUSY, -EROFS, -EACCES, -ENODEV.
int ashlar_device_open(ashlar_set* set, const char* name, unsigned flags, ashlar_device** device);
int ashlar_device_info(ashlar_device* device, struct ashlar_info* info);
// NULL is closed already. Errors: -EBUSY while a queue is open.
int ashlar_device_close(ashlar_device* device);

// --- queues: requests of one thread
// ---------------------------------------------------------------

enum ashlar_op {
  ASHLAR_READ = 0,
  ASHLAR_WRITE = 1,
  ASHLAR_FLUSH = 2,
  ASHLAR_DISCARD = 3,
  ASHLAR_WRITE_ZEROES = 4
};

enum {
  ASHLAR_FUA = 1,       // write, write_zeroes: durable when it ends
  ASHLAR_NO_UNMAP = 2,  // write_zeroes: leave no hole
  ASHLAR_UNMAPPED = 4   // read, write: the vector may name an ashlar_memory
};

// The most segments of one request.
#define ASHLAR_MAX_IOV 1024

struct ashlar_request {
  uint32_t op;     // enum ashlar_op
  uint32_t flags;  // ASHLAR_FUA, ASHLAR_NO_UNMAP, ASHLAR_UNMAPPED
  uint64_t offset;
  uint64_t length;          // read, write: 0 or the sum of the vector. flush: 0
  const struct iovec* iov;  // read, write. The vector is copied; the memory stays until the end
  uint32_t iov_count;
  void* user;  // comes back in the completion
};

struct ashlar_completion {
  uint64_t id;
  void* user;
  uint64_t done_bytes;  // the whole length where result is 0
  int32_t result;       // 0 or a negative errno value: -ECANCELED, -EIO, ...
};

// Room for `depth` requests that are under way or ended and not yet fetched; 1 to 65536.
int ashlar_queue_open(ashlar_device* device, uint32_t depth, ashlar_queue** queue);

// Starts a request. What does not suit the device ends with an error, like any other failure; what
// no device could take is refused. `id` (may be NULL) is set to a number that is never 0 and not
// used again soon. Errors: -EINVAL, -ENOMEM; -EAGAIN when the queue is full: fetch completions
// first.
int ashlar_submit(ashlar_queue* queue, const struct ashlar_request* request, uint64_t* id);

// Fetches up to `most` completions, in the order in which the requests ended; returns how many.
// ashlar_poll never sleeps. ashlar_wait sleeps until there is one, `timeout_ms` at the most (-1: no
// bound); 0 means that the time is over, or that nothing is under way.
int ashlar_poll(ashlar_queue* queue, struct ashlar_completion* completions, uint32_t most);
int ashlar_wait(ashlar_queue* queue, struct ashlar_completion* completions, uint32_t most,
                int timeout_ms);

// For a loop of the program's own: a descriptor that is readable (POLLIN) when ashlar_poll has
// something to do; nothing is to be read from it, and it is the queue's to close. Before each sleep
// call ashlar_prepare_to_sleep; a return of 1 says that completions are there already.
int ashlar_queue_fd(ashlar_queue* queue);
int ashlar_prepare_to_sleep(ashlar_queue* queue);

// Asks for the end of a request. It still ends once, through ashlar_poll, with -ECANCELED or, where
// that was too late, otherwise. Errors: -ENOENT when no such request is under way.
int ashlar_cancel(ashlar_queue* queue, uint64_t id);

// Carries out one request and returns its result. Others go on meanwhile. -EAGAIN as ashlar_submit.
int ashlar_run(ashlar_queue* queue, const struct ashlar_request* request);

// What a queue has counted. Set `size` to sizeof(struct ashlar_counters) before the call; a library
// that knows fewer fields than the program sets the others to 0, one that knows more leaves them
// out.
struct ashlar_counters {
  uint32_t size;
  uint32_t frame_bytes;   // what a request takes beside its 128 bytes; changes with the stack
  uint64_t requests;      // started since the queue was opened
  uint64_t short_frames;  // of these, for want of room served by a copy of the request
  uint64_t shortages;     // of these, had to wait for memory
  // Times of some requests, nanoseconds, at most 25 % too long; 0 while none are measured.
  uint64_t latency_every;  // one request in so many is measured
  uint64_t latency_count;  // so many were
  uint64_t latency_p50_ns;
  uint64_t latency_p99_ns;
  uint64_t latency_max_ns;
};

// THREAD: the queue's own, as for every call with a queue; the counters are of this queue alone,
// and a program adds those of a device's queues up. Errors: -EINVAL where `size` holds not even
// `requests`.
int ashlar_queue_counters(ashlar_queue* queue, struct ashlar_counters* counters);

// Measures one request in `every` from now on, rounded up to a power of two (0: none; at most
// 2^20); what was measured before is forgotten. THREAD: the queue's own. Errors: -EINVAL, -ENOMEM.
int ashlar_queue_measure(ashlar_queue* queue, uint64_t every);

// Cancels what is under way and waits for its end: after this no memory of any request is touched.
// Completions that were not fetched are lost. NULL is closed already.
int ashlar_queue_close(ashlar_queue* queue);

// --- memory that this process has not mapped
// ------------------------------------------------------

// A range of a memfd, or of another file, that requests with ASHLAR_UNMAPPED read into and write
// from. It has addresses, and nothing behind them: only layers that need the bytes have the part
// that they need mapped. The descriptor is duplicated. A file that is cut short meanwhile ends the
// process (SIGBUS) once its bytes are touched: seal what a stranger shares (F_SEAL_SHRINK).
typedef struct ashlar_memory ashlar_memory;

enum {
  ASHLAR_MEMORY_READ_ONLY = 1  // requests write from it only
};

// `offset` is on a page. Errors: -EINVAL, -ENOMEM, -EBADF.
int ashlar_memory_open(int fd, uint64_t offset, uint64_t length, unsigned flags,
                       ashlar_memory** memory);
// The part of a vector that stands for bytes [offset, offset + length). Errors: -EINVAL.
int ashlar_memory_part(ashlar_memory* memory, uint64_t offset, uint64_t length, struct iovec* part);
// Bytes that are mapped by now.
int ashlar_memory_mapped(ashlar_memory* memory, uint64_t* bytes);
// No request may be using it any more. NULL is closed already.
int ashlar_memory_close(ashlar_memory* memory);

#ifdef __cplusplus
}
#endif
