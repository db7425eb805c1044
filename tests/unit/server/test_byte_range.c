#include <criterion/criterion.h>
#include <string.h>

#include "server/byte_range.h"

static enum byte_range read_range(const char *field, int64_t length, int64_t *first, int64_t *len)
{
    *first = *len = -7;
    return byte_range_read((struct slice){ field, strlen(field) }, length, first, len);
}

static void is_part(const char *field, int64_t length, int64_t first, int64_t len)
{
    int64_t got_first, got_len;
    cr_expect_eq(read_range(field, length, &got_first, &got_len), RANGE_PART, "%s", field);
    cr_expect_eq(got_first, first, "%s of %lld: from %lld", field, (long long)length, (long long)got_first);
    cr_expect_eq(got_len, len, "%s of %lld: %lld bytes", field, (long long)length, (long long)got_len);
}

static void is_not(enum byte_range kind, const char *field, int64_t length)
{
    int64_t first, len;
    cr_expect_eq(read_range(field, length, &first, &len), kind, "%s", field);
    cr_expect(first == -7 && len == -7, "%s", field);
}

Test(byte_range, first_and_last_are_inclusive)
{
    is_part("bytes=0-0", 10, 0, 1);
    is_part("bytes=0-9", 10, 0, 10);
    is_part("bytes=9-9", 10, 9, 1);
    is_part("bytes=3-5", 10, 3, 3);
    is_part("bytes=3-", 10, 3, 7);
    is_part("bytes=-3", 10, 7, 3);
    is_part("bytes=-10", 10, 0, 10);
}

Test(byte_range, what_is_past_the_end_is_cut)
{
    is_part("bytes=3-10", 10, 3, 7);
    is_part("bytes=-11", 10, 0, 10);
    is_part("bytes=0-18446744073709551616", 10, 0, 10);
    is_part("bytes=-9223372036854775808", 10, 0, 10);
}

Test(byte_range, nothing_in_it)
{
    is_not(RANGE_OUTSIDE, "bytes=10-", 10);
    is_not(RANGE_OUTSIDE, "bytes=10-12", 10);
    is_not(RANGE_OUTSIDE, "bytes=-0", 10);
    is_not(RANGE_OUTSIDE, "bytes=0-", 0);
    is_not(RANGE_OUTSIDE, "bytes=-1", 0);
    is_not(RANGE_OUTSIDE, "bytes=99999999999999999999-", 10);
    is_not(RANGE_OUTSIDE, "bytes=3000000000000000000-22222222222222222222", 10);
    is_not(RANGE_OUTSIDE, "bytes=9223372036854775807-9223372036854775808", 10);
}

Test(byte_range, what_is_none_is_left_alone)
{
    static const char *const fields[] = { "",           "bytes",     "bytes=",       "bytes=-",
                                          "bytes=5-4",  "bytes=1",   "bytes=a-b",    "bytes=1-b",
                                          "octets=1-2", "bytes 1-2", "bytes=1-2,4-5" };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        is_not(RANGE_ALL, fields[i], 10);
    int64_t first, len;
    cr_expect_eq(byte_range_read((struct slice){ NULL, 0 }, 10, &first, &len), RANGE_ALL);
}
