/* Runs @NAME@ twice, on memory that was filled before, and tells which of it was used. */
#include "@NAME@.h"
#include "board.h"

#define GUARD_BYTES 64
#define GUARD_PAINT 0xE7u

extern uint8_t guard_before[GUARD_BYTES], guard_after[GUARD_BYTES];

static void print_number(const char *key, uint64_t value) {
  char digits[24];
  size_t at = sizeof digits;
  digits[--at] = 0;
  digits[--at] = '\n';
  do {
    digits[--at] = (char)('0' + (int)(value % 10));
    value /= 10;
  } while (value != 0);
  board_print(key);
  board_print(" ");
  board_print(digits + at);
}

static void paint(uint8_t *memory, size_t bytes, uint8_t value) {
  for (size_t i = 0; i < bytes; ++i) {
    memory[i] = value;
  }
}

static size_t guard_damage(const uint8_t *guard) {
  size_t damaged = 0;
  for (size_t i = 0; i < GUARD_BYTES; ++i) {
    damaged += guard[i] != GUARD_PAINT;
  }
  return damaged;
}

int run_check(void) {
  /* What one run writes over the first paint with equal bytes, the other run shows. */
  static const uint8_t paints[2] = {0xA5, 0x5A};
  size_t touched = 0, stack = 0;
  uint64_t instructions = 0;
  paint(guard_before, GUARD_BYTES, GUARD_PAINT);
  paint(guard_after, GUARD_BYTES, GUARD_PAINT);
  if (@NAME@_init() != @UPPER@_OK) {
    board_print("init failed\n");
    return 1;
  }
  for (int pass = 0; pass < 2; ++pass) {
    int status;
    uint64_t start;
#if @UPPER@_ARENA_BYTES > 0
    paint(@NAME@_arena, @UPPER@_ARENA_BYTES, paints[pass]);
#endif
@PAINT_OUTPUTS@
@READ_INPUTS@
    board_paint_stack();
    start = board_instructions();
    status = @NAME@_invoke();
    instructions = board_instructions() - start;
    if (board_stack_bytes() > stack) {
      stack = board_stack_bytes();
    }
    if (status != @UPPER@_OK) {
      board_print("invoke failed\n");
      return 1;
    }
#if @UPPER@_ARENA_BYTES > 0
    for (size_t i = @UPPER@_ARENA_BYTES; i > touched; --i) {
      if (@NAME@_arena[i - 1] != paints[pass]) {
        touched = i;
      }
    }
#endif
    if (pass == 0) {
@WRITE_FIRST@
    } else {
@WRITE_SECOND@
    }
  }
#if @UPPER@_ARENA_BYTES > 0
  print_number("linked", (uint64_t)(guard_after - @NAME@_arena));
  print_number("before", (uint64_t)(@NAME@_arena - guard_before - GUARD_BYTES));
#else
  print_number("linked", 0);
  print_number("before", 0);
#endif
  print_number("touched", touched);
  print_number("damaged", guard_damage(guard_before) + guard_damage(guard_after));
  print_number("stack", stack);
  print_number("instructions", instructions);
  return 0;
}
