#include <criterion/criterion.h>
#include <string.h>

#include "store/err.h"
#include "tests/unit/views/play.h"
#include "views/view_links.h"

#define RECORDS 500

/* Says what a row must be like in its own words. */
static bool wanted(const struct links_query *query, const struct message *message, const struct message_ref *row)
{
    if (query->source.kind != REF_NONE && !ref_equal(&message->author_ref, &query->source)) return false;
    if (query->dest.kind != REF_NONE && !ref_equal(&row->ref, &query->dest)) return false;
    if (query->rel.data == NULL) return true;
    return row->rel.len == query->rel.len && memcmp(row->rel.data, query->rel.data, row->rel.len) == 0;
}

static uint64_t naive(const struct corpus *corpus, const struct links_query *query, const struct filter *filter,
                      bool *ret_filter_fits)
{
    uint64_t count = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        const struct message *message = &corpus->messages[i];
        for (size_t r = 0; r < message->ref_count; r++) {
            bool row = wanted(query, message, &message->refs[r]);
            count += row;
            if (row != links_match(query, message, r)) *ret_filter_fits = false;
            if (row && !filter_match(filter, message)) *ret_filter_fits = false;
        }
    }
    return count;
}

static void random_links(struct dice *dice, struct links_query *ret_query)
{
    static const char *const rels[] = { "mentions", "root", "vote", "about", "a very odd \"rel\"" };
    *ret_query = (struct links_query){ .hide_private = dice_roll(dice, 2) == 0 };
    if (dice_roll(dice, 3) == 0) corpus_ref(REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS), &ret_query->source);
    if (dice_roll(dice, 2) == 0) {
        bool feed = dice_roll(dice, 2) == 0;
        corpus_ref(feed ? REF_FEED : REF_MESSAGE, (unsigned)dice_roll(dice, 6), &ret_query->dest);
    }
    const char *rel = rels[dice_roll(dice, 5)];
    if (dice_roll(dice, 2) == 0) ret_query->rel = (struct slice){ rel, strlen(rel) };
}

Test(view_links, counts_and_rows_are_those_of_a_loop)
{
    struct play play;
    play_open(&play, RECORDS);
    for (int round = 0; round < 300; round++) {
        struct links_query query;
        struct filter filter;
        uint64_t count = 0;
        bool fits = true;
        random_links(&play.dice, &query);
        cr_assert_eq(links_filter(&query, &filter), OK);
        uint64_t expected = naive(&play.corpus, &query, &filter, &fits);
        cr_assert_eq(links_count(&play.read, &query, &count), OK);
        cr_assert(count == expected && fits, "SLUICE_TEST_SEED=%llu, round %d", (unsigned long long)play.dice.seed,
                  round);
    }
    play_close(&play);
}
