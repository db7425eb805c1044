#include "tests/crash/check.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "store/fnv.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"

#define DUMP_MAX ((size_t)1 << 30)

void check_that(bool ok, const char *where, const char *what, ...)
{
    if (ok) return;
    va_list args;
    va_start(args, what);
    (void)fprintf(stderr, "FAILED %s: ", where);
    (void)vfprintf(stderr, what, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int open_owned(void *path, struct log **ret_log)
{
    const struct log_offset_options options = { .path = path };
    return log_offset_open(&options, NULL, ret_log);
}

struct log *check_open(const char *path, const char *where)
{
    const struct log_offset_options options = { .path = path };
    struct log *log = NULL;
    int err = log_offset_open(&options, NULL, &log);
    check_that(err == OK, where, "the log does not open: %s", err_detail(err));
    return log;
}

struct bad {
    const char *where;
};

static void on_damage(void *ctx, const struct log_damage *damage)
{
    const struct bad *bad = ctx;
    check_that(false, bad->where, "not whole records: %s at %lld, %lld bytes", damage->what, (long long)damage->at,
               (long long)damage->bytes);
}

int64_t check_whole(const char *path, const char *where)
{
    const struct log_offset_options options = { .path = path };
    struct bad bad = { where };
    int64_t records = 0;
    int err = log_offset_verify(&options, on_damage, &bad, NULL, &records, NULL);
    check_that(err == OK, where, "verify: %s", err_detail(err));
    return records;
}

/* ---- views ------------------------------------------------------------------------------------------------------ */

static void views_dump(const char *path, const char *views_dir, const char *where, struct buf *out)
{
    char copy[SCRATCH_PATH];
    struct flume *flume = NULL;
    struct flume_read read;
    (void)snprintf(copy, sizeof copy, "%s", path);
    const struct flume_options options = {
        .open_log = open_owned, .open_ctx = copy, .views_dir = views_dir, .accept_any = true
    };
    int err = flume_open(&options, &flume);
    check_that(err == OK, where, "log and views do not open: %s", err_detail(err));
    err = kit_wait_head(flume, (UINT32_C(1) << VIEW_COUNT) - 1);
    check_that(err == OK, where, "the views do not get ready: %s", err_detail(err));
    err = flume_read_begin(flume, &read);
    check_that(err == OK, where, "the views are not read: %s", err_detail(err));
    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        const struct view *view = flume_view(flume, (enum view_id)i);
        (void)buf_printf(out, "view %s at %lld\n", view->ops->name, (long long)flume_read_since(&read, view));
        corpus_dump(read.txn, view, out);
    }
    flume_read_end(&read);
    flume_close(flume);
    check_that(out->err == OK, where, "the views are too large to compare");
}

void check_views(const char *path, const char *views_dir, const char *where)
{
    struct buf kept, fresh;
    char *empty = scratch_make();
    buf_init(&kept, DUMP_MAX);
    buf_init(&fresh, DUMP_MAX);
    views_dump(path, views_dir, where, &kept);
    views_dump(path, empty, where, &fresh);
    size_t at = 0;
    while (at < kept.len && at < fresh.len && kept.data[at] == fresh.data[at])
        at++;
    check_that(kept.len == fresh.len && at == kept.len, where,
               "views and a fresh build differ: %zu and %zu bytes, from %zu on; …%.80s", kept.len, fresh.len, at,
               at < kept.len ? kept.data + at : "");
    buf_free(&kept);
    buf_free(&fresh);
    scratch_remove(empty);
}

/* ---- the ledger -------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(struct slice value)
{
    return fnv_add(FNV_START, value.data, value.len);
}

void ledger_free(struct ledger *ledger)
{
    free(ledger->entries);
    *ledger = (struct ledger){ 0 };
}

void ledger_reserve(struct ledger *ledger, size_t count)
{
    ledger->entries = realloc(ledger->entries, count * sizeof *ledger->entries);
    if (ledger->entries == NULL) abort();
    ledger->cap = count;
}

void ledger_add(struct ledger *ledger, struct slice value, int64_t seq)
{
    if (ledger->count == ledger->cap) ledger_reserve(ledger, ledger->cap == 0 ? 64 : ledger->cap * 2);
    ledger->entries[ledger->count++] = (struct ledger_entry){ .seq = seq, .hash = hash_of(value) };
}

void ledger_ack(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        ledger->entries[i].acked = ledger->entries[i].acked || ledger->entries[i].seq != SEQ_EMPTY;
}

void check_ledger(const struct ledger *ledger, const char *path, const char *where)
{
    struct log *log = check_open(path, where);
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    size_t at = 0;
    int got = log_cursor_open(log, &range, &cursor);
    check_that(got == OK, where, "the log is not read: %s", err_detail(got));
    while ((got = log_next(&cursor, &record)) == 1) {
        uint64_t hash = hash_of(record.value);
        for (; at < ledger->count && ledger->entries[at].hash != hash; at++)
            check_that(!ledger->entries[at].acked, where, "entry %zu, seq %lld, was acknowledged and is not there", at,
                       (long long)ledger->entries[at].seq);
        check_that(at < ledger->count, where, "the record at %lld is none that was appended, or out of order",
                   (long long)record.seq);
        check_that(!ledger->entries[at].acked || ledger->entries[at].seq == record.seq, where,
                   "entry %zu was told seq %lld and stands at %lld", at, (long long)ledger->entries[at].seq,
                   (long long)record.seq);
        at++;
    }
    check_that(got == 0, where, "the log is not read to its end: %s", err_detail(got));
    for (; at < ledger->count; at++)
        check_that(!ledger->entries[at].acked, where, "entry %zu, seq %lld, was acknowledged and is not there", at,
                   (long long)ledger->entries[at].seq);
    log_close(log);
}

void check_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[2 * SCRATCH_PATH];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_type == DT_DIR) {
            check_empty(path);
            (void)rmdir(path);
        } else {
            (void)unlink(path);
        }
    }
    (void)closedir(dir);
}
