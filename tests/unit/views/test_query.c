/* The stored evaluator against a loop over all records with the live one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"
#include "views/filter.h"

#define RECORDS 700

struct play {
    struct dice dice;
    struct corpus corpus;
    struct corpus_flume served;
    bool deleted[RECORDS];
};

#define PLAY_ASSERT(play, condition)                                                                          \
    cr_assert(condition, "SLUICE_TEST_SEED=%llu: " #condition " (%s)", (unsigned long long)(play)->dice.seed, \
              err_detail(OK))

static void play_open(struct play *play)
{
    play->dice = dice_make();
    memset(play->deleted, 0, sizeof play->deleted);
    corpus_make(&play->dice, RECORDS, &play->corpus);
    corpus_serve(&play->corpus, &play->served);
}

static void play_close(struct play *play)
{
    corpus_stop(&play->served);
    corpus_free(&play->corpus);
}

/* Far more messages than are gone through between two looks at the clock, and no time. */
Test(query, who_closes_waits_for_no_query)
{
    enum { MANY = 3000 };
    struct corpus_flume served;
    struct filter filter = { 0 };
    struct query query;
    int64_t seqs[4];
    const char **texts = calloc(MANY, sizeof *texts);
    for (size_t i = 0; i < MANY; i++)
        texts[i] = i % 2 == 0 ? "{\"key\":\"%a\",\"value\":{\"content\":{\"type\":\"post\"}}}"
                              : "{\"key\":\"%a\",\"value\":{\"content\":{\"type\":\"vote\",\"channel\":\"ssb\"}}}";
    corpus_serve_texts(texts, MANY, &served);
    cr_assert_eq(filter_set(&filter, "type", "post", 4), OK);
    cr_assert_eq(filter_set(&filter, "channel", "ssb", 3), OK);
    cr_assert_eq(query_open(served.flume, &filter, &LOG_RANGE_ALL, &query), OK);
    const struct query again = query;
    cr_expect_eq(query_next(&query, served.flume, seqs, 4), 0);
    flume_give_up(served.flume);
    query = again;
    cr_expect_eq(query_next(&query, served.flume, seqs, 4), ERR_CLOSED);
    corpus_stop(&served);
    free(texts);
}

static void add_random_term(struct play *play, struct filter *filter)
{
    static const char *const types[] = { "post", "about", "vote", "", "none" },
                             *const channels[] = { "ssb", "#Solarpunk", "åäö" },
                             *const rels[] = { "mentions", "root", "vote", "about", "branch" },
                             *const flags[] = { "true", "false" };
    struct dice *dice = &play->dice;
    char id[REF_TEXT_MAX + 1];
    const char *name = "type", *text = types[dice_roll(dice, 5)];
    static const char *const searches[] = {
        "hello",
        "hel*",
        "\"hello boat\"",
        "\"boat hello\"",
        "BOAT",
        "h*",
        "boat café",
        "猫",
        "猫犬",
        "\"小猫犬\"",
        "after:2020",
        "before:2020-09-13T12:26:41Z",
        "type:post",
        "\"ssb 猫\"",
        "channel:ssb bo*",
        "nothing-like-this",
        "x*",
        "after:2020 hello type:post",
    };
    switch (dice_roll(dice, 10)) {
    case 8:
    case 9: name = "q", text = searches[dice_roll(dice, sizeof searches / sizeof *searches)]; break;
    case 0: name = "private", text = flags[dice_roll(dice, 2)]; break;
    case 1: name = "channel", text = channels[dice_roll(dice, 3)]; break;
    case 2: name = "rel", text = rels[dice_roll(dice, 5)]; break;
    case 3: name = "author", text = id, corpus_text(REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS), id); break;
    case 4: name = "dest", text = id, corpus_text(REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS), id); break;
    case 6: name = "contact", text = id, corpus_text(REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS), id); break;
    case 5: name = "root", text = id, corpus_text(REF_MESSAGE, (unsigned)dice_roll(dice, 6), id); break;
    default: break;
    }
    (void)filter_set(filter, name, text, strlen(text)); /* twice the same, or empty: then it is left out */
}

static struct log_range random_range(struct play *play)
{
    struct log_range range = LOG_RANGE_ALL;
    size_t a = dice_roll(&play->dice, RECORDS), b = dice_roll(&play->dice, RECORDS);
    if (dice_roll(&play->dice, 2) == 0) range.min = play->corpus.records[a].seq;
    if (dice_roll(&play->dice, 2) == 0) range.max = play->corpus.records[b].seq;
    range.reverse = dice_roll(&play->dice, 2) == 0;
    return range;
}

static size_t naive(struct play *play, const struct filter *filter, const struct log_range *range, int64_t *seqs)
{
    size_t count = 0;
    for (size_t n = 0; n < RECORDS; n++) {
        size_t i = range->reverse ? RECORDS - 1 - n : n;
        const struct view_record *record = &play->corpus.records[i];
        if (record->seq < range->min || record->seq > range->max || play->deleted[i]) continue;
        if (filter_match(filter, record->message)) seqs[count++] = record->seq;
    }
    return count;
}

static void check_one(struct play *play)
{
    struct filter filter = { 0 };
    struct query query;
    int64_t expected[RECORDS], got[RECORDS + 1];
    for (uint64_t i = dice_roll(&play->dice, 4); i > 0; i--)
        add_random_term(play, &filter);
    const struct log_range range = random_range(play);
    size_t count = naive(play, &filter, &range, expected), have = 0;
    PLAY_ASSERT(play, query_open(play->served.flume, &filter, &range, &query) == OK);
    for (int n = 1; n > 0;) {
        size_t max = 1 + dice_roll(&play->dice, dice_roll(&play->dice, 2) == 0 ? 5 : RECORDS);
        if (max > RECORDS + 1 - have) max = RECORDS + 1 - have;
        n = query_next(&query, play->served.flume, got + have, max);
        PLAY_ASSERT(play, n >= 0);
        have += (size_t)n;
    }
    PLAY_ASSERT(play, have == count && memcmp(got, expected, count * sizeof got[0]) == 0);
    bool over = range.reverse || range.max < SEQ_MAX;
    PLAY_ASSERT(play, query.ended == over);
    PLAY_ASSERT(play, query_next(&query, play->served.flume, got, 1) == 0);
}

Test(query, answers_what_a_loop_with_the_live_filter_answers)
{
    struct play play;
    play_open(&play);
    for (int round = 0; round < 1500; round++)
        check_one(&play);
    play_close(&play);
}

Test(query, deleted_records_are_left_out)
{
    struct play play;
    play_open(&play);
    for (size_t i = 0; i < RECORDS; i++) {
        if (dice_roll(&play.dice, 4) != 0) continue;
        corpus_delete(&play.served, play.corpus.records[i].seq);
        play.deleted[i] = true;
    }
    for (int round = 0; round < 500; round++)
        check_one(&play);
    play_close(&play);
}

static const char post[] = "{\"value\":{\"content\":{\"type\":\"post\"}}}";
static const char vote[] = "{\"value\":{\"content\":{\"type\":\"vote\"}}}";

static int64_t append(struct corpus_flume *served, const char *text)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(served->flume, text, false, &seq), OK);
    corpus_settle(served);
    return seq;
}

static struct filter filter_of(const char *name, const char *text)
{
    struct filter filter = { 0 };
    if (name != NULL) cr_assert_eq(filter_set(&filter, name, text, strlen(text)), OK);
    return filter;
}

/* A query that has answered all there is goes on with what comes. */
static void check_growth(const char *name, const char *text)
{
    const char *const texts[] = { post, vote, post };
    struct corpus_flume served;
    struct query query;
    int64_t seqs[8];
    struct filter filter = filter_of(name, text);
    corpus_serve_texts(texts, 3, &served);
    cr_assert_eq(query_open(served.flume, &filter, &LOG_RANGE_ALL, &query), OK);
    int first = query_next(&query, served.flume, seqs, 8);
    cr_assert_gt(first, 0);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(query_next(&query, served.flume, seqs, 8), 0);
        cr_assert_not(query.ended);
        (void)append(&served, vote);
        int64_t seq = append(&served, post);
        int n = query_next(&query, served.flume, seqs, 8);
        cr_assert_eq(n, name != NULL && strcmp(name, "type") == 0 ? 1 : 2);
        cr_assert_eq(seqs[n - 1], seq);
    }
    corpus_stop(&served);
}

Test(query, goes_on_when_the_log_grows)
{
    check_growth("type", "post");
    check_growth("private", "false");
    check_growth(NULL, NULL);
}

Test(query, backwards_leaves_out_what_came_after_its_first_answer)
{
    const char *const texts[] = { post, vote, post };
    const char *const names[] = { "type", "private", NULL }, *const values[] = { "post", "false", NULL };
    const struct log_range newest_first = { 0, SEQ_MAX, true };
    for (size_t i = 0; i < 3; i++) {
        struct corpus_flume served;
        struct query query;
        int64_t seq = SEQ_MAX, next;
        struct filter filter = filter_of(names[i], values[i]);
        corpus_serve_texts(texts, 3, &served);
        cr_assert_eq(query_open(served.flume, &filter, &newest_first, &query), OK);
        cr_assert_eq(query_next(&query, served.flume, &seq, 1), 1);
        (void)append(&served, post);
        int n;
        while ((n = query_next(&query, served.flume, &next, 1)) == 1) {
            cr_assert_lt(next, seq);
            seq = next;
        }
        cr_assert_eq(n, 0);
        cr_assert_eq(seq, 0);
        cr_assert(query.ended);
        corpus_stop(&served);
    }
}

Test(query, a_range_above_the_head_waits_for_what_comes)
{
    const char *const texts[] = { post, vote };
    const char *const names[] = { "type", "private", NULL }, *const values[] = { "post", "false", NULL };
    for (size_t i = 0; i < 3; i++) {
        struct corpus_flume served;
        struct query query;
        int64_t seq;
        struct filter filter = filter_of(names[i], values[i]);
        corpus_serve_texts(texts, 2, &served);
        const struct log_range above = { flume_head(served.flume) + 1, SEQ_MAX, false };
        cr_assert_eq(query_open(served.flume, &filter, &above, &query), OK);
        cr_assert_eq(query_next(&query, served.flume, &seq, 1), 0);
        int64_t expected = append(&served, post);
        cr_assert_eq(query_next(&query, served.flume, &seq, 1), 1);
        cr_assert_eq(seq, expected);
        cr_assert_eq(query_next(&query, served.flume, &seq, 1), 0);
        corpus_stop(&served);
    }
}

Test(query, an_empty_log)
{
    struct corpus_flume served;
    struct query query;
    int64_t seq;
    struct filter filter = filter_of("type", "post");
    corpus_serve_texts(NULL, 0, &served);
    cr_assert_eq(query_open(served.flume, &filter, &LOG_RANGE_ALL, &query), OK);
    cr_assert_eq(query_next(&query, served.flume, &seq, 1), 0);
    cr_assert_eq(query_open(served.flume, &filter, &(struct log_range){ 0, SEQ_MAX, true }, &query), OK);
    cr_assert_eq(query_next(&query, served.flume, &seq, 1), 0);
    cr_assert(query.ended);
    corpus_stop(&served);
}
