/* Queries in process:  bench_query LOG VIEWS SAMPLES
 * Prints the median seconds of a query, from the question to an answer that could be sent, and how many results one
 * found on average. */
#include <stdlib.h>
#include <string.h>

#include "server/rows.h"
#include "store/err.h"
#include "tests/bench/bench.h"
#include "tests/bench/flume.h"
#include "views/filter.h"
#include "views/view_messages.h"

#define QUERIES_MAX 20000
#define NEWEST 10
#define BATCH 64

struct work {
    struct flume *flume;
    struct buf out;
    double took[QUERIES_MAX];
    size_t queries, results;
};

static void note(struct work *work, double began, size_t results)
{
    work->took[work->queries++] = bench_now() - began;
    work->results += results;
}

static void report(struct work *work, const char *row)
{
    bench_put(row, "sluice", bench_median(work->took, work->queries));
    bench_fact(row, "sluice", (double)work->results / (double)work->queries);
    work->queries = work->results = 0;
}

/* ---- kinds of queries ---- */

static void by_id(struct work *work, struct slice id)
{
    struct flume_read read;
    struct log_record record;
    struct ref ref;
    buf_reset(&work->out);
    double began = bench_now();
    bench_must(ref_parse(id.data, id.len, &ref), "id");
    bench_must(flume_read_begin(work->flume, &read), "read");
    bench_must(messages_find(&read, &ref, &record), "by id");
    bench_must(record_print(&record, &work->out), "print");
    flume_read_end(&read);
    note(work, began, 1);
}

/* The newest `limit` records of the filter (0 = all), printed. */
static void by_filter(struct work *work, const struct filter *filter, size_t limit)
{
    const struct log_range range = { 0, SEQ_MAX, true };
    struct log *log = flume_log(work->flume);
    struct query query;
    int64_t seqs[BATCH];
    size_t found = 0;
    int got;
    bench_must(query_open(work->flume, filter, &range, &query), "query");
    while ((got = query_next(&query, work->flume, seqs, limit == 0 ? BATCH : limit - found)) > 0) {
        for (int i = 0; i < got; i++) {
            struct log_record record;
            bench_must(log_get(log, seqs[i], &record), "record");
            bench_must(record_print(&record, &work->out), "print");
        }
        found += (size_t)got;
        if (found == limit) break;
    }
    if (got < 0) bench_must(got, "query");
    work->results += found;
}

static void by_fields(struct work *work, const char *first, struct slice a, const char *second, struct slice b,
                      size_t limit)
{
    struct filter filter = { 0 };
    buf_reset(&work->out);
    double began = bench_now();
    bench_must(filter_set(&filter, first, a.data, a.len), first);
    if (second != NULL) bench_must(filter_set(&filter, second, b.data, b.len), second);
    by_filter(work, &filter, limit);
    note(work, began, 0);
}

/* ---- samples ---- */

/* The words behind `kind` on a line: false if it is of another kind. */
static bool sample(struct slice line, const char *kind, struct slice *ret_first, struct slice *ret_second)
{
    size_t len = strlen(kind);
    if (line.len <= len || memcmp(line.data, kind, len) != 0 || line.data[len] != ' ') return false;
    const char *at = line.data + len + 1, *end = line.data + line.len;
    const char *gap = memchr(at, ' ', (size_t)(end - at));
    const char *stop = gap == NULL ? end : gap;
    *ret_first = (struct slice){ at, (size_t)(stop - at) };
    *ret_second = gap == NULL ? (struct slice){ NULL, 0 } : (struct slice){ gap + 1, (size_t)(end - gap - 1) };
    return true;
}

int main(int argc, char **argv)
{
    static struct work work;
    struct bench_file file;
    struct slice a, b;
    size_t count;
    if (argc != 4) bench_die("usage: bench_query LOG VIEWS SAMPLES");
    bench_flume_open(argv[1], argv[2], &work.flume);
    bench_flume_wait(work.flume, false);
    bench_map(argv[3], &file);
    struct slice *lines = bench_lines(&file, &count);
    buf_init(&work.out, (size_t)64 << 20);

    for (size_t i = 0; i < count; i++)
        if (sample(lines[i], "id", &a, &b)) by_id(&work, a);
    report(&work, "query-id");
    for (int turn = 0; turn < 50; turn++)
        for (size_t i = 0; i < count; i++)
            if (sample(lines[i], "type", &a, &b)) by_fields(&work, "type", a, NULL, b, NEWEST);
    report(&work, "query-type");
    for (size_t i = 0; i < count; i++)
        if (sample(lines[i], "author", &a, &b)) by_fields(&work, "author", a, "type", b, NEWEST);
    report(&work, "query-author-type");
    for (size_t i = 0; i < count; i++)
        if (sample(lines[i], "root", &a, &b)) by_fields(&work, "root", a, NULL, b, 0);
    report(&work, "query-root");

    free(lines);
    bench_unmap(&file);
    buf_free(&work.out);
    flume_close(work.flume);
    return 0;
}
