/* Makes what is measured:  bench_data N FOLDER
 *
 *   log.offset      N generated messages in a 53 bit log     data.ndjson   the same records, one a line
 *   writers.ndjson  signed values of WRITERS feeds, one of each in turn, so that line i belongs to feed i % WRITERS
 *   samples         what queries ask for: "id ID", "type TYPE", "author AUTHOR TYPE", "root ID"
 *
 * The same N gives the same bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/message.h"
#include "tests/bench/bench.h"
#include "tests/support/gen.h"

#define BATCH 1000
#define WRITERS 64
#define SAMPLES 1000
#define SAMPLE_IDS 20000
#define TYPES 7 /* types sampled are the first so many that come */
#define FEEDS_MAX 4096

struct feed_values {
    struct ref author;
    struct slice *values; /* borrowed from the log */
    size_t count, cap;
};

static FILE *out_open(const char *dir, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    if (file == NULL) bench_die("%s cannot be written", path);
    (void)setvbuf(file, NULL, _IOFBF, 1 << 20);
    return file;
}

static void out_close(FILE *file)
{
    if (ferror(file) != 0 || fclose(file) != 0) bench_die("a file could not be written");
}

/* Records of the generator last until the next one only: a batch of them is kept here. */
static void batch_append(struct log *log, struct buf *text, const size_t *lens, size_t n)
{
    static struct slice values[BATCH];
    const char *at = text->data;
    for (size_t i = 0; i < n; i++) {
        values[i] = (struct slice){ at, lens[i] };
        at += lens[i];
    }
    bench_must(log_append(log, values, n, NULL), "append");
    buf_reset(text);
}

static void make_log(uint64_t count, const char *dir, const char *log_path)
{
    static size_t lens[BATCH];
    struct gen *gen;
    struct log *log;
    struct buf text;
    FILE *lines = out_open(dir, "data.ndjson");
    buf_init(&text, (size_t)64 << 20);
    bench_must(gen_open(&(struct gen_options){ .seed = 42 }, &gen), "generator");
    bench_must(log_offset_open(&(struct log_offset_options){ .path = log_path, .codec = LOG_CODEC_53 }, NULL, &log),
               log_path);
    size_t n = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct slice record;
        bench_must(gen_next(gen, &record), "generator");
        (void)fwrite(record.data, 1, record.len, lines);
        (void)fputc('\n', lines);
        bench_must(buf_append(&text, record.data, record.len), "batch");
        lens[n++] = record.len;
        if (n < BATCH && i + 1 < count) continue;
        batch_append(log, &text, lens, n);
        n = 0;
    }
    bench_must(log_sync(log), "sync");
    log_close(log);
    gen_close(gen);
    buf_free(&text);
    out_close(lines);
}

/* ---- feeds of the writers ---- */

static struct feed_values *feed_of(struct feed_values *feeds, size_t *count, const struct ref *author)
{
    for (size_t i = 0; i < *count; i++) {
        if (ref_equal(&feeds[i].author, author)) return &feeds[i];
    }
    if (*count == FEEDS_MAX) bench_die("too many feeds");
    feeds[*count].author = *author;
    return &feeds[(*count)++];
}

static int feed_order(const void *a, const void *b)
{
    size_t x = ((const struct feed_values *)a)->count, y = ((const struct feed_values *)b)->count;
    return x > y ? -1 : x < y;
}

static void make_writers(const struct bench_records *records, const char *dir)
{
    struct feed_values *feeds = calloc(FEEDS_MAX, sizeof *feeds);
    struct message message;
    size_t count = 0;
    if (feeds == NULL) bench_die("out of memory");
    message_init(&message);
    for (size_t i = 0; i < records->count; i++) {
        bench_must(message_scan(&message, records->values[i].data, records->values[i].len), "scan");
        struct feed_values *feed = feed_of(feeds, &count, &message.author_ref);
        if (feed->count == feed->cap) {
            feed->cap = feed->cap == 0 ? 64 : feed->cap * 2;
            feed->values = reallocarray(feed->values, feed->cap, sizeof *feed->values);
            if (feed->values == NULL) bench_die("out of memory");
        }
        feed->values[feed->count++] = message.value;
    }
    message_free(&message);
    qsort(feeds, count, sizeof *feeds, feed_order);
    if (count < WRITERS) bench_die("there are %zu feeds only", count);
    FILE *file = out_open(dir, "writers.ndjson");
    for (size_t turn = 0; turn < feeds[WRITERS - 1].count; turn++) {
        for (size_t i = 0; i < WRITERS; i++) {
            (void)fwrite(feeds[i].values[turn].data, 1, feeds[i].values[turn].len, file);
            (void)fputc('\n', file);
        }
    }
    out_close(file);
    for (size_t i = 0; i < count; i++)
        free(feeds[i].values);
    free(feeds);
}

/* ---- samples ---- */

static void put_ref(FILE *file, const char *word, const struct ref *ref)
{
    char text[REF_TEXT_MAX + 1];
    size_t len = ref_print(ref, text);
    (void)fprintf(file, "%s %.*s", word, (int)len, text);
}

static void put_types(const struct bench_records *records, struct message *message, FILE *file)
{
    char seen[TYPES][64];
    size_t types = 0;
    for (size_t i = 0; i < records->count && types < TYPES; i++) {
        bench_must(message_scan(message, records->values[i].data, records->values[i].len), "scan");
        if (message->type.data == NULL || message->type.len >= sizeof seen[0]) continue;
        bool old = false;
        for (size_t k = 0; k < types; k++)
            old = old ||
                  (strlen(seen[k]) == message->type.len && memcmp(seen[k], message->type.data, message->type.len) == 0);
        if (old) continue;
        memcpy(seen[types], message->type.data, message->type.len);
        seen[types][message->type.len] = '\0';
        (void)fprintf(file, "type %s\n", seen[types++]);
    }
}

static void make_samples(const struct bench_records *records, const char *dir)
{
    FILE *file = out_open(dir, "samples");
    struct message message;
    uint64_t random = 7;
    size_t ids = 0, authors = 0, roots = 0;
    message_init(&message);
    put_types(records, &message, file);
    while (ids < SAMPLE_IDS || authors < SAMPLES || roots < SAMPLES) {
        size_t at = (size_t)(bench_random(&random) % records->count);
        bench_must(message_scan(&message, records->values[at].data, records->values[at].len), "scan");
        if (ids++ < SAMPLE_IDS) {
            put_ref(file, "id", &message.id);
            (void)fputc('\n', file);
        }
        if (message.type.data != NULL && authors++ < SAMPLES) {
            put_ref(file, "author", &message.author_ref);
            (void)fprintf(file, " %.*s\n", (int)message.type.len, message.type.data);
        }
        if (message.root.kind != REF_NONE && roots++ < SAMPLES) {
            put_ref(file, "root", &message.root);
            (void)fputc('\n', file);
        }
    }
    message_free(&message);
    out_close(file);
}

int main(int argc, char **argv)
{
    char log_path[4096];
    struct log *log;
    struct bench_records records;
    if (argc != 3) bench_die("usage: bench_data N FOLDER");
    (void)snprintf(log_path, sizeof log_path, "%s/log.offset", argv[2]);
    make_log(bench_number(argv[1]), argv[2], log_path);
    bench_log_open(log_path, &log);
    bench_records_load(log, &records);
    make_writers(&records, argv[2]);
    make_samples(&records, argv[2]);
    bench_records_free(&records);
    log_close(log);
    return 0;
}
