/* From reset to main. Replace by the startup code of the processor's vendor where there is one. */
extern uint32_t data_load, data_start, data_end, bss_start, bss_end, stack_high;
int main(void);
void reset(void);

#ifndef TICK_HANDLER
#define TICK_HANDLER fault
#endif

typedef struct {
  void *stack;
  void (*handlers[15])(void);
} vector_table;

__attribute__((section(".vectors"), used)) const vector_table vectors = {
    &stack_high,
    {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, TICK_HANDLER}};

static __attribute__((noinline)) void start(void) {
  memcpy(&data_start, &data_load, (size_t)((uintptr_t)&data_end - (uintptr_t)&data_start));
  memset(&bss_start, 0, (size_t)((uintptr_t)&bss_end - (uintptr_t)&bss_start));
  main();
  for (;;) {
  }
}

void reset(void) {
  /* The floating-point unit is off after reset (coprocessor access control register). */
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
  __asm__ volatile("dsb\n\tisb" ::: "memory");
  start();
}
