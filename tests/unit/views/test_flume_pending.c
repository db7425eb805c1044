#include <criterion/criterion.h>
#include <string.h>

#include "store/err.h"
#include "views/flume_pending.h"

static struct ref message_ref(uint32_t n)
{
    struct ref ref = { .kind = REF_MESSAGE };
    memcpy(ref.id, &n, sizeof n);
    return ref;
}

static void set(struct pending *pending, uint32_t n, int64_t where)
{
    struct pending_entry entry = { .key = message_ref(n), .where = where };
    cr_assert_eq(pending_set(pending, &entry), OK);
}

static int64_t where(const struct pending *pending, uint32_t n)
{
    struct ref ref = message_ref(n);
    const struct pending_entry *entry = pending_find(pending, &ref);
    return entry == NULL ? INT64_MIN : entry->where;
}

Test(flume_pending, finds_what_was_set_while_it_grows)
{
    struct pending pending;
    pending_init(&pending);
    cr_assert_eq(where(&pending, 0), INT64_MIN);
    for (uint32_t i = 0; i < 20000; i++)
        set(&pending, i, i);
    for (uint32_t i = 0; i < 20000; i++)
        cr_assert_eq(where(&pending, i), i);
    cr_assert_eq(where(&pending, 20000), INT64_MIN);
    pending_clear(&pending);
    cr_assert_eq(where(&pending, 5), INT64_MIN);
    set(&pending, 5, 6);
    cr_assert_eq(where(&pending, 5), 6);
    pending_clear(&pending);
    cr_assert_eq(where(&pending, 5), INT64_MIN);
    pending_free(&pending);
}

Test(flume_pending, takes_back_to_a_mark)
{
    struct pending pending;
    pending_init(&pending);
    set(&pending, 1, 10);
    size_t mark = pending_mark(&pending);
    set(&pending, 1, 11);
    set(&pending, 1, 12);
    for (uint32_t i = 2; i < 3000; i++)
        set(&pending, i, i);
    pending_undo(&pending, mark);
    cr_assert_eq(where(&pending, 1), 10);
    for (uint32_t i = 2; i < 3000; i++)
        cr_assert_eq(where(&pending, i), INT64_MIN);
    pending_undo(&pending, 0);
    cr_assert_eq(where(&pending, 1), INT64_MIN);
    set(&pending, 1, 13);
    cr_assert_eq(where(&pending, 1), 13);
    pending_free(&pending);
}

Test(flume_pending, settles_numbers_into_seqs)
{
    struct pending pending;
    pending_init(&pending);
    set(&pending, 1, 500);
    pending_settle(&pending, NULL);
    set(&pending, 2, -1);
    set(&pending, 3, -2);
    const int64_t seqs[] = { 600, 700 };
    pending_settle(&pending, seqs);
    cr_assert_eq(where(&pending, 1), 500);
    cr_assert_eq(where(&pending, 2), 600);
    cr_assert_eq(where(&pending, 3), 700);
    pending_undo(&pending, 0);
    cr_assert_eq(where(&pending, 3), 700, "what is in the log cannot be taken back");
    pending_free(&pending);
}

Test(flume_pending, feeds_and_messages_do_not_meet)
{
    struct pending pending;
    pending_init(&pending);
    struct pending_entry feed = { .key = { .kind = REF_FEED }, .sequence = 4 };
    struct pending_entry message = { .key = { .kind = REF_MESSAGE }, .where = 9 };
    cr_assert_eq(pending_set(&pending, &feed), OK);
    cr_assert_eq(pending_set(&pending, &message), OK);
    cr_assert_eq(pending_find(&pending, &feed.key)->sequence, 4);
    cr_assert_eq(pending_find(&pending, &message.key)->where, 9);
    pending_free(&pending);
}
