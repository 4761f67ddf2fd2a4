/* Semihosting: calls that the emulator serves. The number is the operation's. */
void board_print(const char *text) { host_call(0x04, text); }

static size_t text_length(const char *text) {
  size_t length = 0;
  while (text[length] != 0) {
    ++length;
  }
  return length;
}

static long host_open(const char *file, uintptr_t mode) {
  const uintptr_t arguments[3] = {(uintptr_t)file, mode, text_length(file)};
  return host_call(0x01, arguments);
}

static int host_move(long operation, long handle, uintptr_t data, size_t bytes) {
  const uintptr_t arguments[3] = {(uintptr_t)handle, data, bytes};
  const uintptr_t close[1] = {(uintptr_t)handle};
  long left = host_call(operation, arguments);
  host_call(0x02, close);
  return left != 0;
}

int board_read(const char *file, void *data, size_t bytes) {
  long handle = host_open(file, 1); /* "rb" */
  return handle < 0 || host_move(0x06, handle, (uintptr_t)data, bytes);
}

int board_write(const char *file, const void *data, size_t bytes) {
  long handle = host_open(file, 5); /* "wb" */
  return handle < 0 || host_move(0x05, handle, (uintptr_t)data, bytes);
}

static void host_exit(int failed) {
  /* ADP_Stopped_ApplicationExit with a code; the second form is for 64-bit and newer machines. */
  const uintptr_t arguments[2] = {0x20026, (uintptr_t)failed};
  host_call(0x20, arguments);
  for (;;) {
  }
}

void fault(void);
void fault(void) {
  board_print("fault\n");
  host_exit(1);
}

int main(void) {
  stack_begin = (uint8_t *)&stack_low;
  host_exit(run_check());
}
