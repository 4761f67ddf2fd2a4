/* What the program that checks a model needs of the machine it runs on. */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#error "compiled as C"
#endif

void board_print(const char *text);
/* Files of the folder in which the machine was started; 0 if all bytes were
 * moved. */
int board_read(const char *file, void *data, size_t bytes);
int board_write(const char *file, const void *data, size_t bytes);
/* Fills the unused stack; board_stack_bytes then tells how much of it was used
 * since. */
void board_paint_stack(void);
size_t board_stack_bytes(void);
/* Instructions since the start; 0 where they are not counted. */
uint64_t board_instructions(void);
/* The check itself. */
int run_check(void);
