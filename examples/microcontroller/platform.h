/* Prints a line and ends the program. */
void platform_exit(const char *text, int failed);
