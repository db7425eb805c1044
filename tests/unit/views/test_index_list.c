#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/index_list.h"

#define TERMS 4
#define ENTRIES_MAX 8000

/* The model: per term an array that is kept sorted by insertion. */
struct model {
    struct dice dice;
    struct corpus_kv store;
    kv_table table;
    bool payload;
    struct model_list {
        struct list_entry *entries;
        size_t count;
    } lists[TERMS];
};

#define MODEL_ASSERT(model, condition) \
    cr_assert(condition, "SLUICE_TEST_SEED=%llu: " #condition, (unsigned long long)(model)->dice.seed)

static struct term term_of(size_t n)
{
    static const char *const names[TERMS] = { "a", "ab", "b", "zz" };
    struct term term;
    term_of_string(names[n], strlen(names[n]), &term);
    return term;
}

static void model_open(struct model *model, bool payload)
{
    struct kv_txn *txn;
    *model = (struct model){ .dice = dice_make(), .payload = payload };
    corpus_kv_open(&model->store);
    cr_assert_eq(kv_begin_write(model->store.kv, &txn), OK);
    cr_assert_eq(kv_table_open(txn, "list", false, &model->table), OK);
    cr_assert_eq(kv_commit(txn), OK);
    for (size_t i = 0; i < TERMS; i++)
        model->lists[i].entries = calloc(ENTRIES_MAX, sizeof(struct list_entry));
}

static void model_close(struct model *model)
{
    corpus_kv_close(&model->store);
    for (size_t i = 0; i < TERMS; i++)
        free(model->lists[i].entries);
}

static void model_insert(struct model *model, size_t n, struct list_entry entry)
{
    struct model_list *list = &model->lists[n];
    size_t at = list->count++;
    MODEL_ASSERT(model, at < ENTRIES_MAX);
    for (; at > 0 && list->entries[at - 1].at > entry.at; at--)
        list->entries[at] = list->entries[at - 1];
    list->entries[at] = entry;
}

static void model_write(struct model *model, struct list_batch *batch)
{
    struct kv_txn *txn;
    MODEL_ASSERT(model, kv_begin_write(model->store.kv, &txn) == OK);
    MODEL_ASSERT(model, list_batch_write(batch, txn, model->table) == OK);
    MODEL_ASSERT(model, kv_commit(txn) == OK);
}

static void model_add(struct model *model, struct list_batch *batch, size_t n, uint64_t at, uint64_t payload)
{
    struct term term = term_of(n);
    MODEL_ASSERT(model, list_batch_add(batch, &term, at, payload) == OK);
    model_insert(model, n, (struct list_entry){ at, model->payload ? payload : 0 });
}

static bool same_entry(struct list_entry a, struct list_entry b)
{
    return a.at == b.at && a.payload == b.payload;
}

static struct list_iter iter_open(struct model *model, struct kv_txn *txn, size_t n, bool reverse)
{
    struct list_iter iter;
    struct term term = term_of(n);
    MODEL_ASSERT(model, list_iter_open(txn, model->table, model->payload, &term, reverse, &iter) == OK);
    return iter;
}

static void check_walk(struct model *model, struct kv_txn *txn, size_t n, bool reverse)
{
    const struct model_list *list = &model->lists[n];
    struct list_iter iter = iter_open(model, txn, n, reverse);
    struct list_entry entry;
    for (size_t i = 0; i < list->count; i++) {
        MODEL_ASSERT(model, list_next(&iter, &entry) == 1);
        MODEL_ASSERT(model, same_entry(entry, list->entries[reverse ? list->count - 1 - i : i]));
    }
    MODEL_ASSERT(model, list_next(&iter, &entry) == 0);
    MODEL_ASSERT(model, list_next(&iter, &entry) == 0);
    list_iter_close(&iter);
}

/* Where a seek must arrive; -1 = nowhere. */
static long model_seek(const struct model_list *list, uint64_t at, bool reverse)
{
    if (reverse) {
        long i = (long)list->count - 1;
        while (i >= 0 && list->entries[i].at > at)
            i--;
        return i;
    }
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].at >= at) return (long)i;
    return -1;
}

static uint64_t random_target(struct model *model, const struct model_list *list)
{
    if (list->count == 0 || dice_roll(&model->dice, 20) == 0) return dice_roll(&model->dice, 2) == 0 ? 0 : UINT64_MAX;
    uint64_t at = list->entries[dice_roll(&model->dice, list->count)].at;
    return at + dice_roll(&model->dice, 3) - (at > 0 ? 1 : 0);
}

static void check_seeks(struct model *model, struct kv_txn *txn, size_t n, bool reverse)
{
    const struct model_list *list = &model->lists[n];
    struct list_iter iter = iter_open(model, txn, n, reverse);
    struct list_entry entry;
    for (int round = 0; round < 60; round++) {
        uint64_t at = random_target(model, list);
        long i = model_seek(list, at, reverse);
        int found = list_seek(&iter, at, &entry);
        MODEL_ASSERT(model, found == (i >= 0));
        for (int steps = (int)dice_roll(&model->dice, 4); found == 1 && steps > 0; steps--) {
            MODEL_ASSERT(model, same_entry(entry, list->entries[i]));
            i += reverse ? -1 : 1;
            found = list_next(&iter, &entry);
            MODEL_ASSERT(model, found == (i >= 0 && (size_t)i < list->count));
        }
    }
    list_iter_close(&iter);
}

static void check_terms(struct model *model, struct kv_txn *txn)
{
    struct term term, after;
    uint64_t count, last;
    bool started = false;
    for (size_t n = 0; n < TERMS; n++) {
        const struct model_list *list = &model->lists[n];
        struct term expected = term_of(n);
        MODEL_ASSERT(model,
                     list_count(txn, model->table, model->payload, &expected, &count) == OK && count == list->count);
        if (list->count == 0) continue;
        MODEL_ASSERT(model, list_next_term(txn, model->table, model->payload, started ? &after : NULL, &term, &count,
                                           &last) == 1);
        MODEL_ASSERT(model, term_equal(&term, &expected) && count == list->count);
        MODEL_ASSERT(model, last == list->entries[list->count - 1].at);
        after = term;
        started = true;
    }
    MODEL_ASSERT(model,
                 list_next_term(txn, model->table, model->payload, started ? &after : NULL, &term, &count, &last) == 0);
}

struct seen {
    struct model *model;
    const size_t *numbers; /* of the terms that were asked for; TERMS = none of the model's */
    size_t counts[2 * TERMS];
};

static int each_seen(void *ctx, size_t i, const struct list_entry *entries, size_t count)
{
    struct seen *seen = ctx;
    struct model *model = seen->model;
    MODEL_ASSERT(model, seen->numbers[i] < TERMS);
    const struct model_list *list = &model->lists[seen->numbers[i]];
    for (size_t k = 0; k < count; k++) {
        MODEL_ASSERT(model, seen->counts[i] < list->count);
        MODEL_ASSERT(model, same_entry(entries[k], list->entries[seen->counts[i]++]));
    }
    return OK;
}

/* All terms at once, or some of them, among others that are not there. */
static void check_each(struct model *model, struct kv_txn *txn)
{
    static const char *const strange[TERMS] = { "A", "aa", "ac", "y" };
    struct term terms[2 * TERMS];
    struct slice slices[2 * TERMS];
    size_t numbers[2 * TERMS], count = 0;
    for (size_t n = 0; n < TERMS; n++) {
        bool there = dice_roll(&model->dice, 3) > 0, other = dice_roll(&model->dice, 3) > 0;
        if (other) {
            term_of_string(strange[n], strlen(strange[n]), &terms[count]);
            numbers[count++] = TERMS;
        }
        if (!there) continue;
        terms[count] = term_of(n);
        numbers[count++] = n;
    }
    for (size_t i = 0; i < count; i++) {
        slices[i] = (struct slice){ (const char *)terms[i].bytes, terms[i].len };
        MODEL_ASSERT(model, i == 0 || memcmp(terms[i - 1].bytes, terms[i].bytes, terms[i - 1].len) < 0);
    }
    struct seen seen = { .model = model, .numbers = numbers };
    MODEL_ASSERT(model, list_each(txn, model->table, slices, count, each_seen, &seen) == OK);
    for (size_t i = 0; i < count; i++)
        MODEL_ASSERT(model, numbers[i] == TERMS || seen.counts[i] == model->lists[numbers[i]].count);
}

static void model_check(struct model *model)
{
    struct kv_txn *txn;
    MODEL_ASSERT(model, kv_begin_read(model->store.kv, &txn) == OK);
    for (size_t n = 0; n < TERMS; n++)
        for (int reverse = 0; reverse < 2; reverse++) {
            check_walk(model, txn, n, reverse == 1);
            check_seeks(model, txn, n, reverse == 1);
        }
    check_terms(model, txn);
    for (int round = 0; round < 8 && !model->payload; round++)
        check_each(model, txn);
    kv_abort(txn);
}

static struct buf model_dump(struct model *model)
{
    struct kv_txn *txn;
    struct buf dump;
    buf_init(&dump, 1 << 26);
    MODEL_ASSERT(model, kv_begin_read(model->store.kv, &txn) == OK);
    corpus_dump_postings(txn, model->table, &dump);
    kv_abort(txn);
    return dump;
}

/* What is stored must be what one batch of all entries gives. */
static void check_layout(struct model *model)
{
    struct buf grown = model_dump(model);
    struct list_batch *batch;
    struct kv_txn *txn;
    MODEL_ASSERT(model, kv_begin_write(model->store.kv, &txn) == OK);
    MODEL_ASSERT(model, kv_clear(txn, model->table) == OK);
    MODEL_ASSERT(model, kv_commit(txn) == OK);
    MODEL_ASSERT(model, list_batch_new(model->payload, &batch) == OK);
    for (size_t n = 0; n < TERMS; n++) {
        struct term term = term_of(n);
        for (size_t i = 0; i < model->lists[n].count; i++) {
            struct list_entry entry = model->lists[n].entries[i];
            MODEL_ASSERT(model, list_batch_add(batch, &term, entry.at, entry.payload) == OK);
        }
    }
    model_write(model, batch);
    struct buf whole = model_dump(model);
    MODEL_ASSERT(model, grown.len == whole.len && memcmp(grown.data, whole.data, whole.len) == 0);
    list_batch_free(batch);
    buf_free(&grown);
    buf_free(&whole);
}

/* `late` of 10 entries do not belong at the end; steps are 0 (the same again) up to `step`. */
static void play(bool payload, uint64_t late, uint64_t step, uint64_t batch_max)
{
    struct model model;
    struct list_batch *batch;
    uint64_t end = 0;
    model_open(&model, payload);
    MODEL_ASSERT(&model, list_batch_new(payload, &batch) == OK);
    for (size_t total = 0; total < 5000;) {
        size_t n = 1 + dice_roll(&model.dice, batch_max);
        for (size_t i = 0; i < n; i++) {
            bool behind = dice_roll(&model.dice, 10) >= late;
            end += behind ? dice_roll(&model.dice, step + 1) : 0;
            uint64_t at = behind || end == 0 ? end : dice_roll(&model.dice, end);
            model_add(&model, batch, dice_roll(&model.dice, TERMS - 1), at, dice_roll(&model.dice, 1000000));
        }
        model_write(&model, batch);
        total += n;
    }
    model_check(&model);
    check_layout(&model);
    list_batch_free(batch);
    model_close(&model);
}

Test(index_list, appended_entries_are_found)
{
    play(false, 0, 3, 400);
    play(false, 0, UINT64_C(1) << 40, 60);
}

Test(index_list, entries_one_by_one)
{
    play(false, 0, 200, 1);
}

/* Units of the log and groups of them end amid batches, between them, and with nothing of a term inside. */
Test(index_list, runs_are_joined_as_the_log_grows)
{
    const uint64_t unit = UINT64_C(1) << RUN_UNIT_BITS;
    play(false, 0, unit / 8, 300);
    play(false, 0, unit / 2, 20);
    play(false, 0, unit, 1);
    play(false, 0, 40 * unit, 100);
    play(false, 2, unit / 4, 50);
    play(false, 1, 3 * unit, 200);
}

/* Adds n entries from `at` on, each `step` behind the one before, to random terms. */
static void model_add_some(struct model *model, struct list_batch *batch, uint64_t *at, uint64_t step, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *at += dice_roll(&model->dice, step + 1);
        model_add(model, batch, dice_roll(&model->dice, TERMS), *at, 0);
    }
}

static bool model_joins(struct model *model)
{
    struct kv_txn *txn;
    MODEL_ASSERT(model, kv_begin_read(model->store.kv, &txn) == OK);
    bool joins = corpus_joins(txn, model->table);
    kv_abort(txn);
    return joins;
}

/* From one unit on to another, up to `most` entries in a batch. Looks at all there is each time that some terms are moved and others are not; which ones, and where
 * the lists end, differs from run to run. */
static void play_joins(uint64_t from, uint64_t to, uint64_t step, uint64_t most)
{
    struct model model;
    struct list_batch *batch;
    uint64_t at = from;
    size_t seen = 0;
    model_open(&model, false);
    MODEL_ASSERT(&model, list_batch_new(false, &batch) == OK);
    while (at < to) {
        model_add_some(&model, batch, &at, step, 1 + dice_roll(&model.dice, most));
        model_write(&model, batch);
        if (!model_joins(&model)) continue;
        seen++;
        model_check(&model);
    }
    MODEL_ASSERT(&model, seen >= 3);
    check_layout(&model);
    list_batch_free(batch);
    model_close(&model);
}

Test(index_list, what_is_read_while_two_runs_are_joined)
{
    const uint64_t unit = UINT64_C(1) << RUN_UNIT_BITS;
    play_joins(30 * unit, 36 * unit, unit / 20, 2); /* a group ends in between */
    play_joins(3 * unit, 5 * unit, unit / 2000, 100);
}

static void write_with_late_ones(struct dice *dice)
{
    const uint64_t unit = UINT64_C(1) << RUN_UNIT_BITS;
    struct model model;
    struct list_batch *batch;
    uint64_t at = unit;
    size_t late = 0;
    model_open(&model, false);
    model.dice = *dice;
    MODEL_ASSERT(&model, list_batch_new(false, &batch) == OK);
    while (at < 20 * unit) {
        model_add_some(&model, batch, &at, unit / 16, 2);
        bool comes = model_joins(&model) && dice_roll(&model.dice, 3) == 0;
        if (comes)
            model_add(&model, batch, dice_roll(&model.dice, TERMS), at - unit / 2 - dice_roll(&model.dice, unit), 0);
        model_write(&model, batch);
        if (comes) model_check(&model);
        late += comes;
    }
    MODEL_ASSERT(&model, late >= 5);
    model_check(&model);
    check_layout(&model);
    *dice = model.dice;
    list_batch_free(batch);
    model_close(&model);
}

/* Two of five such logs have no late entry at a moment that matters. */
Test(index_list, what_comes_late_while_two_runs_are_joined)
{
    struct dice dice = dice_make();
    for (int round = 0; round < 8; round++)
        write_with_late_ones(&dice);
}

/* The process ends between two parts of a join, or before the commit of one: what was not committed comes again. */
Test(index_list, a_join_that_is_broken_off_goes_on)
{
    const uint64_t unit = UINT64_C(1) << RUN_UNIT_BITS;
    struct model model;
    struct list_batch *batch;
    uint64_t at = unit;
    size_t broken = 0;
    model_open(&model, false);
    MODEL_ASSERT(&model, list_batch_new(false, &batch) == OK);
    while (at < 8 * unit) {
        struct kv_txn *txn;
        struct term term = term_of(dice_roll(&model.dice, TERMS));
        at += dice_roll(&model.dice, unit / 16);
        if (model_joins(&model)) {
            MODEL_ASSERT(&model, kv_begin_write(model.store.kv, &txn) == OK);
            MODEL_ASSERT(&model, list_batch_add(batch, &term, at, 0) == OK);
            MODEL_ASSERT(&model, list_batch_write(batch, txn, model.table) == OK);
            kv_abort(txn);
            corpus_kv_reopen(&model.store);
            MODEL_ASSERT(&model, kv_begin_write(model.store.kv, &txn) == OK);
            MODEL_ASSERT(&model, kv_table_open(txn, "list", false, &model.table) == OK);
            MODEL_ASSERT(&model, kv_commit(txn) == OK);
            broken++;
        }
        model_add_some(&model, batch, &at, 0, 2);
        model_write(&model, batch);
    }
    cr_assert(broken >= 8, "SLUICE_TEST_SEED=%llu: %zu", (unsigned long long)model.dice.seed, broken);
    model_check(&model);
    check_layout(&model);
    list_batch_free(batch);
    model_close(&model);
}

/* Chunks of one run. */
static size_t run_chunks(struct kv_txn *txn, kv_table table, uint32_t run)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    size_t count = 0;
    cr_assert_eq(kv_cursor_open(txn, table, &cursor), OK);
    for (int found = kv_first(cursor, &key, &value); found == 1; found = kv_next(cursor, &key, &value))
        count += index_get_u32be((const uint8_t *)key.data) == run;
    kv_cursor_close(cursor);
    return count;
}

/* One commit changes as many pages as it moves terms: so none may move many, however many there are. */
Test(index_list, a_run_is_joined_in_as_many_parts_as_the_next_one_has_writes)
{
    enum { MANY = 4000, PARTS = 200 };
    const uint64_t unit = UINT64_C(1) << RUN_UNIT_BITS;
    struct corpus_kv store;
    struct list_batch *batch;
    struct kv_txn *txn;
    kv_table table;
    struct term term;
    char name[32];
    corpus_kv_open(&store);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(kv_table_open(txn, "list", false, &table), OK);
    cr_assert_eq(list_batch_new(false, &batch), OK);
    for (uint64_t i = 0; i < MANY; i++) {
        int len = snprintf(name, sizeof name, "%05u", (unsigned)(i * 7 % MANY));
        term_of_string(name, (size_t)len, &term);
        cr_assert_eq(list_batch_add(batch, &term, unit + i, 0), OK);
    }
    cr_assert_eq(list_batch_write(batch, txn, table), OK);
    size_t left = MANY;
    for (uint64_t i = 1; i <= PARTS; i++) {
        cr_assert_eq(list_batch_add(batch, &term, 2 * unit + i * (unit / 2 / PARTS + 1), 0), OK);
        cr_assert_eq(list_batch_write(batch, txn, table), OK);
        size_t now = run_chunks(txn, table, 1);
        cr_assert(now < left && left - now <= MANY / PARTS + 1, "%zu of %zu in part %u", left - now, left, (unsigned)i);
        left = now;
    }
    cr_assert_eq(left, 0);
    cr_assert(!corpus_joins(txn, table));
    cr_assert_eq(run_chunks(txn, table, 0), MANY);
    list_batch_free(batch);
    kv_abort(txn);
    corpus_kv_close(&store);
}

/* A run that says how far its join is, in a way that cannot be. */
Test(index_list, a_damaged_join_is_an_error)
{
    struct corpus_kv store;
    struct list_batch *batch;
    struct list_iter iter;
    struct kv_txn *txn;
    kv_table table;
    struct term term = term_of(0);
    corpus_kv_open(&store);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(kv_table_open(txn, "list", false, &table), OK);
    cr_assert_eq(kv_put(txn, table, (struct slice){ "\xFF\xFF\xFF\xFF", 4 }, (struct slice){ "short", 5 }), OK);
    cr_assert_eq(list_iter_open(txn, table, false, &term, false, &iter), ERR_CORRUPT);
    cr_assert_eq(list_settle(txn, table), ERR_CORRUPT);
    cr_assert_eq(list_batch_new(false, &batch), OK);
    cr_assert_eq(list_batch_add(batch, &term, 1, 0), OK);
    cr_assert_eq(list_batch_write(batch, txn, table), ERR_CORRUPT);
    list_batch_free(batch);
    kv_abort(txn);
    corpus_kv_close(&store);
}

Test(index_list, entries_that_come_late_are_put_at_their_place)
{
    play(true, 3, 5, 300);
    play(false, 5, 100000, 100);
}

Test(index_list, the_same_place_thousands_of_times)
{
    play(false, 0, 0, 3000);
    play(true, 1, 0, 700);
    play(true, 2, 1, 50);
}

Test(index_list, a_run_of_equal_entries_longer_than_a_chunk_amid_others)
{
    struct model model;
    struct list_batch *batch;
    model_open(&model, true);
    cr_assert_eq(list_batch_new(true, &batch), OK);
    for (uint64_t i = 0; i < 300; i++)
        model_add(&model, batch, 1, i, i);
    model_write(&model, batch);
    for (uint64_t i = 0; i < 2000; i++)
        model_add(&model, batch, 1, 100, 7 * i);
    model_write(&model, batch);
    for (uint64_t i = 0; i < 40; i++) {
        model_add(&model, batch, 1, 99 + i % 3, i);
        model_write(&model, batch);
    }
    model_check(&model);
    check_layout(&model);
    list_batch_free(batch);
    model_close(&model);
}

Test(index_list, the_largest_numbers)
{
    struct model model;
    struct list_batch *batch;
    model_open(&model, true);
    cr_assert_eq(list_batch_new(true, &batch), OK);
    model_add(&model, batch, 0, UINT64_MAX, UINT64_MAX);
    model_add(&model, batch, 0, 0, 0);
    model_add(&model, batch, 0, UINT64_MAX, 1);
    model_write(&model, batch);
    model_add(&model, batch, 0, UINT64_MAX - 1, UINT64_MAX / 2);
    model_write(&model, batch);
    model_check(&model);
    list_batch_free(batch);
    model_close(&model);
}

Test(index_list, without_payload_what_is_no_seq_is_refused)
{
    struct list_batch *batch;
    struct term term = term_of(0);
    cr_assert_eq(list_batch_new(false, &batch), OK);
    cr_assert_eq(list_batch_add(batch, &term, LIST_AT_MAX, 0), OK);
    cr_assert_eq(list_batch_add(batch, &term, LIST_AT_MAX + 1, 0), ERR_LIMIT);
    list_batch_free(batch);
}

/* Enough of them that they are gathered by the group. */
Test(index_list, thousands_of_terms_over_several_runs)
{
    enum { MANY = 9000 };
    struct corpus_kv store;
    struct list_batch *batch;
    struct kv_txn *txn;
    kv_table table;
    struct term term, after;
    uint64_t count = 0, last = 0;
    char name[32];
    corpus_kv_open(&store);
    cr_assert_eq(kv_begin_write(store.kv, &txn), OK);
    cr_assert_eq(kv_table_open(txn, "list", false, &table), OK);
    cr_assert_eq(list_batch_new(false, &batch), OK);
    for (uint64_t i = 0; i < 3 * MANY; i++) {
        int len = snprintf(name, sizeof name, "%05u", (unsigned)(i * 7 % MANY));
        term_of_string(name, (size_t)len, &term);
        cr_assert_eq(list_batch_add(batch, &term, i << 17, 0), OK);
        if (i % 5000 == 4999) cr_assert_eq(list_batch_write(batch, txn, table), OK);
    }
    cr_assert_eq(list_batch_write(batch, txn, table), OK);
    for (uint64_t i = 0; i < MANY; i++) {
        cr_assert_eq(list_next_term(txn, table, false, i == 0 ? NULL : &after, &term, &count, &last), 1);
        (void)snprintf(name, sizeof name, "%05u", (unsigned)i);
        cr_assert_eq(memcmp(term.bytes, name, 6), 0);
        cr_assert(count == 3 && (last >> 17) * 7 % MANY == i && last >> 17 >= 2 * MANY);
        after = term;
    }
    cr_assert_eq(list_next_term(txn, table, false, &after, &term, &count, &last), 0);
    list_batch_free(batch);
    kv_abort(txn);
    corpus_kv_close(&store);
}

Test(index_list, a_batch_is_empty_after_it_was_written)
{
    struct model model;
    struct list_batch *batch;
    model_open(&model, false);
    cr_assert_eq(list_batch_new(false, &batch), OK);
    model_add(&model, batch, 2, 5, 0);
    cr_assert(list_batch_bytes(batch) > 0);
    model_write(&model, batch);
    model_write(&model, batch);
    model_check(&model);
    list_batch_free(batch);
    list_batch_free(NULL);
    model_close(&model);
}

/* Reads all there is of a list whose bytes are anything: entries or an error, never more. */
static void read_damaged(struct model *model, struct kv_txn *txn, bool reverse)
{
    struct list_iter iter = iter_open(model, txn, 0, reverse);
    struct list_entry entry;
    struct term term, a = term_of(0);
    uint64_t count, last;
    for (int i = 0; i < 2000 && list_next(&iter, &entry) == 1; i++)
        continue;
    (void)list_seek(&iter, dice_roll(&model->dice, 1000), &entry);
    (void)list_count(txn, model->table, model->payload, &a, &count);
    (void)list_next_term(txn, model->table, model->payload, NULL, &term, &count, &last);
    list_iter_close(&iter);
}

Test(index_list, damaged_chunks_are_errors_not_crashes)
{
    struct model model;
    struct list_batch *batch;
    model_open(&model, true);
    for (int round = 0; round < 400; round++) {
        struct kv_txn *txn;
        struct term term = term_of(0);
        uint8_t key[TERM_MAX + 12], value[80];
        memcpy(key, term.bytes, term.len);
        size_t rest = dice_roll(&model.dice, 14), len = dice_roll(&model.dice, sizeof value);
        for (size_t i = 0; i < rest; i++)
            key[term.len + i] = i < 7 ? 0 : (uint8_t)dice_roll(&model.dice, 256);
        for (size_t i = 0; i < len; i++)
            value[i] = (uint8_t)dice_roll(&model.dice, i < 2 ? 20 : 256);
        cr_assert_eq(kv_begin_write(model.store.kv, &txn), OK);
        if (dice_roll(&model.dice, 3) == 0) cr_assert_eq(kv_clear(txn, model.table), OK);
        cr_assert_eq(kv_put(txn, model.table, (struct slice){ (const char *)key, term.len + rest },
                            (struct slice){ (const char *)value, len }),
                     OK);
        read_damaged(&model, txn, round % 2 == 0);
        cr_assert_eq(list_batch_new(true, &batch), OK);
        cr_assert_eq(list_batch_add(batch, &term, dice_roll(&model.dice, 300), 1), OK);
        (void)list_batch_write(batch, txn, model.table);
        list_batch_free(batch);
        cr_assert_eq(kv_commit(txn), OK);
    }
    model_close(&model);
}
