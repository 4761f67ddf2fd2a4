#define _POSIX_C_SOURCE 200809L
#include "board.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

@STACK@
void board_print(const char *text) { fputs(text, stdout); }

int board_read(const char *file, void *data, size_t bytes) {
  FILE *stream = fopen(file, "rb");
  int failed = stream == NULL || fread(data, 1, bytes, stream) != bytes;
  if (stream != NULL) {
    fclose(stream);
  }
  return failed;
}

int board_write(const char *file, const void *data, size_t bytes) {
  FILE *stream = fopen(file, "wb");
  int failed = stream == NULL || fwrite(data, 1, bytes, stream) != bytes;
  return stream == NULL || fclose(stream) != 0 || failed;
}

uint64_t board_instructions(void) { return 0; }

static void *run(void *result) {
  *(int *)result = run_check();
  return NULL;
}

/* A thread has a stack whose limits are known. */
#define STACK_BYTES ((size_t)1 << 20)

int main(void) {
  int failed = 1;
  void *memory = NULL;
  pthread_attr_t attributes;
  pthread_t thread;
  if (posix_memalign(&memory, 4096, STACK_BYTES) != 0) {
    return 1;
  }
  stack_begin = (uint8_t *)memory;
  if (pthread_attr_init(&attributes) != 0 ||
      pthread_attr_setstack(&attributes, memory, STACK_BYTES) != 0 ||
      pthread_create(&thread, &attributes, run, &failed) != 0) {
    return 1;
  }
  pthread_join(thread, NULL);
  free(memory);
  return failed;
}
