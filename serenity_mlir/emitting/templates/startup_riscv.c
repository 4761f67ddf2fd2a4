/* From reset to main. Replace by the startup code of the processor's vendor where there is one. */
extern uint32_t data_load, data_start, data_end, bss_start, bss_end;
int main(void);
void start(void);

__attribute__((used)) void start(void) {
  memcpy(&data_start, &data_load, (size_t)((uintptr_t)&data_end - (uintptr_t)&data_start));
  memset(&bss_start, 0, (size_t)((uintptr_t)&bss_end - (uintptr_t)&bss_start));
  main();
  for (;;) {
  }
}

/* The floating-point unit is off after reset (mstatus.FS). */
__asm__(
    ".section .vectors, \"ax\"\n"
    ".globl reset\n"
    "reset:\n"
    ".option push\n"
    ".option norelax\n"
    "  la gp, __global_pointer$\n"
    ".option pop\n"
    "  la sp, stack_high\n"
    "  li t0, 0x2000\n"
    "  csrs mstatus, t0\n"
    "  la t0, trap\n"
    "  csrw mtvec, t0\n"
    "  call start\n"
    ".align 2\n"
    "trap:\n"
    "  call fault\n"
    ".text\n");
