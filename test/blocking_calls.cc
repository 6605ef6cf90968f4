// The calls of libc that may block, as the test program sees them: each asks the witness first
// (base/inline_scope.h), so that a step or a callback that calls one is reported, by name and with
// a stack, in every test; then it goes on to the real one.
//
// A function defined in the program stands before the one of any library, and RTLD_NEXT finds that
// again: a sanitizer's where one is there, which in its turn calls libc's. Calls from within libc
// and io_uring's system calls do not pass here.
//
// What never waits is let through: RWF_NOWAIT, descriptors that are O_NONBLOCK and no files, waits
// of no length. A lock is let through too; the witness has its own rules for those.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "base/inline_scope.h"

#if ASHLAR_WITNESS

namespace {

using ashlar::witness_assert_may_block;

// A pipe, socket or event descriptor that is told not to wait does not. On files and disks the flag
// means nothing.
bool never_waits(int fd) noexcept {
  const int before = errno;
  const int flags = fcntl(fd, F_GETFL);
  struct stat status = {};
  const bool known = flags >= 0 && fstat(fd, &status) == 0;
  errno = before;
  if (!known) return true;  // the call will fail at once
  return (flags & O_NONBLOCK) != 0 && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode);
}

// Called for each call with a descriptor: the thread's scope is looked at before the descriptor is.
void check_descriptor(const char* name, int fd) noexcept {
  if (!ashlar::witness_must_not_block() || never_waits(fd)) return;
  witness_assert_may_block(name);
}

}  // namespace

// The next definition of the function NAME after this program's.
#define ASHLAR_REAL(NAME) (reinterpret_cast<decltype(&::NAME)>(dlsym(RTLD_NEXT, #NAME)))

// Looked up once a function; glibc's dlsym takes a lock, and may not be called from everywhere.
#define ASHLAR_CALL_REAL(NAME, ...)              \
  do {                                           \
    static const auto kReal = ASHLAR_REAL(NAME); \
    return kReal(__VA_ARGS__);                   \
  } while (false)

extern "C" {

// --- that wait for time
// ---------------------------------------------------------------------------

int nanosleep(const timespec* length, timespec* rest) {
  witness_assert_may_block("nanosleep");
  ASHLAR_CALL_REAL(nanosleep, length, rest);
}

int clock_nanosleep(clockid_t clock, int flags, const timespec* length, timespec* rest) {
  witness_assert_may_block("clock_nanosleep");
  ASHLAR_CALL_REAL(clock_nanosleep, clock, flags, length, rest);
}

int usleep(useconds_t length) {
  witness_assert_may_block("usleep");
  ASHLAR_CALL_REAL(usleep, length);
}

unsigned sleep(unsigned length) {
  witness_assert_may_block("sleep");
  ASHLAR_CALL_REAL(sleep, length);
}

// --- that wait for events
// -------------------------------------------------------------------------

int poll(pollfd* descriptors, nfds_t count, int timeout) {
  if (timeout != 0) witness_assert_may_block("poll");
  ASHLAR_CALL_REAL(poll, descriptors, count, timeout);
}

int ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  witness_assert_may_block("ppoll");
  ASHLAR_CALL_REAL(ppoll, descriptors, count, timeout, mask);
}

int select(int count, fd_set* reads, fd_set* writes, fd_set* excepts, timeval* timeout) {
  witness_assert_may_block("select");
  ASHLAR_CALL_REAL(select, count, reads, writes, excepts, timeout);
}

int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  if (timeout != 0) witness_assert_may_block("epoll_wait");
  ASHLAR_CALL_REAL(epoll_wait, fd, events, most, timeout);
}

int epoll_pwait2(int fd, epoll_event* events, int most, const timespec* timeout,
                 const sigset_t* mask) {
  witness_assert_may_block("epoll_pwait2");
  ASHLAR_CALL_REAL(epoll_pwait2, fd, events, most, timeout, mask);
}

// --- that wait for others
// -------------------------------------------------------------------------

int sem_wait(sem_t* semaphore) {
  witness_assert_may_block("sem_wait");
  ASHLAR_CALL_REAL(sem_wait, semaphore);
}

int sem_timedwait(sem_t* semaphore, const timespec* deadline) {
  witness_assert_may_block("sem_timedwait");
  ASHLAR_CALL_REAL(sem_timedwait, semaphore, deadline);
}

int pthread_join(pthread_t thread, void** result) {
  witness_assert_may_block("pthread_join");
  ASHLAR_CALL_REAL(pthread_join, thread, result);
}

pid_t waitpid(pid_t child, int* status, int options) {
  if ((options & WNOHANG) == 0) witness_assert_may_block("waitpid");
  ASHLAR_CALL_REAL(waitpid, child, status, options);
}

// --- that wait for a device
// -----------------------------------------------------------------------

int fsync(int fd) {
  witness_assert_may_block("fsync");
  ASHLAR_CALL_REAL(fsync, fd);
}

int fdatasync(int fd) {
  witness_assert_may_block("fdatasync");
  ASHLAR_CALL_REAL(fdatasync, fd);
}

ssize_t read(int fd, void* memory, size_t length) {
  check_descriptor("read", fd);
  ASHLAR_CALL_REAL(read, fd, memory, length);
}

ssize_t write(int fd, const void* memory, size_t length) {
  check_descriptor("write", fd);
  ASHLAR_CALL_REAL(write, fd, memory, length);
}

ssize_t readv(int fd, const iovec* vector, int count) {
  check_descriptor("readv", fd);
  ASHLAR_CALL_REAL(readv, fd, vector, count);
}

ssize_t writev(int fd, const iovec* vector, int count) {
  check_descriptor("writev", fd);
  ASHLAR_CALL_REAL(writev, fd, vector, count);
}

ssize_t pread(int fd, void* memory, size_t length, off_t offset) {
  check_descriptor("pread", fd);
  ASHLAR_CALL_REAL(pread, fd, memory, length, offset);
}

ssize_t pwrite(int fd, const void* memory, size_t length, off_t offset) {
  check_descriptor("pwrite", fd);
  ASHLAR_CALL_REAL(pwrite, fd, memory, length, offset);
}

ssize_t preadv(int fd, const iovec* vector, int count, off_t offset) {
  check_descriptor("preadv", fd);
  ASHLAR_CALL_REAL(preadv, fd, vector, count, offset);
}

ssize_t pwritev(int fd, const iovec* vector, int count, off_t offset) {
  check_descriptor("pwritev", fd);
  ASHLAR_CALL_REAL(pwritev, fd, vector, count, offset);
}

ssize_t preadv2(int fd, const iovec* vector, int count, off_t offset, int flags) {
  if ((flags & RWF_NOWAIT) == 0) check_descriptor("preadv2", fd);
  ASHLAR_CALL_REAL(preadv2, fd, vector, count, offset, flags);
}

ssize_t pwritev2(int fd, const iovec* vector, int count, off_t offset, int flags) {
  if ((flags & RWF_NOWAIT) == 0) check_descriptor("pwritev2", fd);
  ASHLAR_CALL_REAL(pwritev2, fd, vector, count, offset, flags);
}

int connect(int fd, const sockaddr* address, socklen_t length) {
  check_descriptor("connect", fd);
  ASHLAR_CALL_REAL(connect, fd, address, length);
}

ssize_t recv(int fd, void* memory, size_t length, int flags) {
  if ((flags & MSG_DONTWAIT) == 0) check_descriptor("recv", fd);
  ASHLAR_CALL_REAL(recv, fd, memory, length, flags);
}

ssize_t send(int fd, const void* memory, size_t length, int flags) {
  if ((flags & MSG_DONTWAIT) == 0) check_descriptor("send", fd);
  ASHLAR_CALL_REAL(send, fd, memory, length, flags);
}

}  // extern "C"

#endif  // ASHLAR_WITNESS
