#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"
#include "views/view_messages.h"

#define RECORDS 300

struct play {
    struct dice dice;
    struct corpus corpus;
    struct corpus_flume served;
    bool deleted[RECORDS];
};

#define PLAY_ASSERT(play, condition) \
    cr_assert(condition, "SLUICE_TEST_SEED=%llu: " #condition, (unsigned long long)(play)->dice.seed)

static int64_t naive(const struct play *play, const struct ref *id)
{
    for (size_t i = 0; i < RECORDS; i++)
        if (!play->deleted[i] && ref_equal(&play->corpus.messages[i].id, id)) return play->corpus.records[i].seq;
    return SEQ_EMPTY;
}

static void check_all(struct play *play, struct flume *flume)
{
    struct flume_read read;
    PLAY_ASSERT(play, flume_read_begin(flume, &read) == OK);
    for (unsigned n = 0; n < CORPUS_MESSAGES + 4; n++) {
        struct ref id;
        struct log_record record;
        corpus_ref(REF_MESSAGE, n, &id);
        int64_t expected = naive(play, &id);
        int err = messages_find(&read, &id, &record);
        PLAY_ASSERT(play, err == (expected == SEQ_EMPTY ? ERR_NOTFOUND : OK));
        PLAY_ASSERT(play, err != OK || record.seq == expected);
    }
    flume_read_end(&read);
}

Test(view_messages, finds_the_first_record_of_an_id)
{
    struct play play = { .dice = dice_make() };
    corpus_make(&play.dice, RECORDS, &play.corpus);
    corpus_serve(&play.corpus, &play.served);
    check_all(&play, play.served.flume);
    for (size_t i = 0; i < RECORDS; i++)
        if (dice_roll(&play.dice, 3) == 0) {
            corpus_delete(&play.served, play.corpus.records[i].seq);
            play.deleted[i] = true;
        }
    check_all(&play, play.served.flume);
    corpus_stop(&play.served);
    corpus_free(&play.corpus);
}

/* Each record stands in another unit of the log, or shares one with a few: ids move from run to run. */
static void grow(int64_t gap)
{
    struct play play = { .dice = dice_make() };
    struct fake_disk *disk = fake_disk_make(true);
    char *dir = scratch_make();
    struct flume_options options = kit_options(disk, dir, NULL);
    options.views = NULL;
    options.follow_path = dir;
    fake_disk_spread(disk, gap);
    corpus_make(&play.dice, RECORDS, &play.corpus);
    memset(play.deleted, 1, sizeof play.deleted); /* not there yet */
    struct flume *flume = kit_open(&options);
    for (size_t i = 0; i < RECORDS; i++) {
        play.corpus.records[i].seq = fake_disk_write(disk, play.corpus.texts[i]);
        play.deleted[i] = false;
        if (dice_roll(&play.dice, 16) > 0 && i + 1 < RECORDS) continue;
        PLAY_ASSERT(&play, kit_wait(flume, VIEW_MASK(messages), play.corpus.records[i].seq, KIT_WAIT_MS) == OK);
        check_all(&play, flume);
    }
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
    corpus_free(&play.corpus);
}

Test(view_messages, are_found_while_their_runs_are_joined)
{
    grow((INT64_C(1) << 22) + 1);
    grow((INT64_C(1) << 24) + 1);
    grow((INT64_C(1) << 27) + 1); /* more runs than are asked at once */
}

Test(view_messages, an_id_that_only_begins_alike_is_not_found)
{
    struct corpus_flume served;
    struct flume_read read;
    struct log_record record;
    struct ref id;
    char text[REF_TEXT_MAX + 1], line[200];
    corpus_text(REF_MESSAGE, 2, text);
    (void)snprintf(line, sizeof line, "{\"key\":\"%s\",\"value\":{}}", text);
    const char *const texts[] = { line };
    corpus_serve_texts(texts, 1, &served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    corpus_ref(REF_MESSAGE, 2, &id);
    cr_assert_eq(messages_find(&read, &id, &record), OK);
    corpus_ref(REF_MESSAGE, 3, &id);
    cr_assert_eq(messages_find(&read, &id, &record), ERR_NOTFOUND);
    flume_read_end(&read);
    corpus_stop(&served);
}

Test(view_messages, an_id_written_with_escapes_is_found)
{
    struct corpus_flume served;
    struct flume_read read;
    struct log_record record;
    struct ref id;
    char text[REF_TEXT_MAX + 1], line[200];
    corpus_text(REF_MESSAGE, 7, text);
    (void)snprintf(line, sizeof line, "{\"key\":\"%%wrong\",\"k\\u0065y\":\"\\u0025%s\",\"value\":{}}", text + 1);
    const char *const texts[] = { line };
    corpus_serve_texts(texts, 1, &served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    corpus_ref(REF_MESSAGE, 7, &id);
    cr_assert_eq(messages_find(&read, &id, &record), OK);
    flume_read_end(&read);
    corpus_stop(&served);
}
