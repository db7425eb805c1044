#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "store/base64.h"

#define BYTES 32
#define TEXT 44

static const int variants[] = { sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                                sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_URLSAFE_NO_PADDING };

TestSuite(base64);

/* Each character at each place: as libsodium decides for ASCII, and never beyond it. */
static void expect_ascii_alone(int variant)
{
    uint8_t bytes[BYTES], got[BYTES], expected[BYTES];
    char text[TEXT + 1];
    memset(bytes, 0xff, sizeof bytes); /* slashes */
    (void)sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, variant);
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at++) {
        char right = text[at];
        for (int c = 1; c < 256; c++) {
            size_t expected_len = 0, got_len = 0;
            text[at] = (char)c;
            bool valid =
                c < 128 && sodium_base642bin(expected, BYTES, text, len, NULL, &expected_len, NULL, variant) == 0;
            cr_assert_eq(base64_read((struct slice){ text, len }, variant, got, BYTES, &got_len), valid, "%d at %zu", c,
                         at);
            if (valid) cr_assert(got_len == expected_len && memcmp(got, expected, got_len) == 0);
        }
        text[at] = right;
    }
}

Test(base64, nothing_beyond_ascii_stands_for_a_digit)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        expect_ascii_alone(variants[i]);
}

Test(base64, as_many_bytes_as_are_wanted)
{
    uint8_t bytes[4];
    size_t len = 0;
    cr_expect(base64_read(SLICE_LITERAL("AQID"), sodium_base64_VARIANT_ORIGINAL, bytes, sizeof bytes, &len) &&
              len == 3);
    cr_expect(base64_read_exactly(SLICE_LITERAL("AQID"), sodium_base64_VARIANT_ORIGINAL, bytes, 3));
    cr_expect_not(base64_read_exactly(SLICE_LITERAL("AQID"), sodium_base64_VARIANT_ORIGINAL, bytes, 4));
    cr_expect_not(base64_read_exactly(SLICE_LITERAL("AQID"), sodium_base64_VARIANT_ORIGINAL, bytes, 2));
    cr_expect(base64_read((struct slice){ "", 0 }, sodium_base64_VARIANT_ORIGINAL, bytes, sizeof bytes, &len) &&
              len == 0);
}
