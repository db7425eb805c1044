/* Lists of contacts where messages that decide who is in them were deleted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/rows_social.h"
#include "tests/support/corpus.h"

#define OTHERS 4

static struct corpus_flume served;
static struct config config = { .limit_max = 100, .query_timeout = 10 };
static struct server server = { .config = &config };
static struct ref from;

/* `feed` follows the others, and they follow it; of what it says the messages about the first two in the list are gone. */
static void setup(void)
{
    static char lines[2 * OTHERS][600];
    const char *texts[2 * OTHERS];
    char author[REF_TEXT_MAX + 1], other[REF_TEXT_MAX + 1];
    corpus_ref(REF_FEED, 0, &from);
    (void)corpus_text(REF_FEED, 0, author);
    for (unsigned i = 0; i < 2 * OTHERS; i++) {
        (void)corpus_text(REF_FEED, i / 2 + 1, other);
        (void)snprintf(
            lines[i], sizeof lines[i],
            "{\"key\":\"k\",\"value\":{\"author\":\"%s\",\"content\":{\"type\":\"contact\",\"contact\":\"%s\","
            "\"following\":true}}}",
            i % 2 == 0 ? author : other, i % 2 == 0 ? other : author);
        texts[i] = lines[i];
    }
    corpus_serve_texts(texts, 2 * OTHERS, &served);
    corpus_settle(&served);
    server.flume = served.flume;
}

static void teardown(void)
{
    corpus_stop(&served);
}

TestSuite(rows_people, .init = setup, .fini = teardown, .timeout = 300);

static struct contacts_params list_of(enum contacts_list list, int64_t limit)
{
    return (struct contacts_params){ .feed = from, .list = list, .limit = limit, .follow = FOLLOW_NONE };
}

/* One row, and whether it was the last; the place of the deciding message, SEQ_EMPTY = there was no row. */
static int64_t row_of(const struct contacts_params *params, bool *ret_ended, struct ref *ret_id)
{
    struct rows *rows = NULL;
    struct buf out;
    buf_init(&out, 65536);
    cr_assert_eq(rows_contacts_open(&server, params, &rows), OK);
    int got = rows_next(rows, &out);
    cr_assert_geq(got, 0);
    *ret_ended = rows->ended;
    (void)buf_putc(&out, '\0');
    int64_t seq = SEQ_EMPTY;
    if (got == 1) {
        long long found = -1;
        cr_assert_eq(sscanf(strstr(out.data, "\"seq\":"), "\"seq\":%lld", &found), 1);
        seq = found;
        const char *id = strchr(out.data, '@');
        cr_assert_eq(ref_parse(id, strcspn(id, "\""), ret_id), OK);
    }
    rows_free(rows);
    buf_free(&out);
    return seq;
}

/* Who comes in pages of one row, until a page is empty. */
static size_t walk(enum contacts_list list, int64_t seqs[OTHERS + 1])
{
    struct contacts_params params = list_of(list, 1);
    size_t count = 0;
    bool ended;
    while (count <= OTHERS && (seqs[count] = row_of(&params, &ended, &params.after)) != SEQ_EMPTY)
        count++;
    return count;
}

Test(rows_people, a_page_goes_on_behind_people_whose_message_was_deleted)
{
    int64_t all[OTHERS + 1], left[OTHERS + 1];
    for (enum contacts_list list = LIST_FOLLOWS; list <= LIST_FRIENDS; list += LIST_FRIENDS - LIST_FOLLOWS) {
        cr_assert_eq(walk(list, all), OTHERS);
    }
    corpus_delete(&served, all[0]);
    corpus_delete(&served, all[1]);
    for (enum contacts_list list = LIST_FOLLOWS; list <= LIST_FRIENDS; list += LIST_FRIENDS - LIST_FOLLOWS) {
        cr_expect_eq(walk(list, left), OTHERS - 2, "%s", contacts_list_names[list]);
        cr_expect(left[0] == all[2] && left[1] == all[3], "%s", contacts_list_names[list]);
    }
}

Test(rows_people, a_followed_list_of_some_rows_ends_with_the_last_of_them)
{
    int64_t all[OTHERS + 1];
    bool ended;
    struct ref id;
    cr_assert_eq(walk(LIST_FOLLOWS, all), OTHERS);
    corpus_delete(&served, all[0]);
    corpus_delete(&served, all[1]);
    struct contacts_params params = list_of(LIST_FOLLOWS, 1);
    params.follow.live = params.follow.old = true;
    cr_expect_eq(row_of(&params, &ended, &id), all[2]);
    cr_expect(ended);
}
