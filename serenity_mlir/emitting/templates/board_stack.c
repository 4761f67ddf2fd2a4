#define STACK_PAINT 0xC5u

static uint8_t *stack_begin;
static volatile uint8_t *stack_frame;

__attribute__((noinline)) void board_paint_stack(void) {
  volatile uint8_t *frame = (volatile uint8_t *)__builtin_frame_address(0);
  stack_frame = frame;
  /* This function's own frame is smaller than that. */
  for (volatile uint8_t *p = stack_begin; p < frame - 64; ++p) {
    *p = STACK_PAINT;
  }
}

size_t board_stack_bytes(void) {
  const volatile uint8_t *p = stack_begin;
  while (p < stack_frame && *p == STACK_PAINT) {
    ++p;
  }
  return (size_t)(stack_frame - p);
}
