/* One suite for every view of views.def: a check is written once and run on each of them, over random records. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/view_store.h"

#define RECORDS 900

struct suite {
    struct dice dice;
    struct corpus corpus;
    struct corpus_kv store;
    const struct view_ops *ops;
    struct view view;
};

#define SUITE_ASSERT(suite, condition)                                                              \
    cr_assert(condition, "view %s, SLUICE_TEST_SEED=%llu: " #condition " (%s)", (suite)->ops->name, \
              (unsigned long long)(suite)->dice.seed, err_detail(OK))

static void suite_open_view(struct suite *suite)
{
    struct kv_txn *txn;
    SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_open(txn, suite->ops, &suite->view) == OK);
    SUITE_ASSERT(suite, kv_commit(txn) == OK);
}

/* The records stand `apart` times as far from each other as in a short log. */
static void suite_each_apart(void (*check)(struct suite *suite), int64_t apart)
{
    struct suite suite = { .dice = dice_make() };
    corpus_make(&suite.dice, RECORDS, &suite.corpus);
    for (size_t i = 0; i < RECORDS; i++)
        suite.corpus.records[i].seq *= apart;
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        suite.ops = view_list[i];
        corpus_kv_open(&suite.store);
        suite_open_view(&suite);
        check(&suite);
        corpus_kv_close(&suite.store);
    }
    corpus_free(&suite.corpus);
}

static void suite_each(void (*check)(struct suite *suite))
{
    suite_each_apart(check, 1);
}

static void suite_apply(struct suite *suite, size_t from, size_t to)
{
    struct kv_txn *txn;
    SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_apply(txn, &suite->view, suite->corpus.records + from, to - from) == OK);
    SUITE_ASSERT(suite, kv_commit(txn) == OK);
}

static void suite_clear(struct suite *suite)
{
    struct kv_txn *txn;
    SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_clear(txn, &suite->view) == OK);
    SUITE_ASSERT(suite, kv_commit(txn) == OK);
}

static struct buf suite_dump(struct suite *suite)
{
    struct kv_txn *txn;
    struct buf dump;
    buf_init(&dump, 1 << 26);
    SUITE_ASSERT(suite, kv_begin_read(suite->store.kv, &txn) == OK);
    corpus_dump(txn, &suite->view, &dump);
    kv_abort(txn);
    return dump;
}

static bool dump_is(struct suite *suite, const struct buf *expected)
{
    struct buf dump = suite_dump(suite);
    bool same = dump.len == expected->len && memcmp(dump.data, expected->data, dump.len) == 0;
    buf_free(&dump);
    return same;
}

static void check_batches(struct suite *suite)
{
    suite_apply(suite, 0, RECORDS);
    struct buf whole = suite_dump(suite);
    suite_clear(suite);
    for (size_t i = 0; i < RECORDS; i++)
        suite_apply(suite, i, i + 1);
    SUITE_ASSERT(suite, dump_is(suite, &whole));
    for (size_t round = 0; round < 5; round++) {
        suite_clear(suite);
        for (size_t from = 0, to; from < RECORDS; from = to) {
            to = from + 1 + dice_roll(&suite->dice, 300);
            if (to > RECORDS) to = RECORDS;
            suite_apply(suite, from, to);
        }
        SUITE_ASSERT(suite, dump_is(suite, &whole));
    }
    buf_free(&whole);
}

Test(views, one_by_one_equals_batches_equals_all_at_once)
{
    suite_each(check_batches);
}

Test(views, the_same_in_a_log_of_many_gib)
{
    suite_each_apart(check_batches, INT64_C(1) << 18);
    suite_each_apart(check_batches, INT64_C(1) << 23);
}

static bool suite_joins(struct suite *suite)
{
    struct kv_txn *txn;
    bool joins = false;
    SUITE_ASSERT(suite, kv_begin_read(suite->store.kv, &txn) == OK);
    for (size_t i = 0; suite->ops->fields != NULL && suite->ops->fields[i].name != NULL; i++)
        joins = joins || corpus_joins(txn, suite->view.fields[i]);
    kv_abort(txn);
    return joins;
}

/* Between two parts of a join the process is killed before the next one is committed, and the view is compared with one of the same records that
 * is built at once. */
static void check_joins(struct suite *suite)
{
    struct kv_txn *txn;
    size_t broken = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        if (suite_joins(suite) && (broken == 0 || dice_roll(&suite->dice, 30) == 0)) {
            struct suite fresh = *suite;
            struct buf grown = suite_dump(suite);
            corpus_kv_open(&fresh.store);
            suite_open_view(&fresh);
            suite_apply(&fresh, 0, i);
            SUITE_ASSERT(suite, dump_is(&fresh, &grown));
            corpus_kv_close(&fresh.store);
            buf_free(&grown);
            SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
            SUITE_ASSERT(suite, view_store_apply(txn, &suite->view, suite->corpus.records + i, 1) == OK);
            kv_abort(txn);
            corpus_kv_reopen(&suite->store);
            suite_open_view(suite);
            broken++;
        }
        suite_apply(suite, i, i + 1);
    }
    SUITE_ASSERT(suite, suite->ops->fields == NULL || broken > 0);
    struct buf grown = suite_dump(suite);
    suite_clear(suite);
    suite_apply(suite, 0, RECORDS);
    SUITE_ASSERT(suite, dump_is(suite, &grown));
    buf_free(&grown);
}

Test(views, what_is_killed_between_two_parts_of_a_join_goes_on)
{
    suite_each_apart(check_joins, INT64_C(1) << 15);
}

static void check_reopen(struct suite *suite)
{
    suite_apply(suite, 0, RECORDS / 2);
    struct buf before = suite_dump(suite);
    corpus_kv_reopen(&suite->store);
    suite_open_view(suite);
    SUITE_ASSERT(suite, dump_is(suite, &before));
    suite_apply(suite, RECORDS / 2, RECORDS);
    struct buf grown = suite_dump(suite);
    suite_clear(suite);
    suite_apply(suite, 0, RECORDS);
    SUITE_ASSERT(suite, dump_is(suite, &grown));
    buf_free(&before);
    buf_free(&grown);
}

Test(views, reopening_changes_nothing)
{
    suite_each(check_reopen);
}

static void check_crash(struct suite *suite)
{
    struct kv_txn *txn;
    suite_apply(suite, 0, RECORDS / 3);
    struct buf before = suite_dump(suite);
    SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_apply(txn, &suite->view, suite->corpus.records + RECORDS / 3, RECORDS / 3) == OK);
    kv_abort(txn);
    SUITE_ASSERT(suite, dump_is(suite, &before));
    suite_apply(suite, RECORDS / 3, RECORDS);
    struct buf after = suite_dump(suite);
    suite_clear(suite);
    suite_apply(suite, 0, RECORDS);
    SUITE_ASSERT(suite, dump_is(suite, &after));
    buf_free(&before);
    buf_free(&after);
}

Test(views, what_was_applied_but_not_committed_is_applied_again)
{
    suite_each(check_crash);
}

static void check_clear(struct suite *suite)
{
    struct buf empty = suite_dump(suite);
    suite_apply(suite, 0, RECORDS);
    SUITE_ASSERT(suite, !dump_is(suite, &empty));
    suite_clear(suite);
    SUITE_ASSERT(suite, dump_is(suite, &empty));
    buf_free(&empty);
}

Test(views, clearing_leaves_nothing)
{
    suite_each(check_clear);
}

static void check_version(struct suite *suite)
{
    struct kv_txn *txn;
    struct view_state state;
    const struct view_state saved = { .version = suite->ops->version, .since = 70, .records = 8 };
    SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_save(txn, &suite->view, &saved) == OK);
    SUITE_ASSERT(suite, kv_commit(txn) == OK);
    struct view_ops raised = *suite->ops;
    raised.version++;
    suite->ops = &raised;
    corpus_kv_reopen(&suite->store);
    suite_open_view(suite);
    SUITE_ASSERT(suite, kv_begin_read(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_load(txn, &suite->view, &state) == 1);
    SUITE_ASSERT(suite, state.version != suite->view.ops->version && state.since == 70);
    kv_abort(txn);
}

Test(views, a_raised_version_shows_in_the_saved_state)
{
    suite_each(check_version);
}

static void check_odd_sizes(struct suite *suite)
{
    suite_apply(suite, 0, 0);
    struct buf dump = suite_dump(suite);
    suite_clear(suite);
    SUITE_ASSERT(suite, dump_is(suite, &dump));
    buf_free(&dump);
}

Test(views, a_batch_of_no_records_changes_nothing)
{
    suite_each(check_odd_sizes);
}

/* ---- records that are deleted ----------------------------------------------------------------------------------- */

struct lines {
    struct buf text;
    char **items; /* sorted */
    size_t count;
};

static int line_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What the view says after these records alone. */
static void lines_of(struct suite *suite, const struct view_record *records, size_t count, struct lines *ret_lines)
{
    struct lines lines = { 0 };
    struct kv_txn *txn;
    suite_clear(suite);
    SUITE_ASSERT(suite, kv_begin_write(suite->store.kv, &txn) == OK);
    SUITE_ASSERT(suite, view_store_apply(txn, &suite->view, records, count) == OK);
    buf_init(&lines.text, 1 << 26);
    corpus_print(txn, &suite->view, &lines.text);
    kv_abort(txn);
    SUITE_ASSERT(suite, lines.text.err == OK && buf_putc(&lines.text, '\0') == OK);
    lines.items = malloc(lines.text.len * sizeof *lines.items);
    cr_assert_not_null(lines.items);
    char *rest = lines.text.data;
    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n"))
        lines.items[lines.count++] = line;
    qsort(lines.items, lines.count, sizeof *lines.items, line_order);
    *ret_lines = lines;
}

static void lines_free(struct lines *lines)
{
    free(lines->items);
    buf_free(&lines->text);
}

static bool lines_have(const struct lines *lines, char *line)
{
    return bsearch(&line, lines->items, lines->count, sizeof line, line_order) != NULL;
}

static bool has_registers(const struct view_ops *ops)
{
    bool has = false;
    for (size_t i = 0; ops->tables != NULL && ops->tables[i].name != NULL; i++)
        has = has || ops->tables[i].shape == TABLE_REGISTERS;
    return has;
}

/* Nobody tells a view that a record is deleted which it has read. What it says then may differ from what it would say if it were built anew by what deleted
 * records said, and by nothing else: a reader who leaves those out is told nothing that was never so. */
static void check_deleted(struct suite *suite)
{
    struct view_record left[RECORDS], gone[RECORDS];
    size_t left_count = 0, gone_count = 0;
    struct lines before, anew, deleted;
    for (size_t i = 0; i < RECORDS; i++)
        if (dice_roll(&suite->dice, 3) == 0)
            gone[gone_count++] = suite->corpus.records[i];
        else
            left[left_count++] = suite->corpus.records[i];
    lines_of(suite, suite->corpus.records, RECORDS, &before);
    lines_of(suite, left, left_count, &anew);
    lines_of(suite, gone, gone_count, &deleted);
    for (size_t i = 0; i < before.count; i++)
        SUITE_ASSERT(suite, lines_have(&anew, before.items[i]) || lines_have(&deleted, before.items[i]));
    /* nothing that is left is missing, but for offers that a deleted record has beaten */
    for (size_t i = 0; !has_registers(suite->ops) && i < anew.count; i++)
        SUITE_ASSERT(suite, lines_have(&before, anew.items[i]));
    SUITE_ASSERT(suite, before.count > 0 && before.count <= anew.count + deleted.count);
    lines_free(&before);
    lines_free(&anew);
    lines_free(&deleted);
}

Test(views, what_is_deleted_later_is_all_that_a_rebuild_changes)
{
    suite_each(check_deleted);
}

Test(views, names_tables_and_fields_are_told_apart)
{
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        cr_assert(view_list[i]->name[0] != '\0' && view_list[i]->version > 0);
        for (size_t j = 0; j < i; j++)
            cr_assert(strcmp(view_list[i]->name, view_list[j]->name) != 0);
    }
    cr_assert_null(view_list[VIEW_COUNT]);
}
