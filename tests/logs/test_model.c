/* Random operations on every kind of log, compared with the memory log after each. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/logs/rig.h"

#define STEPS 400
#define RECORDS_MAX 4000

struct play {
    struct rig *rig;
    struct log *model;
    struct dice dice;
    int64_t seqs[RECORDS_MAX]; /* of the rig; the model's are 0, 1, 2 … */
    bool deleted[RECORDS_MAX];
    size_t n;
    struct log_cursor tail; /* forward over everything, opened at the start, read now and then */
    size_t tail_n;
    char bytes[20000];
};

#define PLAY_ASSERT(play, condition)                                                  \
    cr_assert(condition, "%s, SLUICE_TEST_SEED=%llu: " #condition, (play)->rig->kind, \
              (unsigned long long)(play)->dice.seed)

static void play_append(struct play *play)
{
    struct slice values[8];
    int64_t seqs[8];
    size_t n = 1 + dice_roll(&play->dice, 8);
    if (play->n + n > RECORDS_MAX) return;
    for (size_t i = 0; i < n; i++) {
        size_t len = 1 + (dice_roll(&play->dice, 20) == 0 ? dice_roll(&play->dice, 9000) : dice_roll(&play->dice, 200));
        char *at = play->bytes + dice_roll(&play->dice, 10000);
        at[0] = (char)(1 + dice_roll(&play->dice, 255)); /* not all zero */
        values[i] = (struct slice){ at, len };
    }
    PLAY_ASSERT(play, log_append(play->rig->writer, values, n, seqs) == OK);
    PLAY_ASSERT(play, log_append(play->model, values, n, NULL) == OK);
    for (size_t i = 0; i < n; i++)
        play->seqs[play->n++] = seqs[i];
    rig_settle(play->rig);
}

/* As flumelog-offset deletes: zeros over the data, in place. */
static void play_delete(struct play *play)
{
    if (play->n == 0 || play->rig->folder == NULL) return;
    size_t i = dice_roll(&play->dice, play->n);
    struct log_record record;
    PLAY_ASSERT(play, log_get(play->model, (int64_t)i, &record) == OK);
    char *zeros = calloc(1, record.value.len);
    scratch_write_at(play->rig->path, zeros, record.value.len, play->seqs[i] + 4);
    free(zeros);
    play->deleted[i] = true;
    rig_settle(play->rig);
}

static bool same_record(struct play *play, const struct log_record *got, size_t i)
{
    struct log_record want;
    return log_get(play->model, (int64_t)i, &want) == OK && got->seq == play->seqs[i] &&
           got->value.len == want.value.len && memcmp(got->value.data, want.value.data, want.value.len) == 0;
}

static void play_get(struct play *play)
{
    struct log_record record;
    if (play->n == 0) return;
    size_t i = dice_roll(&play->dice, play->n);
    int err = log_get(play->rig->reader, play->seqs[i], &record);
    PLAY_ASSERT(play, err == (play->deleted[i] ? ERR_DELETED : OK));
    PLAY_ASSERT(play, err != OK || same_record(play, &record, i));
    int64_t between = play->seqs[i] + 1;
    if (play->rig->folder != NULL && i + 1 < play->n)
        PLAY_ASSERT(play, log_get(play->rig->reader, between, &record) == ERR_BOUNDARY);
}

static void play_scan(struct play *play, bool reverse)
{
    if (play->n == 0) return;
    size_t min = dice_roll(&play->dice, play->n);
    size_t max = min + dice_roll(&play->dice, play->n - min);
    struct log_range range = { play->seqs[min], play->seqs[max], reverse };
    struct log_cursor cursor;
    struct log_record record;
    PLAY_ASSERT(play, log_cursor_open(play->rig->reader, &range, &cursor) == OK);
    for (size_t k = 0; k <= max - min; k++) {
        size_t i = reverse ? max - k : min + k;
        if (play->deleted[i]) continue;
        PLAY_ASSERT(play, log_next(&cursor, &record) == 1);
        PLAY_ASSERT(play, same_record(play, &record, i));
    }
    PLAY_ASSERT(play, log_next(&cursor, &record) == 0 && cursor.ended);
}

/* The same in pieces of any size, some of them large enough for what reads ahead. */
static void play_many(struct play *play)
{
    static struct log_record records[4000];
    if (play->n == 0) return;
    size_t min = dice_roll(&play->dice, play->n);
    size_t max = min + dice_roll(&play->dice, play->n - min);
    struct log_range range = { play->seqs[min], play->seqs[max], dice_roll(&play->dice, 4) == 0 };
    struct log_cursor cursor;
    PLAY_ASSERT(play, log_cursor_open(play->rig->reader, &range, &cursor) == OK);
    size_t pieces =
        dice_roll(&play->dice, 3) == 0 ? 1 + dice_roll(&play->dice, 20) : 256 + dice_roll(&play->dice, 3744);
    size_t at = 0, got = 0;
    for (size_t k = 0; k <= max - min; k++) {
        size_t i = range.reverse ? max - k : min + k;
        if (play->deleted[i]) continue;
        if (at == got) {
            int n = log_next_many(&cursor, records, pieces);
            PLAY_ASSERT(play, n > 0 && (size_t)n <= pieces);
            got = (size_t)n;
            at = 0;
        }
        PLAY_ASSERT(play, same_record(play, &records[at++], i));
    }
    PLAY_ASSERT(play, at == got && log_next_many(&cursor, records, pieces) == 0 && cursor.ended);
}

static void play_tail(struct play *play)
{
    struct log_record record;
    for (; play->tail_n < play->n; play->tail_n++) {
        if (play->deleted[play->tail_n]) continue;
        PLAY_ASSERT(play, log_next(&play->tail, &record) == 1);
        PLAY_ASSERT(play, same_record(play, &record, play->tail_n));
    }
    PLAY_ASSERT(play, log_next(&play->tail, &record) == 0 && !play->tail.ended);
}

static void play_reopen(struct play *play)
{
    rig_reopen(play->rig);
    play->tail.log = play->rig->reader;
    int64_t last = play->n == 0 ? SEQ_EMPTY : play->seqs[play->n - 1];
    PLAY_ASSERT(play, log_since(play->rig->reader) == last);
}

static void check_play(struct rig *rig)
{
    struct play *play = calloc(1, sizeof *play);
    cr_assert_not_null(play);
    play->rig = rig;
    play->dice = dice_make();
    for (size_t i = 0; i < sizeof play->bytes; i++)
        play->bytes[i] = (char)dice_roll(&play->dice, 3);
    cr_assert_eq(log_memory_open(&play->model), OK);
    struct log_range all = LOG_RANGE_ALL;
    cr_assert_eq(log_cursor_open(rig->reader, &all, &play->tail), OK);
    for (int step = 0; step < STEPS; step++) {
        switch (dice_roll(&play->dice, 13)) {
        case 0: play_reopen(play); break;
        case 1: play_delete(play); break;
        case 2: play_tail(play); break;
        case 3:
        case 4: play_scan(play, true); break;
        case 5:
        case 6: play_scan(play, false); break;
        case 7:
        case 8: play_get(play); break;
        case 9: play_many(play); break;
        default: play_append(play); break;
        }
    }
    play_tail(play);
    log_close(play->model);
    free(play);
}

Test(logs, random_operations_agree_with_the_model, .timeout = 300)
{
    rig_each(check_play);
}
