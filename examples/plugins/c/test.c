// What the plugins do, without WebAssembly: `cc test.c && ./a.out`.

#undef NDEBUG
#include <assert.h>
#include <stdio.h>

#include "age.h"
#include "countries.h"
#include "unit_price.h"

static void prices_are_divided_where_both_are_present(void) {
    int64_t amounts[] = {100, 7, 0, 55, 9}, quantities[] = {4, 2, 3, 0, 3}, prices[5];
    uint8_t quantities_present[] = {0x17}, validity[] = {0};
    unit_prices(5, amounts, NULL, quantities, quantities_present, prices, validity);
    assert(prices[0] == 25 && prices[1] == 3 && prices[2] == 0 && prices[4] == 3);
    // The fourth quantity is null, with a zero under it.
    assert(validity[0] == 0x17);
}

static void rows_are_walked(void) {
    const char rows[] = "[{\"country\":\"de\"},{\"country\":null},{\"country\":\"a}\\\"\\\\\"}]";
    const char *cursor = rows, *end = rows + strlen(rows);
    const char *expected[] = {"\"de\"", "null", "\"a}\\\"\\\\\""};
    Slice value;
    for (int row = 0; row < 3; row++) {
        assert(next_value(&cursor, end, "{\"country\":", &value));
        assert(value.length == strlen(expected[row]) && memcmp(value.start, expected[row], value.length) == 0);
    }
    assert(!next_value(&cursor, end, "{\"country\":", &value));
}

static void countries_are_found_whole(void) {
    const char list[] = "{\"countries\":[\"de\",\"fr\"]}";
    assert(is_listed((Slice){"\"fr\"", 4}, list, strlen(list)));
    assert(!is_listed((Slice){"\"f\"", 3}, list, strlen(list)));
    assert(!is_listed((Slice){"\"countries\"", 11}, list, strlen(list)));
    assert(!is_listed((Slice){"null", 4}, list, strlen(list)));
}

static void ages_are_seconds(void) {
    int64_t times[] = {90, 100, INT64_MIN}, seconds[3];
    ages(3, times, 100, seconds);
    assert(seconds[0] == 10 && seconds[1] == 0);
}

int main(void) {
    ages_are_seconds();
    prices_are_divided_where_both_are_present();
    rows_are_walked();
    countries_are_found_whole();
    puts("4 tests passed");
    return 0;
}
