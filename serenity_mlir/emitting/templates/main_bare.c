/* An example of a program that runs @NAME@ on @TITLE@. Written by `serenity emit-c`; copy it
 * and change the copy. With SEMIHOSTING defined it prints to a debugger or an emulator. */
#include "@NAME@.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

void fault(void);

@STARTUP@
#ifdef SEMIHOSTING
@HOST_CALL@

static void finish(const char *text, int failed) {
  const uintptr_t arguments[2] = {0x20026, (uintptr_t)failed};
  host_call(0x04, text);
  host_call(0x20, arguments);
  for (;;) {
  }
}
#else
static void finish(const char *text, int failed) {
  (void)text;
  (void)failed;
  for (;;) {
  }
}
#endif

void fault(void) { finish("@NAME@: fault\n", 1); }

int main(void) {
  if (@NAME@_init() != @UPPER@_OK) {
    finish("@NAME@: init failed\n", 1);
  }
  /* Write the inputs: here, zeros. */
@CLEAR_INPUTS@
  if (@NAME@_invoke() != @UPPER@_OK) {
    finish("@NAME@: invoke failed\n", 1);
  }
  /* Read the outputs: @OUTPUTS@. */
  finish("@NAME@: done\n", 0);
  return 0;
}
