/* The message scan against parsers and the machine:  bench_scan LOG
 * All contenders read the same bytes, in memory, on one core. Figures in bytes a second. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/message.h"
#include "tests/bench/bench.h"
#include "tests/bench/simdjson.h"

#define JANSSON_PART 10 /* it is given every so many records, because it takes so long */

struct work {
    char *text; /* all records, without frames, and SIMDJSON_SLACK */
    size_t *lens;
    size_t count, bytes;
    struct message message;
};

static double scan_sluice(void *ctx)
{
    struct work *work = ctx;
    const char *at = work->text;
    uint64_t refs = 0;
    double began = bench_now();
    for (size_t i = 0; i < work->count; i++) {
        bench_must(message_scan(&work->message, at, work->lens[i]), "scan");
        refs += work->message.ref_count;
        at += work->lens[i];
    }
    double took = bench_now() - began;
    bench_sink += refs;
    return (double)work->bytes / took;
}

static double scan_jansson(void *ctx)
{
    struct work *work = ctx;
    const char *at = work->text;
    size_t bytes = 0;
    double began = bench_now();
    for (size_t i = 0; i < work->count; i++) {
        if (i % JANSSON_PART == 0) {
            json_t *json = json_loadb(at, work->lens[i], 0, NULL);
            if (json == NULL) bench_die("jansson refuses record %zu", i);
            json_decref(json);
            bytes += work->lens[i];
        }
        at += work->lens[i];
    }
    return (double)bytes / (bench_now() - began);
}

static double scan_simdjson(void *ctx)
{
    struct work *work = ctx;
    double began = bench_now();
    uint64_t sum = simdjson_visit(work->text, work->lens, work->count);
    double took = bench_now() - began;
    if (sum == UINT64_MAX) bench_die("simdjson refuses a record");
    bench_sink += sum;
    return (double)work->bytes / took;
}

static double scan_memchr(void *ctx)
{
    struct work *work = ctx;
    double began = bench_now();
    bench_sink += memchr(work->text, '\n', work->bytes) != NULL;
    return (double)work->bytes / (bench_now() - began);
}

static void work_load(const char *path, struct work *work)
{
    struct log *log;
    struct bench_records records;
    bench_log_open(path, &log);
    bench_records_load(log, &records);
    work->text = calloc(1, records.bytes + SIMDJSON_SLACK);
    work->lens = malloc(records.count * sizeof *work->lens);
    if (work->text == NULL || work->lens == NULL) bench_die("out of memory");
    for (size_t i = 0; i < records.count; i++) {
        memcpy(work->text + work->bytes, records.values[i].data, records.values[i].len);
        work->bytes += records.values[i].len;
        work->lens[i] = records.values[i].len;
    }
    work->count = records.count;
    bench_records_free(&records);
    log_close(log);
    message_init(&work->message);
}

int main(int argc, char **argv)
{
    struct work work = { 0 };
    if (argc != 2) bench_die("usage: bench_scan LOG");
    work_load(argv[1], &work);
    const struct bench_side sides[] = {
        { "sluice", scan_sluice }, { "jansson", scan_jansson }, { "simdjson", scan_simdjson }, { "memchr", scan_memchr }
    };
    bench_row("scan", sides, sizeof sides / sizeof sides[0], 3, &work);
    message_free(&work.message);
    free(work.text);
    free(work.lens);
    return 0;
}
