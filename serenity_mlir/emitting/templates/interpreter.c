static const kernel_environment environment;

static int dispatch(const call *c, const uint32_t *words, void *const *pointers,
                    const size_t *lengths) {
  kernel_dispatch d;
  kernel_workgroup w;
  memset(&d, 0, sizeof d);
  memset(&w, 0, sizeof w);
  d.workgroup_size_x = c->size_x;
  d.workgroup_size_y = c->size_y;
  d.workgroup_size_z = c->size_z;
  d.workgroup_count_x = c->x;
  d.workgroup_count_y = c->y;
  d.workgroup_count_z = c->z;
  d.max_concurrency = 1;
  d.constant_count = c->constant_count;
  d.binding_count = c->binding_count;
  d.constants = words;
  d.binding_pointers = pointers;
  d.binding_lengths = lengths;
  for (uint32_t z = 0; z < c->z; ++z) {
    for (uint32_t y = 0; y < c->y; ++y) {
      for (uint32_t x = 0; x < c->x; ++x) {
        w.workgroup_x = x;
        w.workgroup_y = y;
        w.workgroup_z = (uint16_t)z;
        if (c->kernel(&environment, &d, &w) != 0) {
          return 1;
        }
      }
    }
  }
  return 0;
}

/* Repeats the first `size` bytes of a pattern. */
static void fill(uint8_t *target, size_t length, const uint32_t *pattern, size_t size) {
  if (size == 1) {
    memset(target, (int)(*pattern & 0xFF), length);
    return;
  }
  for (size_t i = 0; i + size <= length; i += size) {
    uint32_t word = *pattern;
    for (size_t j = 0; j < size; ++j) {
      target[i + j] = (uint8_t)(word & 0xFF);
      word >>= 8;
    }
  }
}
