#include <criterion/criterion.h>

#include <dirent.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/log_opened.h"
#include "store/opened.h"
#include "tests/support/log_fake.h"
#include "tests/support/scratch.h"

#define RECORDS 300

/* A followed log with a message in three for its reader, and what he sees of it. */
static struct box1_key key, other_key;
static struct ref reader, other;
static struct fake_disk *disk;
static struct log *below, *opened;
static char *folder;
static struct shown {
    int64_t seq;
    bool secret;
} shown[RECORDS];

static struct log *give_below(void *ctx)
{
    (void)ctx;
    return below;
}

static int64_t give_head(void *ctx)
{
    (void)ctx;
    (void)log_refresh(below);
    return log_durable(below);
}

static void identity(uint8_t number, struct ref *ret_id, struct box1_key *ret_key)
{
    uint8_t seed[32] = { number }, secret[64];
    ret_id->kind = REF_FEED;
    (void)crypto_sign_seed_keypair(ret_id->id, secret, seed);
    cr_assert_eq(box1_key_of(secret, ret_key), OK);
}

static int64_t put(int number, const struct ref *recipient)
{
    struct buf record;
    char plain[64];
    buf_init(&record, 4096);
    int len = snprintf(plain, sizeof plain, "{\"type\":\"n%d\"}", number);
    (void)buf_puts(&record, "{\"key\":\"%k\",\"value\":{\"content\":");
    if (recipient == NULL) {
        (void)buf_puts(&record, plain);
    } else {
        (void)buf_putc(&record, '"');
        cr_assert_eq(box1_seal((struct slice){ plain, (size_t)len }, recipient, 1, &record), OK);
        (void)buf_putc(&record, '"');
    }
    (void)buf_puts(&record, "}}");
    (void)buf_append(&record, "", 1);
    cr_assert_eq(record.err, OK);
    int64_t seq = fake_disk_write(disk, record.data);
    buf_free(&record);
    return seq;
}

static struct log *open_for(const struct box1_key *whose, const struct ref *id)
{
    const struct log_opened_options options = {
        .below = give_below, .look = give_head, .key = whose, .reader = id, .folder = folder
    };
    struct log *log = NULL;
    cr_assert_eq(log_opened_open(&options, &log), OK);
    return log;
}

static void setup(void)
{
    cr_assert_geq(sodium_init(), 0);
    identity(1, &reader, &key);
    identity(2, &other, &other_key);
    folder = scratch_make();
    disk = fake_disk_make(true);
    cr_assert_eq(fake_disk_open(disk, &below), OK);
    for (int i = 0; i < RECORDS; i++)
        shown[i] = (struct shown){ put(i, i % 3 == 0 ? &reader : i % 3 == 1 ? &other : NULL), i % 3 == 0 };
    (void)log_refresh(below);
    opened = open_for(&key, &reader);
}

static void teardown(void)
{
    log_close(opened);
    log_close(below);
    fake_disk_free(disk);
    scratch_remove(folder);
}

TestSuite(log_opened, .init = setup, .fini = teardown);

/* Is this the record `number` as its reader sees it? */
static void expect_record(const struct log_record *record, int number)
{
    char plain[64];
    int len = snprintf(plain, sizeof plain, "{\"type\":\"n%d\"}", number);
    struct log_record stored;
    cr_assert_eq(record->seq, shown[number].seq);
    cr_assert_eq(log_get(below, record->seq, &stored), OK);
    bool readable = memmem(record->value.data, record->value.len, plain, (size_t)len) != NULL;
    cr_assert_eq(readable, number % 3 != 1, "record %d", number);
    bool same =
        record->value.len == stored.value.len && memcmp(record->value.data, stored.value.data, stored.value.len) == 0;
    cr_assert_eq(same, !shown[number].secret, "record %d", number);
}

Test(log_opened, get_gives_what_its_reader_sees)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < RECORDS; i++) {
            struct log_record record;
            cr_assert_eq(log_get(opened, shown[i].seq, &record), OK);
            expect_record(&record, i);
        }
    struct log_record record;
    cr_assert_eq(log_get(opened, shown[RECORDS - 1].seq + 100000, &record), ERR_NOSEQ);
}

Test(log_opened, cursors_give_the_same_in_both_directions_one_by_one_and_many)
{
    for (int way = 0; way < 4; way++) {
        struct log_range range = { 0, SEQ_MAX, way % 2 == 1 };
        struct log_cursor cursor;
        struct log_record records[64];
        int n, count = 0;
        cr_assert_eq(log_cursor_open(opened, &range, &cursor), OK);
        cr_assert_eq(cursor.log, opened);
        while ((n = way < 2 ? log_next(&cursor, records) : log_next_many(&cursor, records, 64)) > 0)
            for (int i = 0; i < n; i++, count++)
                expect_record(&records[i], range.reverse ? RECORDS - 1 - count : count);
        cr_assert_eq(n, 0);
        cr_assert_eq(count, RECORDS);
    }
}

Test(log_opened, records_stay_where_they_are)
{
    struct log_record first, later;
    cr_assert_eq(log_get(opened, shown[0].seq, &first), OK);
    char *copy = strndup(first.value.data, first.value.len);
    for (int i = 1; i < RECORDS; i++)
        cr_assert_eq(log_get(opened, shown[i].seq, &later), OK);
    cr_assert_eq(log_get(opened, shown[0].seq, &later), OK);
    cr_assert_eq(first.value.data, later.value.data);
    cr_assert_arr_eq(first.value.data, copy, first.value.len);
    free(copy);
}

Test(log_opened, what_is_deleted_is_gone)
{
    struct log_record record;
    cr_assert_eq(log_get(opened, shown[3].seq, &record), OK);
    fake_disk_delete(disk, shown[3].seq);
    cr_assert_eq(log_get(opened, shown[3].seq, &record), ERR_DELETED);
}

Test(log_opened, it_moves_with_the_log_below)
{
    struct log_record record;
    (void)log_refresh(opened);
    cr_assert_eq(log_refresh(opened), 0);
    int64_t seq = put(7000, &reader);
    cr_assert_eq(log_refresh(opened), 1);
    cr_assert_eq(log_refresh(opened), 0);
    cr_assert_eq(log_since(opened), seq);
    cr_assert_eq(log_durable(opened), seq);
    cr_assert_eq(log_bytes(opened), log_bytes(below));
    cr_assert_eq(log_get(opened, seq, &record), OK);
    cr_assert_not_null(memmem(record.value.data, record.value.len, "\"n7000\"", 7));
}

Test(log_opened, another_log_below_is_a_change)
{
    struct log *first = below, *second = NULL;
    (void)log_refresh(opened);
    cr_assert_eq(fake_disk_open(disk, &second), OK);
    below = second;
    cr_assert_eq(log_refresh(opened), ERR_CHANGED);
    below = first;
    cr_assert_eq(log_refresh(opened), 0);
    log_close(second);
}

Test(log_opened, nothing_is_appended_through_it)
{
    const struct slice value = SLICE_LITERAL("{}");
    cr_assert_eq(log_append(opened, &value, 1, NULL), ERR_READONLY);
}

/* Views and tags made for one reader must not do for another, nor for everybody. */
Test(log_opened, each_reader_has_an_identity_of_his_own)
{
    struct log *again = open_for(&key, &reader), *others = open_for(&other_key, &other);
    cr_assert_neq(log_identity(opened), 0);
    cr_assert_neq(log_identity(opened), log_identity(below));
    cr_assert_neq(log_identity(opened), log_identity(others));
    cr_assert_eq(log_identity(opened), log_identity(again));
    log_close(again);
    log_close(others);
}

Test(log_opened, no_file_of_it_has_a_name)
{
    struct log_record record;
    for (int i = 0; i < RECORDS; i++)
        cr_assert_eq(log_get(opened, shown[i].seq, &record), OK);
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        cr_assert_eq(entry->d_name[0], '.', "%s", entry->d_name);
    closedir(dir);
}

static void *read_all(void *ctx)
{
    size_t start = (size_t)(uintptr_t)ctx;
    for (size_t i = 0; i < RECORDS; i++) {
        size_t at = (start + i * 7) % RECORDS;
        struct log_record record;
        if (log_get(opened, shown[at].seq, &record) != OK) return (void *)(uintptr_t)1;
        bool has = memmem(record.value.data, record.value.len, "\"private\":true}", 15) != NULL;
        if (has != shown[at].secret) return (void *)(uintptr_t)1;
    }
    return NULL;
}

Test(log_opened, many_threads_open_it_at_once)
{
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_all, (void *)(uintptr_t)(i * 37)), 0);
    for (size_t i = 0; i < 8; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        cr_assert_null(wrong);
    }
}

/* ---- opened.h ------------------------------------------------------------------------------------------------------- */

Test(log_opened, what_was_opened_is_remembered_whatever_its_size)
{
    struct opened *memory = NULL;
    struct slice text, kept;
    cr_assert_eq(opened_new(folder, &memory), OK);
    size_t sizes[] = { 1, 700, 65536, (size_t)1 << 20, ((size_t)1 << 20) + 1, (size_t)3 << 20, 100 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *data = malloc(sizes[i]);
        memset(data, 'a' + (int)i, sizes[i]);
        cr_assert_eq(opened_look(memory, (int64_t)i, &text), OPENED_UNKNOWN);
        cr_assert_eq(opened_keep(memory, (int64_t)i, (struct slice){ data, sizes[i] }, &kept), OK);
        cr_assert_neq(kept.data, data);
        free(data);
    }
    for (int64_t i = 100; i < 5000; i++)
        cr_assert_eq(opened_keep(memory, i, SLICE_LITERAL("x"), &kept), OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_assert_eq(opened_look(memory, (int64_t)i, &text), OPENED_YES);
        cr_assert_eq(text.len, sizes[i]);
        cr_assert(text.data[0] == (char)('a' + (int)i) && text.data[sizes[i] - 1] == text.data[0]);
    }
    /* the first one stays */
    cr_assert_eq(opened_keep(memory, 0, SLICE_LITERAL("another"), &kept), OK);
    cr_assert_eq(kept.len, 1);
    opened_note_not(memory, 60);
    cr_assert_eq(opened_look(memory, 60, &text), OPENED_NOT);
    opened_free(memory);
    opened_free(NULL);
}

Test(log_opened, a_folder_that_is_not_there_is_an_error)
{
    struct opened *memory = NULL;
    cr_assert_eq(opened_new("/nonexistent/folder", &memory), ERR_NOFILE);
}
