// The price of one piece, over columns as C's own arrays. Apart from the plugin, so that it is tested natively.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bit `row` of a bitmap; all are set where there is none.
static inline bool is_present(const uint8_t *validity, size_t row) {
    return validity == NULL || (validity[row / 8] >> (row % 8) & 1);
}

// Divides where both are present, and says in `validity` (zeros before) where that is. What lies under a null may be
// anything, also zero. A quantity of zero that is present is a bug of whoever wrote it: it traps.
static inline void unit_prices(size_t rows, const int64_t *amounts, const uint8_t *amounts_present,
                               const int64_t *quantities, const uint8_t *quantities_present, int64_t *prices,
                               uint8_t *validity) {
    for (size_t row = 0; row < rows; row++) {
        prices[row] = 0;
        if (is_present(amounts_present, row) && is_present(quantities_present, row)) {
            prices[row] = amounts[row] / quantities[row];
            validity[row / 8] |= (uint8_t)(1 << (row % 8));
        }
    }
}
