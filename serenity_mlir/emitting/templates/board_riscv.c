#include "board.h"

#include <string.h>

extern uint32_t stack_low;
void fault(void);

@STARTUP@

@STACK@

@HOST_CALL@

@SEMIHOSTING@
uint64_t board_instructions(void) {
  uint32_t low, high, again;
  do {
    __asm__ volatile("csrr %0, minstreth" : "=r"(high));
    __asm__ volatile("csrr %0, minstret" : "=r"(low));
    __asm__ volatile("csrr %0, minstreth" : "=r"(again));
  } while (high != again);
  return (uint64_t)high << 32 | low;
}
