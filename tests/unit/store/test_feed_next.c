#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/feed.h"

static struct ref author = { .kind = REF_FEED };
static uint8_t secret[64];
static struct feed_message message;

static void setup(void)
{
    uint8_t seed[32] = { 1, 2, 3 };
    cr_assert(sodium_init() >= 0);
    (void)crypto_sign_seed_keypair(author.id, secret, seed);
}

static void teardown(void)
{
    feed_message_free(&message);
}

TestSuite(feed_next, .init = setup, .fini = teardown);

static int next(const struct feed_state *state, double now, const char *content)
{
    feed_message_free(&message);
    return feed_next(state, &author, secret, now, (struct slice){ content, strlen(content) }, &message);
}

static struct feed_state stands(void)
{
    return (struct feed_state){
        .exists = true, .id = message.id, .sequence = message.sequence, .timestamp = message.timestamp
    };
}

#define POST "{\"type\":\"post\",\"text\":\"hi\"}"

Test(feed_next, messages_follow_each_other)
{
    struct feed_state state = { .exists = false };
    for (int64_t i = 1; i <= 20; i++) {
        cr_assert_eq(next(&state, 1000.0 * (double)i, POST), OK, "%s", err_detail(ERR_INVALID));
        cr_expect_eq(feed_check_next(&state, &message), OK, "%s", err_detail(ERR_FORK));
        cr_expect_eq(message.sequence, i);
        cr_expect_eq(message.timestamp, 1000.0 * (double)i);
        cr_expect(ref_equal(&message.author, &author));
        state = stands();
    }
    cr_assert_eq(feed_record(&message, 5), OK);
    static const char order[] = "\"value\":{\"previous\":\"%";
    cr_expect_not_null(memmem(message.record.data, message.record.len, order, sizeof order - 1));
}

Test(feed_next, the_claimed_time_increases_strictly)
{
    /* 1.6e12 is a time of today, at the others a double has no thousandths any more */
    static const double newest[] = { 0, 1.6e12, 9.1e15, 1e18, 1e300 };
    for (size_t i = 0; i < sizeof newest / sizeof *newest; i++) {
        struct feed_state state = { .exists = false };
        cr_assert_eq(next(&state, newest[i], POST), OK);
        for (int k = 0; k < 50; k++) {
            double before = message.timestamp, now = k % 2 == 0 ? before : before - 1000;
            state = stands();
            cr_assert_eq(next(&state, now, POST), OK, "%s", err_detail(ERR_INVALID));
            cr_expect_gt(message.timestamp, before);
        }
    }
    struct feed_state state = { .exists = true, .id = message.id, .sequence = 3, .timestamp = NAN };
    cr_assert_eq(next(&state, 7, POST), OK);
    cr_expect_eq(message.timestamp, 7, "a newest message without a time does not count");
    state.timestamp = DBL_MAX;
    cr_assert_eq(next(&state, 7, POST), OK);
    cr_expect_eq(message.timestamp, 7, "nothing comes after it");
}

Test(feed_next, what_is_no_content_is_refused)
{
    static const char *const bad[] = { "{}",
                                       "{\"type\":\"ab\"}",
                                       "{\"type\":7}",
                                       "[]",
                                       "null",
                                       "\"text\"",
                                       "{\"type\":\"0123456789012345678901234567890123456789012345678901x\"}" };
    struct feed_state state = { .exists = false };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(next(&state, 1, bad[i]), ERR_INVALID, "%s", bad[i]);
    cr_expect_eq(next(&state, 1, "{\"type\":"), ERR_JSON);
    cr_expect_eq(next(&state, 1, "\"AAAA.box\""), OK);
    cr_expect_eq(next(&state, 1, "{\"type\":\"abc\"}"), OK);
}

/* The longest text that still fits, found by trying, is one unit shorter than one that does not. */
Test(feed_next, a_message_has_8192_units_at_most)
{
    struct feed_state state = { .exists = false };
    char *content = malloc(16384);
    size_t low = 0, high = 9000;
    while (high - low > 1) {
        size_t len = (low + high) / 2;
        (void)snprintf(content, 16384, "{\"type\":\"post\",\"text\":\"%0*d\"}", (int)len, 0);
        int err = next(&state, 1, content);
        cr_assert(err == OK || err == ERR_INVALID);
        if (err == OK)
            low = len;
        else
            high = len;
    }
    cr_expect(low > 7600 && low < 8192, "%zu", low);
    (void)snprintf(content, 16384, "{\"type\":\"post\",\"text\":\"%0*d\"}", (int)high, 0);
    cr_expect_eq(next(&state, 1, content), ERR_INVALID);
    cr_expect_not_null(strstr(err_detail(ERR_INVALID), "8193"), "%s", err_detail(ERR_INVALID));
    free(content);
    content = malloc((2 << 20) + 1);
    memset(content, ' ', 2 << 20);
    content[2 << 20] = '\0';
    cr_expect_eq(next(&state, 1, content), ERR_INVALID);
    free(content);
}

Test(feed_next, a_secret_that_is_not_the_authors_signs_nothing)
{
    struct feed_state state = { .exists = false };
    author.id[0] ^= 1;
    cr_expect_eq(next(&state, 1, POST), ERR_INVALID);
}
