// How long ago something was, over columns as C's own arrays. Apart from the plugin, so that it is tested natively.

#pragma once

#include <stddef.h>
#include <stdint.h>

// What lies under a null may be anything: it is counted too, and nobody looks at it.
static inline void ages(size_t rows, const int64_t *times, int64_t now, int64_t *ages) {
    for (size_t row = 0; row < rows; row++) {
        ages[row] = (int64_t)((uint64_t)now - (uint64_t)times[row]);
    }
}
