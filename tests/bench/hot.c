/* The hot loops, for counting instructions:  bench_hot FILE.ndjson FOLDER
 *
 * Each loop stands in a function of its own, named hot_… (but for appending), which callgrind is told to collect. Prints how many units each loop
 * handled: {"loop":NAME,"units":N}. The log and its views are made in FOLDER first. */
#include <errno.h>
#include <lmdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "server/plain.h"
#include "server/rows_log.h"
#include "server/sent.h"
#include "store/err.h"
#include "store/feed.h"
#include "store/message.h"
#include "tests/bench/bench.h"
#include "tests/bench/flume.h"
#include "views/index_list.h"
#include "views/view_messages.h"
#include "views/view_record.h"

/* Valgrind has no room for maps as large as the program asks for. These two stand in front of the real functions (the linker's
 * --wrap): its EINVAL becomes the kernel's ENOMEM, after which the log tries again with less, and LMDB gets a map of VIEWS_MAP bytes. */
#define VIEWS_MAP ((size_t)256 << 20)
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __real_mdb_env_set_mapsize(MDB_env *env, size_t size);
int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t size);
ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned flags);

/* Where keys stand in a hash table is to be the same each time. */
ssize_t __wrap_getrandom(void *buffer, size_t len, unsigned flags)
{
    (void)flags;
    memset(buffer, 1, len);
    return (ssize_t)len;
}

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    void *base = __real_mmap(at, len, protection, flags, fd, offset);
    if (base == MAP_FAILED && errno == EINVAL) errno = ENOMEM;
    return base;
}

int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t size)
{
    return __real_mdb_env_set_mapsize(env, size < VIEWS_MAP ? size : VIEWS_MAP);
}

#define MANY 1024
#define BLOCK ((size_t)32 << 10)
#define BLOCK_MAX ((size_t)1 << 20)

#define HOT __attribute__((noinline)) size_t

/* Bytes. */
HOT hot_scan(const struct bench_records *records, struct message *message);
/* Records. */
HOT hot_cursor(struct log *log);
HOT hot_many(struct log *log, struct log_record *records);
HOT hot_print(const struct bench_records *records, struct buf *out);
HOT hot_lines(struct rows *rows, char *block);
/* Entries. */
HOT hot_list(struct list_iter *iter);
/* Messages. */
HOT hot_find(struct flume *flume, const struct ref *ids, size_t count);
HOT hot_check(const struct slice *lines, struct feed_message *messages, size_t count);

size_t hot_scan(const struct bench_records *records, struct message *message)
{
    for (size_t i = 0; i < records->count; i++)
        bench_must(message_scan(message, records->values[i].data, records->values[i].len), "scan");
    return records->bytes;
}

size_t hot_cursor(struct log *log)
{
    struct log_cursor cursor;
    struct log_record record;
    size_t count = 0;
    bench_must(log_cursor_open(log, &LOG_RANGE_ALL, &cursor), "cursor");
    while (log_next(&cursor, &record) == 1)
        count++;
    return count;
}

size_t hot_many(struct log *log, struct log_record *records)
{
    struct log_cursor cursor;
    size_t count = 0;
    int got;
    bench_must(log_cursor_open(log, &LOG_RANGE_ALL, &cursor), "cursor");
    while ((got = log_next_many(&cursor, records, MANY)) > 0)
        count += (size_t)got;
    return count;
}

size_t hot_print(const struct bench_records *records, struct buf *out)
{
    for (size_t i = 0; i < records->count; i++) {
        buf_reset(out);
        bench_must(record_print(&(struct log_record){ records->seqs[i], records->values[i] }, out), "print");
    }
    return records->count;
}

/* As a stream of the whole log does it. The sample has records that are not copied: they are printed, in the same loop. */
size_t hot_lines(struct rows *rows, char *block)
{
    struct buf out;
    size_t bytes = 0;
    int got = 1;
    while (got == 1) {
        buf_lend(&out, block, BLOCK, BLOCK_MAX);
        rows_copy_framed(rows, API_NDJSON, &out);
        if (out.len < BLOCK / 2) got = rows_next_framed(rows, API_NDJSON, &out);
        bytes += out.len;
        buf_free(&out);
    }
    return bytes;
}

size_t hot_list(struct list_iter *iter)
{
    struct list_entry entry;
    size_t count = 0;
    while (list_next(iter, &entry) == 1)
        count++;
    return count;
}

/* As a request for one message does it. */
size_t hot_find(struct flume *flume, const struct ref *ids, size_t count)
{
    struct flume_read read;
    struct log_record record;
    for (size_t i = 0; i < count; i++) {
        bench_must(flume_read_begin(flume, &read), "read");
        if (flume_read_since(&read, flume_view(flume, VIEW_messages)) < 0) bench_die("the view is empty");
        bench_must(messages_find(&read, &ids[i], &record), "find");
        flume_read_end(&read);
    }
    return count;
}

/* What comes before an append, but for the signature: that is libsodium's, and three quarters of it all. */
size_t hot_check(const struct slice *lines, struct feed_message *messages, size_t count)
{
    struct sent sent;
    for (size_t i = 0; i < count; i++) {
        sent_read(lines[i], &sent);
        bench_must(feed_check_unsigned(sent.value.data, sent.value.len, &messages[i]), "check");
        bench_must(feed_record(&messages[i], 1500000000000.5), "record");
    }
    return count;
}

static void told(const char *loop, size_t units)
{
    printf("{\"loop\":\"%s\",\"units\":%zu}\n", loop, units);
}

static void log_make(const char *lines_path, const char *log_path)
{
    struct bench_file file;
    struct log *log;
    size_t count;
    bench_map(lines_path, &file);
    struct slice *lines = bench_lines(&file, &count);
    bench_must(log_offset_open(&(struct log_offset_options){ .path = log_path, .codec = LOG_CODEC_53 }, NULL, &log),
               log_path);
    bench_must(log_append(log, lines, count, NULL), "append");
    log_close(log);
    free(lines);
    bench_unmap(&file);
}

static void lines_loop(struct flume *flume, size_t records)
{
    static char block[BLOCK];
    const struct config config = { .query_timeout = 60 };
    struct server server = { .config = &config, .flume = flume };
    struct filter_params params;
    struct rows *rows;
    filter_params_init(&params);
    bench_must(plain_open(&server.plain), "plain");
    plain_learn(server.plain, flume);
    bench_must(rows_log_open_params(&server, &params, &rows), "rows");
    if (hot_lines(rows, block) == 0) bench_die("no lines");
    told("lines", records);
    rows_free(rows);
    plain_free(server.plain);
}

static void list_loop(struct flume *flume)
{
    static struct list_iter iter;
    struct flume_read read;
    struct term term;
    term_of_string("post", 4, &term);
    bench_must(flume_read_begin(flume, &read), "read");
    const struct view *view = flume_view(flume, VIEW_types);
    bench_must(list_iter_open(read.txn, view->fields[0], false, &term, false, &iter), "list");
    told("list", hot_list(&iter));
    list_iter_close(&iter);
    flume_read_end(&read);
}

static void find_loop(struct flume *flume, const struct bench_records *records)
{
    struct ref *ids = calloc(records->count, sizeof *ids);
    size_t count = 0;
    if (ids == NULL) bench_die("out of memory");
    for (size_t i = 0; i < records->count; i++)
        count += record_key(records->values[i], &ids[count]) == OK;
    told("find", hot_find(flume, ids, count));
    free(ids);
}

/* ---- appending: the loop is the core's own, append_round in the indexer's thread ---- */

static int own_log(void *ctx, struct log **ret_log)
{
    return log_offset_open(&(struct log_offset_options){ .path = ctx, .codec = LOG_CODEC_53 }, NULL, ret_log);
}

static void on_appended(struct flume_append *job)
{
    bench_must(job->err, job->detail);
    (void)sem_post(job->ctx);
}

/* In one batch: what a second one would find in the views depends on how far they are by then. */
static void append_all(struct flume *flume, struct feed_message *messages, size_t count)
{
    int64_t *seqs = calloc(count, sizeof *seqs);
    sem_t over;
    (void)sem_init(&over, 0, 0);
    struct flume_append job = {
        .messages = messages, .count = count, .deadline_ms = INT64_MAX, .done = on_appended, .ctx = &over, .seqs = seqs
    };
    if (seqs == NULL) bench_die("out of memory");
    bench_must(flume_append(flume, &job), "append");
    while (sem_wait(&over) != 0) {
    }
    (void)sem_destroy(&over);
    free(seqs);
}

static void append_loops(const char *lines_path, const char *folder)
{
    char path[4096], views[4096];
    struct bench_file file;
    struct flume *flume;
    size_t count;
    bench_map(lines_path, &file);
    struct slice *lines = bench_lines(&file, &count);
    struct feed_message *messages = calloc(count, sizeof *messages);
    if (messages == NULL) bench_die("out of memory");
    told("check", hot_check(lines, messages, count));
    (void)snprintf(path, sizeof path, "%s/own.offset", folder);
    (void)snprintf(views, sizeof views, "%s/own-views", folder);
    const struct flume_options options = { .open_log = own_log, .open_ctx = path, .views_dir = views };
    bench_must(flume_open(&options, &flume), "opening a log of its own");
    append_all(flume, messages, count);
    told("append", count);
    flume_close(flume);
    for (size_t i = 0; i < count; i++)
        feed_message_free(&messages[i]);
    free(messages);
    free(lines);
    bench_unmap(&file);
}

int main(int argc, char **argv)
{
    char log_path[4096], views[4096];
    static struct log_record many[MANY];
    struct bench_records records;
    struct message message;
    struct flume *flume;
    struct buf out;
    if (argc != 3) bench_die("usage: bench_hot FILE.ndjson FOLDER");
    (void)snprintf(log_path, sizeof log_path, "%s/log.offset", argv[2]);
    (void)snprintf(views, sizeof views, "%s/views", argv[2]);
    log_make(argv[1], log_path);
    bench_flume_open(log_path, views, &flume);
    bench_flume_wait(flume, false);
    bench_records_load(flume_log(flume), &records);
    message_init(&message);
    buf_init(&out, 1 << 20);

    told("scan", hot_scan(&records, &message));
    told("cursor", hot_cursor(flume_log(flume)));
    told("many", hot_many(flume_log(flume), many));
    told("print", hot_print(&records, &out));
    lines_loop(flume, records.count);
    list_loop(flume);
    find_loop(flume, &records);
    append_loops(argv[1], argv[2]);

    buf_free(&out);
    message_free(&message);
    bench_records_free(&records);
    flume_close(flume);
    return 0;
}
