/* A Range field of any bytes for something of some length (its logarithm is the first byte): a part lies inside and is the one that numbers without a limit say; what
 * is none leaves both alone. Run with tests/fuzz/corpus/range. */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/byte_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good, const char *what)
{
    if (good) return;
    (void)fprintf(stderr, "%s\n", what);
    abort();
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Digits: 1 and their number, or INT64_MAX for all that are larger; 0 = there are other bytes, or none. */
static int number_of(const char *at, const char *end, int64_t *ret)
{
    const char *start = at;
    while (at < end && isdigit((unsigned char)*at))
        at++;
    if (at == start || at != end) return 0;
    *ret = strtoll(start, NULL, 10);
    return 1;
}

/* As RFC 9110 14.1.2 puts it, of one range. The text is terminated. */
static enum byte_range expected(const char *text, size_t len, int64_t length, int64_t *first, int64_t *last)
{
    const char *end = text + len, *dash;
    if (len < 6 || strncasecmp(text, "bytes=", 6) != 0) return RANGE_ALL;
    text += 6;
    while (text < end && is_space(*text))
        text++;
    while (text < end && is_space(end[-1]))
        end--;
    dash = text < end ? memchr(text, '-', (size_t)(end - text)) : NULL;
    if (dash == NULL) return RANGE_ALL;
    if (dash == text) {
        int64_t count;
        if (!number_of(dash + 1, end, &count)) return RANGE_ALL;
        *first = count > length ? 0 : length - count;
        *last = length - 1;
        return *first < length ? RANGE_PART : RANGE_OUTSIDE;
    }
    *last = INT64_MAX;
    if (!number_of(text, dash, first) || (dash + 1 < end && !number_of(dash + 1, end, last))) return RANGE_ALL;
    if (*last < *first) return RANGE_ALL;
    if (*last > length - 1) *last = length - 1;
    return *first < length ? RANGE_PART : RANGE_OUTSIDE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const int64_t length = data[0] == 0 ? 0 : (INT64_C(1) << (data[0] % 50)) + data[0] / 50 - 1;
    int64_t first = -7, len = -7, from = 0, last = 0;
    char *text = malloc(size), *sent = malloc(size); /* one with a terminator, one that ends where it ends */
    if (text != NULL && sent != NULL) {
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        char *field = sent + 1;
        memcpy(field, data + 1, size - 1);
        enum byte_range kind = byte_range_read((struct slice){ field, size - 1 }, length, &first, &len);
        must(kind == expected(text, size - 1, length, &from, &last), "another kind of range");
        if (kind == RANGE_PART) {
            must(first >= 0 && len > 0 && first <= length - len, "a part that does not lie inside");
            must(first == from && len == last - from + 1, "another part");
        } else {
            must(first == -7 && len == -7, "there is no part");
        }
    }
    free(text);
    free(sent);
    return 0;
}
