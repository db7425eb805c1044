#include <criterion/criterion.h>
#include <string.h>

#include "store/err.h"
#include "store/log.h"
#include "views/flume_expect.h"

#define FEEDS 70

static struct feed_message messages[2 * FEEDS];
static struct ref heads[FEEDS];
static size_t asked;

static struct ref ref_of(int kind, size_t n)
{
    struct ref ref = { .kind = (uint8_t)kind };
    ref.id[0] = (uint8_t)n;
    return ref;
}

/* Feed 0 has no message; every other one has heads[n]. */
static int state_of(void *ctx, const struct ref *author, struct feed_state *ret_state)
{
    (void)ctx;
    asked++;
    *ret_state = (struct feed_state){ .exists = author->id[0] != 0, .id = heads[author->id[0]], .sequence = 7 };
    return author->id[0] == 66 ? err_set(ERR_IO, "the disk") : OK;
}

static void setup(void)
{
    for (size_t i = 0; i < FEEDS; i++)
        heads[i] = ref_of(REF_MESSAGE, i);
    for (size_t i = 0; i < 2 * FEEDS; i++)
        messages[i] = (struct feed_message){ .author = ref_of(REF_FEED, i % FEEDS) };
    asked = 0;
}

TestSuite(flume_expect, .init = setup);

static int feeds(const struct flume_expect *expect, size_t from, size_t count, size_t *ret_index, struct ref *ret_head)
{
    return expect_feeds(expect, messages + from, count, state_of, NULL, ret_index, ret_head);
}

Test(flume_expect, each_feed_is_asked_once_and_has_to_be_where_it_is_expected)
{
    const struct flume_expect three = { .heads = heads + 1, .count = 3 }, some = { .some = true },
                              none = { .none = true };
    size_t index = 99;
    struct ref head;
    messages[4] = messages[2];
    messages[5] = messages[1];
    cr_expect_eq(feeds(&three, 1, 5, &index, &head), OK);
    cr_expect_eq(asked, 3);
    cr_expect_eq(feeds(&three, 1, 6, &index, &head), ERR_STALE);
    cr_expect(index == 5 && ref_equal(&head, &heads[6]));
    cr_expect_eq(feeds(&three, 0, 2, &index, &head), ERR_STALE, "a feed without messages");
    cr_expect(index == 0 && head.kind == REF_NONE);
    cr_expect_eq(feeds(&some, 1, 6, &index, &head), OK);
    cr_expect_eq(feeds(&some, 0, 6, &index, &head), ERR_STALE);
    cr_expect_eq(feeds(&none, 0, 1, &index, &head), OK);
    cr_expect_eq(feeds(&none, 0, 2, &index, &head), ERR_STALE);
    cr_expect(index == 1 && ref_equal(&head, &heads[1]));
    cr_expect_eq(feeds(&some, 66, 1, &index, &head), ERR_IO);
}

Test(flume_expect, as_many_feeds_as_that_and_not_one_more)
{
    const struct flume_expect some = { .some = true };
    size_t index = 99;
    struct ref head;
    cr_expect_eq(feeds(&some, 1, EXPECT_FEEDS_MAX, &index, &head), OK);
    cr_expect_eq(feeds(&some, 1, EXPECT_FEEDS_MAX + 1, &index, &head), ERR_INVALID);
    cr_expect_eq(index, EXPECT_FEEDS_MAX);
}

Test(flume_expect, a_log_is_where_it_is_expected)
{
    const struct flume_expect at = { .head = 12 }, empty = { .head = SEQ_EMPTY }, some = { .some = true, .head = -2 },
                              none = { .none = true, .head = -2 };
    cr_expect(expect_log(&at, 12) == OK && expect_log(&at, 13) == ERR_STALE && expect_log(&at, SEQ_EMPTY) == ERR_STALE);
    cr_expect(expect_log(&empty, SEQ_EMPTY) == OK && expect_log(&empty, 0) == ERR_STALE);
    cr_expect(expect_log(&some, 0) == OK && expect_log(&some, SEQ_EMPTY) == ERR_STALE);
    cr_expect(expect_log(&none, SEQ_EMPTY) == OK && expect_log(&none, 0) == ERR_STALE);
}
