// Rows as JSON without a parser: the host writes the members in the order of the plan, without blanks. Apart from the
// plugin, so that it is tested natively.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

// A part of a text.
typedef struct {
    const char *start;
    size_t length;
} Slice;

// The value of the next row of `[{"NAME":VALUE},…]`, as JSON writes it: a string with its quotes and escapes, or
// null. Moves `cursor` behind it; false at the end. `member` is `{"NAME":`.
static inline bool next_value(const char **cursor, const char *end, const char *member, Slice *value) {
    // `[` or `,` comes before the row.
    const char *at = *cursor + 1;
    size_t before = strlen(member);
    if (at >= end || (size_t)(end - at) < before || memcmp(at, member, before) != 0) {
        return false;
    }
    value->start = at += before;
    bool in_string = false;
    for (; at < end && (in_string || *at != '}'); at++) {
        if (*at == '"') {
            in_string = !in_string;
        } else if (*at == '\\') {
            at++;
        }
    }
    value->length = (size_t)(at - value->start);
    *cursor = at + 1;
    return true;
}

// Whether `value`, a string as JSON writes it, is one of those in `list`, a text with one JSON array of strings.
static inline bool is_listed(Slice value, const char *list, size_t length) {
    if (value.length < 2 || *value.start != '"') {
        return false;
    }
    const char *array = memchr(list, '[', length);
    size_t start = array == NULL ? length : (size_t)(array - list);
    for (size_t at = start; at + value.length <= length; at++) {
        if (memcmp(list + at, value.start, value.length) == 0) {
            return true;
        }
    }
    return false;
}
