#include "platform.h"

#include <stdio.h>
#include <stdlib.h>

void platform_exit(const char *text, int failed) {
  puts(text);
  exit(failed);
}
