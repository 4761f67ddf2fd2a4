#include "board.h"

#include <string.h>

extern uint32_t stack_low;
void fault(void);
void tick(void);
#define TICK_HANDLER tick

@STARTUP@

@STACK@

@HOST_CALL@

@SEMIHOSTING@
/* The system timer, which counts down from 2^24 - 1. Emulated with -icount, it advances with the
 * instructions, at a rate that a loop of known length shows. */
static volatile uint32_t wraps;

void tick(void) { ++wraps; }

static uint64_t ticks(void) {
  uint32_t before, value;
  do {
    before = wraps;
    value = *(volatile uint32_t *)0xE000E018u;
  } while (before != wraps);
  return ((uint64_t)before << 24) + (0xFFFFFFu - value);
}

#define LOOP 1000000u

uint64_t board_instructions(void) {
  static uint32_t ticks_per_loop;
  if (ticks_per_loop == 0) {
    uint32_t count = LOOP;
    uint64_t start;
    *(volatile uint32_t *)0xE000E014u = 0xFFFFFFu;
    *(volatile uint32_t *)0xE000E018u = 0;
    *(volatile uint32_t *)0xE000E010u = 7;
    while (*(volatile uint32_t *)0xE000E018u == 0) {
    }
    start = ticks();
    __asm__ volatile("1: subs %0, %0, #1\n\tbne 1b" : "+r"(count) : : "cc");
    ticks_per_loop = (uint32_t)(ticks() - start);
    if (ticks_per_loop == 0) {
      ticks_per_loop = 1;
    }
  }
  return ticks() * (2 * LOOP) / ticks_per_loop;
}
