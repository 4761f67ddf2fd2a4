long host_call(long operation, const void *argument);

/* The emulator knows a call by these three instructions, which may not be compressed and must lie
 * in one page. */
__asm__(
    ".section .text.host_call, \"ax\"\n"
    ".balign 16\n"
    ".option push\n"
    ".option norvc\n"
    ".option norelax\n"
    ".globl host_call\n"
    "host_call:\n"
    "  slli x0, x0, 0x1f\n"
    "  ebreak\n"
    "  srai x0, x0, 7\n"
    "  ret\n"
    ".option pop\n"
    ".text\n");
