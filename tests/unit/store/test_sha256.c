#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "store/sha256.h"

#define BYTES 300

/* Every length around the blocks of 64 bytes, in pieces of every size, beside libsodium's. */
Test(sha256, is_what_libsodium_says)
{
    uint8_t bytes[BYTES], got[SHA256_BYTES], expected[SHA256_BYTES];
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * i + 7 * i);
    for (size_t len = 0; len <= BYTES; len++) {
        (void)crypto_hash_sha256(expected, bytes, len);
        for (size_t piece = 1; piece <= 130; piece += piece < 4 ? 1 : 21) {
            struct sha256 state;
            sha256_begin(&state);
            for (size_t at = 0; at < len; at += piece)
                sha256_add(&state, bytes + at, len - at < piece ? len - at : piece);
            sha256_end(&state, got);
            cr_assert_eq(memcmp(got, expected, sizeof got), 0, "%zu bytes in pieces of %zu", len, piece);
        }
    }
}

Test(sha256, a_copy_goes_on_by_itself)
{
    uint8_t got[SHA256_BYTES], expected[SHA256_BYTES];
    struct sha256 state, copy;
    sha256_begin(&state);
    sha256_add(&state, "first ", 6);
    copy = state;
    sha256_add(&state, "and more", 8);
    sha256_end(&copy, got);
    (void)crypto_hash_sha256(expected, (const unsigned char *)"first ", 6);
    cr_expect_eq(memcmp(got, expected, sizeof got), 0);
    sha256_end(&state, got);
    (void)crypto_hash_sha256(expected, (const unsigned char *)"first and more", 14);
    cr_expect_eq(memcmp(got, expected, sizeof got), 0);
}
