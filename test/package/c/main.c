// Reads a block of a device in memory through the installed C API; prints one sentence.
#include <ashlar.h>
#include <stdio.h>

int main(void) {
  static unsigned char block[4096];
  struct iovec memory = {block, sizeof(block)};
  struct ashlar_request request = {.op = ASHLAR_READ, .iov = &memory, .iov_count = 1};
  const char *stack = "[[geom]]\nname = \"disk\"\nclass = \"memory\"\nsize = \"1MiB\"\n";
  ashlar_set *set = NULL;
  ashlar_device *device = NULL;
  ashlar_queue *queue = NULL;
  int result = ashlar_set_open(0, &set);
  if (result == 0) result = ashlar_set_add_stack_text(set, stack, NULL);
  if (result == 0) result = ashlar_device_open(set, "disk", 0, &device);
  if (result == 0) result = ashlar_queue_open(device, 1, &queue);
  if (result == 0) result = ashlar_run(queue, &request);
  printf("ashlar %s from C: %s\n", ashlar_version(), ashlar_error_text(result));
  ashlar_queue_close(queue);
  ashlar_device_close(device);
  ashlar_set_close(set);
  return result == 0 ? 0 : 1;
}
