/* The log against the machine:  bench_log LOG FOLDER
 * Figures in bytes or records a second. FOLDER takes the files that are written, and is empty again afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/bench/bench.h"

#define BATCH 1000
#define GETS_MAX 1000000
#define SCAN_RECORDS 1024

struct work {
    struct log *log;
    const char *path;
    char copy[4096];
    char lock[4200];
    struct bench_file file;
    struct bench_records records;
    size_t *order; /* of random gets */
    size_t gets;
};

/* ---- append ---- */

static void copy_remove(const struct work *work)
{
    (void)unlink(work->copy);
    (void)unlink(work->lock);
}

static double append_sluice(void *ctx)
{
    struct work *work = ctx;
    const struct bench_records *records = &work->records;
    struct log *log;
    copy_remove(work);
    bench_must(log_offset_open(&(struct log_offset_options){ .path = work->copy, .codec = LOG_CODEC_53 }, NULL, &log),
               work->copy);
    double began = bench_now();
    for (size_t at = 0; at < records->count; at += BATCH) {
        size_t n = records->count - at < BATCH ? records->count - at : BATCH;
        bench_must(log_append(log, records->values + at, n, NULL), "append");
    }
    double took = bench_now() - began;
    log_close(log);
    copy_remove(work);
    return (double)work->file.len / took;
}

static double append_write(void *ctx)
{
    struct work *work = ctx;
    const struct bench_records *records = &work->records;
    copy_remove(work);
    int fd = open(work->copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) bench_die("%s: %s", work->copy, strerror(errno));
    double began = bench_now();
    for (size_t at = 0; at < records->count; at += BATCH) {
        size_t from = (size_t)records->seqs[at];
        size_t to = at + BATCH < records->count ? (size_t)records->seqs[at + BATCH] : work->file.len;
        if (write(fd, work->file.data + from, to - from) != (ssize_t)(to - from)) bench_die("a short write");
    }
    double took = bench_now() - began;
    (void)close(fd);
    copy_remove(work);
    return (double)work->file.len / took;
}

/* ---- scan ---- */

static double scan(struct work *work, bool reverse)
{
    static struct log_record records[SCAN_RECORDS];
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    size_t count = 0;
    uint64_t sum = 0;
    int got;
    range.reverse = reverse;
    double began = bench_now();
    bench_must(log_cursor_open(work->log, &range, &cursor), "cursor");
    while ((got = log_next_many(&cursor, records, SCAN_RECORDS)) > 0) {
        for (int i = 0; i < got; i++)
            sum += (uint8_t)records[i].value.data[0] + records[i].value.len;
        count += (size_t)got;
    }
    double took = bench_now() - began;
    bench_must(got, "scan");
    if (count != work->records.count) bench_die("%zu records instead of %zu", count, work->records.count);
    bench_sink += sum;
    return (double)work->file.len / took;
}

static double scan_sluice(void *ctx)
{
    return scan(ctx, false);
}

static double scan_reverse(void *ctx)
{
    return scan(ctx, true);
}

/* Looks at every byte of the file, as a reader without frames would have to. */
static double scan_memchr(void *ctx)
{
    struct work *work = ctx;
    const char *at = work->file.data, *end = at + work->file.len;
    uint64_t found = 0;
    double began = bench_now();
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        found++;
        if (++at == end) break;
    }
    double took = bench_now() - began;
    bench_sink += found;
    return (double)work->file.len / took;
}

/* ---- random get ---- */

static double get_sluice(void *ctx)
{
    struct work *work = ctx;
    uint64_t sum = 0;
    double began = bench_now();
    for (size_t i = 0; i < work->gets; i++) {
        struct log_record record;
        bench_must(log_get(work->log, work->records.seqs[work->order[i]], &record), "get");
        sum += (uint8_t)record.value.data[0] + (uint8_t)record.value.data[record.value.len - 1];
    }
    double took = bench_now() - began;
    bench_sink += sum;
    return (double)work->gets / took;
}

static double get_pread(void *ctx)
{
    static char data[1 << 20];
    struct work *work = ctx;
    uint64_t sum = 0;
    int fd = open(work->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) bench_die("%s: %s", work->path, strerror(errno));
    double began = bench_now();
    for (size_t i = 0; i < work->gets; i++) {
        size_t at = work->order[i], len = work->records.values[at].len;
        if (pread(fd, data, len, work->records.seqs[at] + 4) != (ssize_t)len) bench_die("a short read");
        sum += (uint8_t)data[0] + (uint8_t)data[len - 1];
    }
    double took = bench_now() - began;
    (void)close(fd);
    bench_sink += sum;
    return (double)work->gets / took;
}

static void order_make(struct work *work)
{
    uint64_t random = 11;
    work->gets = GETS_MAX;
    work->order = malloc(work->gets * sizeof *work->order);
    if (work->order == NULL) bench_die("out of memory");
    for (size_t i = 0; i < work->gets; i++)
        work->order[i] = (size_t)(bench_random(&random) % work->records.count);
}

int main(int argc, char **argv)
{
    struct work work = { 0 };
    if (argc != 3) bench_die("usage: bench_log LOG FOLDER");
    work.path = argv[1];
    (void)snprintf(work.copy, sizeof work.copy, "%s/copy.offset", argv[2]);
    (void)snprintf(work.lock, sizeof work.lock, "%s.lock", work.copy);
    bench_log_open(work.path, &work.log);
    bench_map(work.path, &work.file);
    bench_records_load(work.log, &work.records);
    order_make(&work);

    const struct bench_side appends[] = { { "sluice", append_sluice }, { "write", append_write } };
    const struct bench_side scans[] = { { "sluice", scan_sluice }, { "memchr", scan_memchr } };
    const struct bench_side backward[] = { { "sluice", scan_reverse } };
    const struct bench_side gets[] = { { "sluice", get_sluice }, { "pread", get_pread } };
    (void)append_write(&work); /* the kernel's first use of so many pages is dearer than any later one */
    bench_row("log-append", appends, 2, 3, &work);
    bench_row("log-scan", scans, 2, 5, &work);
    bench_row("log-scan-backward", backward, 1, 3, &work);
    bench_row("log-get", gets, 2, 3, &work);

    bench_fact("log-scan-backward", "sluice", (double)work.records.count);
    bench_records_free(&work.records);
    free(work.order);
    bench_unmap(&work.file);
    log_close(work.log);
    return 0;
}
