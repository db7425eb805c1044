#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/private_record.h"
#include "tests/unit/views/play.h"
#include "views/view_record.h"
#include "views/view_types.h"

#define RECORDS 500

static struct slice type_of(const struct corpus *corpus, size_t i)
{
    return corpus->messages[i].type;
}

static bool same(struct slice a, struct slice b)
{
    return a.data != NULL && a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

Test(view_types, names_counts_and_newest_are_those_of_a_loop)
{
    struct play play;
    struct buf name;
    struct type_count found;
    uint64_t sum = 0, typed = 0;
    play_open(&play, RECORDS);
    buf_init(&name, 1000);
    struct term last;
    for (bool any = false; buf_reset(&name), types_next(&play.read, any ? &last : NULL, &name, &found) == 1;
         any = true) {
        uint64_t count = 0;
        int64_t newest = SEQ_EMPTY;
        for (size_t i = 0; i < RECORDS; i++) {
            if (!same(type_of(&play.corpus, i), (struct slice){ name.data == NULL ? "" : name.data, name.len }))
                continue;
            count++;
            newest = play.corpus.records[i].seq;
        }
        cr_assert(count == found.count && newest == found.seq, "SLUICE_TEST_SEED=%llu: %.*s",
                  (unsigned long long)play.dice.seed, (int)name.len, name.data);
        sum += count;
        last = found.term;
    }
    for (size_t i = 0; i < RECORDS; i++)
        typed += type_of(&play.corpus, i).data != NULL;
    cr_assert_eq(sum, typed, "SLUICE_TEST_SEED=%llu", (unsigned long long)play.dice.seed);
    buf_free(&name);
    play_close(&play);
}

Test(view_types, a_long_name_is_cut_when_all_its_messages_are_deleted)
{
    struct corpus_flume served;
    struct flume_read read;
    struct buf name;
    struct type_count found;
    char type[400], line[500];
    memset(type, 'x', sizeof type);
    type[399] = '\0';
    (void)snprintf(line, sizeof line, "{\"value\":{\"content\":{\"type\":\"%s\"}}}", type);
    const char *const texts[] = { line, "{}" };
    corpus_serve_texts(texts, 2, &served);
    buf_init(&name, 1000);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(types_next(&read, NULL, &name, &found), 1);
    cr_assert(name.len == 399 && found.count == 1 && found.seq == 0);
    corpus_delete(&served, 0);
    buf_reset(&name);
    cr_assert_eq(types_next(&read, NULL, &name, &found), 1);
    cr_assert(name.len > 100 && name.len < 200);
    cr_assert_eq(types_next(&read, &found.term, &name, &found), 0, "what is left of a name is no place in the list");
    buf_free(&name);
    flume_read_end(&read);
    corpus_stop(&served);
}

struct odd {
    const struct corpus *corpus;
    enum types_oddity oddity;
    size_t next;
    unsigned long long seed;
};

static bool is_odd(struct slice record, enum types_oddity oddity)
{
    struct slice format;
    bool box1 = record_is_line(record) && record.len >= ODD_BOX1_BYTES_MIN && private_record_format(record, &format) &&
                same(format, SLICE_LITERAL("box1"));
    return !record_is_plain(record) && box1 == (oddity == ODD_BOX1);
}

static int odd_is_next(void *ctx, int64_t seq)
{
    struct odd *odd = ctx;
    while (odd->next < RECORDS && !is_odd(odd->corpus->messages[odd->next].record, odd->oddity))
        odd->next++;
    cr_assert_lt(odd->next, RECORDS, "SLUICE_TEST_SEED=%llu", odd->seed);
    cr_assert_eq(odd->corpus->records[odd->next].seq, seq, "SLUICE_TEST_SEED=%llu", odd->seed);
    odd->next++;
    return OK;
}

/* Answers how many there are. */
static size_t check_odd(const struct corpus *corpus, const struct flume_read *read, enum types_oddity oddity,
                        size_t from, unsigned long long seed)
{
    struct odd odd = { corpus, oddity, from, seed };
    size_t count = 0;
    cr_assert_eq(types_odd(read, oddity, corpus->records[from].seq, odd_is_next, &odd), OK);
    while (odd.next < RECORDS)
        cr_assert(!is_odd(corpus->messages[odd.next++].record, oddity), "SLUICE_TEST_SEED=%llu", seed);
    for (size_t i = from; i < RECORDS; i++)
        count += is_odd(corpus->messages[i].record, oddity);
    return count;
}

Test(view_types, records_that_are_not_plain_are_those_of_a_loop)
{
    struct play play;
    play_open(&play, RECORDS);
    size_t box1 = check_odd(&play.corpus, &play.read, ODD_BOX1, 0, play.dice.seed);
    size_t other = check_odd(&play.corpus, &play.read, ODD_OTHER, 0, play.dice.seed);
    cr_assert(box1 > 0 && other > 0, "SLUICE_TEST_SEED=%llu", (unsigned long long)play.dice.seed);
    for (size_t from = 0; from < RECORDS; from += 1 + dice_roll(&play.dice, 90)) {
        (void)check_odd(&play.corpus, &play.read, ODD_BOX1, from, play.dice.seed);
        (void)check_odd(&play.corpus, &play.read, ODD_OTHER, from, play.dice.seed);
    }
    play_close(&play);
}
