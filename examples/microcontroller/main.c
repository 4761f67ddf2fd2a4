/* Two models in one program: what `smooth` writes, `classify` reads. */
#include "classify.h"
#include "platform.h"
#include "smooth.h"

#include <string.h>

/* One model's output is the other's input. */
typedef char same_bytes[SMOOTH_OUTPUT_0_BYTES == CLASSIFY_INPUT_0_BYTES ? 1 : -1];

static int in_motion(float amplitude) {
  for (int i = 0; i < SMOOTH_INPUT_0_ELEMENTS; ++i) {
    smooth_input_0[i] = i % 8 < 4 ? amplitude : -amplitude;
  }
  if (smooth_invoke() != SMOOTH_OK) {
    return -1;
  }
  memcpy(classify_input_0, smooth_output_0, CLASSIFY_INPUT_0_BYTES);
  if (classify_invoke() != CLASSIFY_OK) {
    return -1;
  }
  return classify_output_0[1] > classify_output_0[0];
}

int main(void) {
  if (smooth_init() != SMOOTH_OK || classify_init() != CLASSIFY_OK) {
    platform_exit("init failed", 1);
  }
  if (in_motion(0.0f) != 0) {
    platform_exit("no motion was expected", 1);
  }
  if (in_motion(1.0f) != 1) {
    platform_exit("motion was expected", 1);
  }
  platform_exit("at rest, in motion: as expected", 0);
  return 0;
}
