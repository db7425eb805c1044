/* Followed graphs hold feeds for as long as they are followed, and no more of them than all clients may. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>

#include "server/limits.h"
#include "server/rows_social.h"
#include "store/err.h"
#include "tests/support/corpus.h"

static struct corpus_flume served;
static struct config config = { .limit_max = 100, .query_timeout = 10 };
static struct server server = { .config = &config };
static struct ref from;

#define FOLLOWED 4

/* One feed that follows some others. */
static void setup(void)
{
    static char lines[FOLLOWED][600];
    const char *texts[FOLLOWED];
    char author[REF_TEXT_MAX + 1], other[REF_TEXT_MAX + 1];
    corpus_ref(REF_FEED, 0, &from);
    (void)corpus_text(REF_FEED, 0, author);
    for (unsigned i = 0; i < FOLLOWED; i++) {
        (void)corpus_text(REF_FEED, i + 1, other);
        (void)snprintf(lines[i], sizeof lines[i],
                       "{\"value\":{\"author\":\"%s\",\"content\":{\"type\":\"contact\",\"contact\":\"%s\","
                       "\"following\":true}}}",
                       author, other);
        texts[i] = lines[i];
    }
    corpus_serve_texts(texts, FOLLOWED, &served);
    corpus_settle(&served);
    server.flume = served.flume;
}

static void teardown(void)
{
    corpus_stop(&served);
}

TestSuite(rows_graph, .init = setup, .fini = teardown, .timeout = 300);

static int open_live(bool live, struct rows **ret_rows)
{
    const struct graph_params params = {
        .from = from, .hops = 1, .limit = -1, .follow = { .live = live, .old = true, .above = SEQ_EMPTY }
    };
    return rows_graph_open(&server, &params, ret_rows);
}

Test(rows_graph, what_is_followed_is_counted_until_it_is_not)
{
    struct rows *followed = NULL, *page = NULL;
    struct buf out;
    cr_assert_eq(open_live(false, &page), OK);
    cr_assert_eq(atomic_load(&server.near_feeds), 0);
    cr_assert_eq(open_live(true, &followed), OK);
    cr_assert_eq(atomic_load(&server.near_feeds), FOLLOWED + 1);
    buf_init(&out, 65536);
    for (int i = 0; i <= FOLLOWED; i++)
        cr_assert_eq(rows_next(followed, &out), 1);
    cr_assert_eq(rows_next(followed, &out), 0);
    cr_assert_not(followed->ended);
    buf_free(&out);
    rows_free(followed);
    rows_free(page);
    cr_assert_eq(atomic_load(&server.near_feeds), 0);
}

Test(rows_graph, all_clients_together_follow_so_many_feeds)
{
    struct rows *rows = NULL;
    const int64_t most = LIMIT_NEAR_FEEDS - (FOLLOWED + 1);
    atomic_store(&server.near_feeds, most + 1);
    cr_assert_eq(open_live(true, &rows), ERR_QUEUE);
    cr_assert_eq(atomic_load(&server.near_feeds), most + 1);
    atomic_store(&server.near_feeds, most);
    cr_assert_eq(open_live(true, &rows), OK);
    rows_free(rows);
    cr_assert_eq(atomic_load(&server.near_feeds), most);
}
