#include "server/byte_range.h"

#include <string.h>
#include <strings.h>

#include "server/text.h"

/* Digits alone; false for none. What is too large for a number is the largest. */
static bool range_number(struct slice text, int64_t *ret)
{
    int64_t n = 0;
    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        int digit = text.data[i] - '0';
        n = n > (INT64_MAX - digit) / 10 ? INT64_MAX : n * 10 + digit;
    }
    *ret = n;
    return true;
}

enum byte_range byte_range_read(struct slice field, int64_t length, int64_t *ret_first, int64_t *ret_len)
{
    static const char unit[] = "bytes=";
    size_t unit_len = sizeof unit - 1;
    if (field.data == NULL || field.len <= unit_len || strncasecmp(field.data, unit, unit_len) != 0) return RANGE_ALL;
    struct slice range = text_trim((struct slice){ field.data + unit_len, field.len - unit_len });
    const char *dash = range.len == 0 ? NULL : memchr(range.data, '-', range.len);
    if (dash == NULL) return RANGE_ALL;
    struct slice from = { range.data, (size_t)(dash - range.data) };
    struct slice to = { dash + 1, range.len - from.len - 1 };
    int64_t first, last = length - 1;
    if (from.len == 0) {
        int64_t count;
        if (!range_number(to, &count)) return RANGE_ALL;
        if (count == 0 || length == 0) return RANGE_OUTSIDE;
        first = count < length ? length - count : 0;
    } else {
        if (!range_number(from, &first)) return RANGE_ALL;
        if (to.len > 0 && (!range_number(to, &last) || last < first)) return RANGE_ALL;
        if (first >= length) return RANGE_OUTSIDE;
        if (last > length - 1) last = length - 1;
    }
    *ret_first = first;
    *ret_len = last - first + 1;
    return RANGE_PART;
}
