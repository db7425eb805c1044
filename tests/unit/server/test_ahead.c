#include <criterion/criterion.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/ahead.h"
#include "server/sent.h"
#include "store/err.h"

#define MESSAGES 60
#define BODY_MAX ((size_t)64 << 20)
#define THREADS 4

/* Messages that are valid by themselves; how they stand to each other is not looked at here. */
static struct buf messages[MESSAGES];

static void messages_sign(void)
{
    uint8_t public_key[32], secret_key[64];
    char author[REF_TEXT_MAX];
    cr_assert_geq(sodium_init(), 0);
    (void)crypto_sign_keypair(public_key, secret_key);
    struct ref id = { .kind = REF_FEED };
    memcpy(id.id, public_key, sizeof public_key);
    size_t len = ref_print(&id, author);
    for (int i = 0; i < MESSAGES; i++) {
        struct buf value;
        buf_init(&value, 4096);
        buf_init(&messages[i], 4096);
        (void)buf_printf(&value, "{\"previous\":null,\"author\":\"%.*s\",\"sequence\":1,\"timestamp\":%d,", (int)len,
                         author, i + 1);
        (void)buf_printf(&value, "\"hash\":\"sha256\",\"content\":{\"type\":\"post\",\"text\":\"%*d\"}}", 20 * i, i);
        cr_assert_eq(feed_sign(value.data, value.len, secret_key, NULL, &messages[i]), OK);
        buf_free(&value);
    }
}

static void messages_free(void)
{
    for (int i = 0; i < MESSAGES; i++)
        buf_free(&messages[i]);
}

TestSuite(ahead, .init = messages_sign, .fini = messages_free);

/* Those from `from` on, one a line; blank lines between some, no end behind the last; that at `spoiled` has another text. */
static void body_make(size_t from, size_t spoiled, struct buf *ret_body)
{
    buf_init(ret_body, BODY_MAX);
    for (size_t i = from; i < MESSAGES; i++) {
        size_t at = ret_body->len;
        (void)buf_append(ret_body, messages[i].data, messages[i].len);
        if (i == spoiled) *(char *)memmem(ret_body->data + at, messages[i].len, "post", 4) = 'P';
        if (i + 1 < MESSAGES) (void)buf_puts(ret_body, i % 5 == 0 ? "\r\n \n\n" : "\n");
        cr_assert_eq(ret_body->err, OK);
    }
}

/* The body as it comes, `step` bytes at a time, each time somewhere else. */
static void body_come(struct ahead *batch, const struct buf *body, size_t step)
{
    for (size_t len = step; len < body->len; len += step) {
        char *moved = malloc(len);
        cr_assert_not_null(moved);
        memcpy(moved, body->data, len);
        ahead_more(batch, (struct slice){ moved, len });
        memset(moved, '!', len);
        free(moved);
    }
}

static void expect_checked(struct ahead_pool *pool, size_t from, size_t spoiled, size_t step)
{
    struct buf body;
    struct feed_message checked[MESSAGES] = { { .sequence = 0 } };
    size_t bad = SIZE_MAX, count = MESSAGES - from;
    body_make(from, spoiled, &body);
    struct ahead *batch = ahead_new(pool, MESSAGES);
    cr_assert_not_null(batch);
    body_come(batch, &body, step);
    cr_assert_eq(ahead_end(batch, (struct slice){ body.data, body.len }, count, checked, &bad), OK);
    cr_expect_eq(bad, spoiled < MESSAGES ? spoiled - from : count, "in steps of %zu: %zu", step, bad);
    for (size_t i = 0; i < count; i++) {
        struct feed_message alone;
        cr_assert_eq(sent_check((struct slice){ messages[from + i].data, messages[from + i].len }, &alone), OK);
        if (i < bad)
            cr_expect(ref_equal(&checked[i].id, &alone.id), "%zu in steps of %zu", i, step);
        else
            cr_expect_eq(checked[i].id.kind, REF_NONE, "%zu in steps of %zu", i, step);
        feed_message_free(&alone);
        feed_message_free(&checked[i]);
    }
    ahead_free(batch);
    buf_free(&body);
}

Test(ahead, what_comes_in_pieces_is_checked_as_what_comes_at_once)
{
    static const size_t steps[] = { 7, 1000, 9000, 20000, BODY_MAX };
    static const size_t spoiled[] = { MESSAGES, 0, 1, 17, 40, MESSAGES - 1 };
    struct ahead_pool *pool;
    cr_assert_eq(ahead_pool_start(2, &pool), OK);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t j = 0; j < sizeof spoiled / sizeof *spoiled; j++)
            expect_checked(pool, 0, spoiled[j], steps[i]);
    cr_expect_eq(ahead_pool_bytes(pool), 0);
    ahead_pool_stop(pool);
}

Test(ahead, a_batch_that_nobody_waits_for_is_given_up)
{
    struct ahead_pool *pool;
    struct buf body;
    body_make(0, MESSAGES, &body);
    cr_assert_eq(ahead_pool_start(2, &pool), OK);
    for (int i = 0; i < 20; i++) {
        struct ahead *batch = ahead_new(pool, MESSAGES);
        cr_assert_not_null(batch);
        ahead_more(batch, (struct slice){ body.data, body.len });
        ahead_free(batch);
    }
    cr_expect_eq(ahead_pool_bytes(pool), 0);
    ahead_pool_stop(pool);
    buf_free(&body);
}

static void *checks(void *pool)
{
    for (size_t i = 0; i < 10; i++)
        expect_checked(pool, i, i % 2 == 0 ? MESSAGES : i + 30, 9000);
    return NULL;
}

Test(ahead, batches_of_several_threads_do_not_mix)
{
    struct ahead_pool *pool;
    pthread_t threads[THREADS];
    cr_assert_eq(ahead_pool_start(3, &pool), OK);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, checks, pool), 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    ahead_pool_stop(pool);
}

/* White space between its members makes a short message long. */
static void body_blow_up(size_t count, struct buf *ret_body)
{
    buf_init(ret_body, BODY_MAX);
    for (size_t i = 0; i < count; i++) {
        (void)buf_printf(ret_body, "{%15000s", "");
        (void)buf_append(ret_body, messages[0].data + 1, messages[0].len - 1);
        (void)buf_putc(ret_body, '\n');
    }
    cr_assert_eq(ret_body->err, OK);
}

Test(ahead, bodies_that_are_coming_hold_so_much_and_no_more)
{
    enum { COUNT = 1500 };
    struct ahead_pool *pool;
    struct buf body;
    size_t bad = 0;
    body_blow_up(COUNT, &body);
    cr_assert_gt(2 * body.len, AHEAD_BYTES_MAX);
    cr_assert_eq(ahead_pool_start(1, &pool), OK);
    struct ahead *batch = ahead_new(pool, COUNT);
    struct feed_message *checked = calloc(COUNT, sizeof *checked);
    cr_assert(batch != NULL && checked != NULL);
    ahead_more(batch, (struct slice){ body.data, body.len });
    cr_expect_geq(ahead_pool_bytes(pool), AHEAD_BYTES_MAX);
    cr_expect_lt(ahead_pool_bytes(pool), AHEAD_BYTES_MAX + ((size_t)1 << 20));
    cr_assert_eq(ahead_end(batch, (struct slice){ body.data, body.len }, COUNT, checked, &bad), OK);
    cr_expect_eq(bad, COUNT);
    for (int i = 0; i < COUNT; i++)
        feed_message_free(&checked[i]);
    free(checked);
    ahead_free(batch);
    ahead_pool_stop(pool);
    buf_free(&body);
}

Test(ahead, lines_beyond_the_most_are_left_alone)
{
    struct ahead_pool *pool;
    struct buf body;
    cr_assert_eq(ahead_pool_start(1, &pool), OK);
    body_make(0, MESSAGES, &body);
    struct ahead *batch = ahead_new(pool, 16);
    cr_assert_not_null(batch);
    ahead_more(batch, (struct slice){ body.data, body.len });
    size_t held = ahead_pool_bytes(pool);
    ahead_free(batch);
    batch = ahead_new(pool, MESSAGES);
    cr_assert_not_null(batch);
    ahead_more(batch, (struct slice){ body.data, body.len });
    cr_expect_gt(held, 0);
    cr_expect_gt(ahead_pool_bytes(pool), 2 * held);
    ahead_free(batch);
    ahead_pool_stop(pool);
    buf_free(&body);
}
