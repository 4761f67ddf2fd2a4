/* An example of a program that runs @NAME@ on @TITLE@. Written by `serenity emit-c`; copy it
 * and change the copy. */
#include "@NAME@.h"

#include <stdio.h>
#include <string.h>

int main(void) {
  if (@NAME@_init() != @UPPER@_OK) {
    fputs("@NAME@: init failed\n", stderr);
    return 1;
  }
  /* Write the inputs: here, zeros. */
@CLEAR_INPUTS@
  if (@NAME@_invoke() != @UPPER@_OK) {
    fputs("@NAME@: invoke failed\n", stderr);
    return 1;
  }
  /* Read the outputs: @OUTPUTS@. */
  puts("@NAME@: done");
  return 0;
}
