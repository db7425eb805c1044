/* Long builds: what threads gather and the indexer writes must be what the records give one after the other, in one run of a list or in many. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"
#include "views/filter.h"
#include "views/view_messages.h"
#include "views/view_store.h"

#define RECORDS 11000 /* more than the indexer gathers itself */

struct play {
    struct dice dice;
    struct corpus corpus;
    struct fake_disk *disk;
    char *dir;
    struct flume_options options;
    struct flume *flume;
};

#define PLAY_ASSERT(play, condition)                                                                          \
    cr_assert(condition, "SLUICE_TEST_SEED=%llu: " #condition " (%s)", (unsigned long long)(play)->dice.seed, \
              err_detail(OK))

static void play_write(struct play *play, size_t i)
{
    play->corpus.records[i].seq = fake_disk_write(play->disk, play->corpus.texts[i]);
}

/* `gap` as fake_disk_spread; the first `count` records are written, the views are not built. */
static void play_open_part(struct play *play, int64_t gap, size_t count, bool falls_behind)
{
    *play = (struct play){ .dice = dice_make(), .disk = fake_disk_make(true), .dir = scratch_make() };
    corpus_make(&play->dice, RECORDS, &play->corpus);
    fake_disk_spread(play->disk, gap);
    for (size_t i = 0; i < count; i++)
        play_write(play, i);
    play->options = kit_options(play->disk, play->dir, NULL);
    play->options.views = NULL;
    play->options.follow_path = play->dir;
    play->options.gather_max = 500 + dice_roll(&play->dice, 5000);
    if (falls_behind)
        play->options.late = (struct flume_late_limits){ 1 + (unsigned)dice_roll(&play->dice, 5),
                                                         1 + (unsigned)dice_roll(&play->dice, 50),
                                                         1 + (int64_t)dice_roll(&play->dice, 1 << 20) };
    play->flume = kit_open(&play->options);
}

static void play_open(struct play *play, int64_t gap)
{
    play_open_part(play, gap, RECORDS, false);
}

static void play_close(struct play *play)
{
    flume_close(play->flume);
    fake_disk_free(play->disk);
    scratch_remove(play->dir);
    corpus_free(&play->corpus);
}

static void play_settle(struct play *play)
{
    PLAY_ASSERT(play, kit_wait_head(play->flume, (UINT32_C(1) << VIEW_COUNT) - 1) == OK);
}

/* The bytes that a view has if all records are applied at once, without a flume. */
static struct buf dump_applied(struct play *play, const struct view_ops *ops)
{
    struct corpus_kv store;
    struct kv_txn *txn;
    struct view view;
    struct buf dump;
    buf_init(&dump, (size_t)1 << 30);
    corpus_kv_open(&store);
    PLAY_ASSERT(play, kv_begin_write(store.kv, &txn) == OK);
    PLAY_ASSERT(play, view_store_open(txn, ops, &view) == OK);
    PLAY_ASSERT(play, view_store_apply(txn, &view, play->corpus.records, RECORDS) == OK);
    PLAY_ASSERT(play, kv_commit(txn) == OK);
    PLAY_ASSERT(play, kv_begin_read(store.kv, &txn) == OK);
    corpus_dump(txn, &view, &dump);
    kv_abort(txn);
    corpus_kv_close(&store);
    return dump;
}

static void check_views(struct play *play)
{
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        struct flume_read read;
        struct buf built, applied = dump_applied(play, view_list[i]);
        const struct view *view = flume_view(play->flume, (enum view_id)i);
        buf_init(&built, (size_t)1 << 30);
        PLAY_ASSERT(play, flume_read_begin(play->flume, &read) == OK);
        corpus_dump(read.txn, view, &built);
        flume_read_end(&read);
        cr_assert(built.len == applied.len && memcmp(built.data, applied.data, built.len) == 0,
                  "SLUICE_TEST_SEED=%llu: the view %s differs", (unsigned long long)play->dice.seed,
                  view_list[i]->name);
        buf_free(&built);
        buf_free(&applied);
    }
}

static void check_ids(struct play *play)
{
    struct flume_read read;
    PLAY_ASSERT(play, flume_read_begin(play->flume, &read) == OK);
    for (unsigned n = 0; n < CORPUS_MESSAGES + 4; n++) {
        struct ref id;
        struct log_record record;
        size_t i = 0;
        corpus_ref(REF_MESSAGE, n, &id);
        while (i < RECORDS && !ref_equal(&play->corpus.messages[i].id, &id))
            i++;
        int err = messages_find(&read, &id, &record);
        PLAY_ASSERT(play, err == (i == RECORDS ? ERR_NOTFOUND : OK));
        PLAY_ASSERT(play, err != OK || record.seq == play->corpus.records[i].seq);
    }
    flume_read_end(&read);
}

static void check_query(struct play *play, const char *name, const char *text, bool reverse)
{
    struct filter filter = { 0 };
    struct query query;
    struct log_range range = { 0, SEQ_MAX, reverse };
    int64_t seqs[100];
    size_t next = 0;
    PLAY_ASSERT(play, filter_set(&filter, name, text, strlen(text)) == OK);
    PLAY_ASSERT(play, query_open(play->flume, &filter, &range, &query) == OK);
    for (int n = 1; n > 0;) {
        n = query_next(&query, play->flume, seqs, 100);
        PLAY_ASSERT(play, n >= 0);
        for (int i = 0; i < n; i++, next++) {
            while (next < RECORDS &&
                   !filter_match(&filter, &play->corpus.messages[reverse ? RECORDS - 1 - next : next]))
                next++;
            PLAY_ASSERT(play, next < RECORDS);
            PLAY_ASSERT(play, seqs[i] == play->corpus.records[reverse ? RECORDS - 1 - next : next].seq);
        }
    }
    for (; next < RECORDS; next++)
        PLAY_ASSERT(play, !filter_match(&filter, &play->corpus.messages[reverse ? RECORDS - 1 - next : next]));
}

static void check_queries(struct play *play)
{
    char root[REF_TEXT_MAX + 1], author[REF_TEXT_MAX + 1];
    (void)corpus_text(REF_MESSAGE, 1, root);
    (void)corpus_text(REF_FEED, 2, author);
    for (int reverse = 0; reverse < 2; reverse++) {
        check_query(play, "type", "vote", reverse == 1);
        check_query(play, "private", "true", reverse == 1);
        check_query(play, "author", author, reverse == 1);
        check_query(play, "root", root, reverse == 1);
        check_query(play, "channel", "nowhere", reverse == 1);
    }
}

static void play_build(int64_t gap)
{
    struct play play;
    play_open(&play, gap);
    play_settle(&play);
    check_views(&play);
    check_ids(&play);
    check_queries(&play);
    play_close(&play);
}

Test(flume_build, threads_give_what_one_batch_gives)
{
    play_build(0);
}

Test(flume_build, runs_end_amid_the_records)
{
    play_build(INT64_C(1) << 15);
}

Test(flume_build, every_few_records_have_a_group_of_runs_of_their_own)
{
    play_build(INT64_C(1) << 24);
}

/* Views that rest while others go on, and catch up in leaps that end where chance has it. */
Test(flume_build, views_that_fall_behind_give_what_one_batch_gives)
{
    struct play play;
    size_t at = RECORDS / 20;
    play_open_part(&play, 1000, at, true);
    while (at < RECORDS) {
        for (size_t n = 1 + dice_roll(&play.dice, 200); n > 0 && at < RECORDS; n--)
            play_write(&play, at++);
        uint32_t wanted = dice_roll(&play.dice, 8) == 0 ? VIEW_MASK(search) : VIEW_MASK(types);
        PLAY_ASSERT(&play, kit_wait_head(play.flume, wanted) == OK);
    }
    play_settle(&play);
    check_views(&play);
    play_close(&play);
}

Test(flume_build, a_rebuild_that_is_asked_for_again_and_again_ends_well)
{
    struct play play;
    play_open(&play, 1000);
    for (int i = 0; i < 12; i++) {
        usleep((unsigned)dice_roll(&play.dice, 30000));
        const char *name = view_list[dice_roll(&play.dice, VIEW_COUNT)]->name;
        int err = flume_rebuild(play.flume, (i & 3) == 0 ? NULL : name);
        PLAY_ASSERT(&play, err == OK);
    }
    play_settle(&play);
    check_views(&play);
    play_close(&play);
}

Test(flume_build, closing_amid_a_build_keeps_what_was_written)
{
    struct play play;
    play_open(&play, 1000);
    for (int i = 0; i < 8; i++) {
        usleep((unsigned)dice_roll(&play.dice, 15000));
        flume_close(play.flume);
        play.options.gather_max = 500 + dice_roll(&play.dice, 5000);
        play.flume = kit_open(&play.options);
    }
    play_settle(&play);
    check_views(&play);
    play_close(&play);
}
