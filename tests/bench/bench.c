#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/err.h"

#define SIDES_MAX 4
#define TIMES_MAX 64

volatile uint64_t bench_sink;

void bench_die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("bench: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void bench_must(int err, const char *what)
{
    if (err != OK) bench_die("%s: %s", what, err_detail(err));
}

double bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void bench_put(const char *row, const char *who, double value)
{
    printf("{\"row\":\"%s\",\"who\":\"%s\",\"value\":%.9g}\n", row, who, value);
    (void)fflush(stdout);
}

void bench_fact(const char *row, const char *who, double value)
{
    printf("{\"fact\":\"%s\",\"who\":\"%s\",\"value\":%.17g}\n", row, who, value);
    (void)fflush(stdout);
}

/* ---- contenders in one process ---- */

static bool round_is_odd(void)
{
    const char *round = getenv("BENCH_ROUND");
    return round != NULL && bench_number(round) % 2 == 1;
}

void bench_row(const char *row, const struct bench_side *sides, size_t n, int times, void *ctx)
{
    static double values[SIDES_MAX][TIMES_MAX];
    bool odd = round_is_odd();
    if (n > SIDES_MAX || times > TIMES_MAX) bench_die("%s: too many sides or times", row);
    for (int turn = 0; turn < times; turn++) {
        for (size_t i = 0; i < n; i++) {
            size_t side = odd ? n - 1 - i : i;
            values[side][turn] = sides[side].run(ctx);
        }
    }
    for (size_t i = 0; i < n; i++)
        bench_put(row, sides[i].who, bench_median(values[i], (size_t)times));
}

static int double_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_rank(double *values, size_t n, double part)
{
    if (n == 0) return 0;
    qsort(values, n, sizeof *values, double_order);
    size_t at = (size_t)(part * (double)n);
    return values[at < n ? at : n - 1];
}

double bench_median(double *values, size_t n)
{
    double upper = bench_rank(values, n, 0.5);
    return n % 2 == 0 && n > 0 ? (values[n / 2 - 1] + upper) / 2 : upper;
}

/* ---- input ---- */

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t bench_number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) bench_die("\"%s\" is no number", text);
    return number;
}

void bench_map(const char *path, struct bench_file *ret_file)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) bench_die("%s: %s", path, strerror(errno));
    ret_file->len = (size_t)info.st_size;
    void *base = mmap(NULL, ret_file->len, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED) bench_die("%s: %s", path, strerror(errno));
    ret_file->data = base;
    (void)close(fd);
}

void bench_unmap(struct bench_file *file)
{
    union {
        const char *borrowed;
        void *owned;
    } base = { .borrowed = file->data };
    (void)munmap(base.owned, file->len);
}

struct slice *bench_lines(const struct bench_file *file, size_t *ret_count)
{
    size_t cap = 1024, count = 0;
    struct slice *lines = malloc(cap * sizeof *lines);
    const char *at = file->data, *end = at + file->len;
    while (at < end && lines != NULL) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        if (count == cap) lines = reallocarray(lines, cap *= 2, sizeof *lines);
        if (lines != NULL) lines[count++] = (struct slice){ at, (size_t)(stop - at) };
        at = stop + 1;
    }
    if (lines == NULL) bench_die("out of memory");
    *ret_count = count;
    return lines;
}

void bench_log_open(const char *path, struct log **ret_log)
{
    bench_must(log_offset_open(&(struct log_offset_options){ .path = path, .follow = true }, NULL, ret_log), path);
}

void bench_records_load(struct log *log, struct bench_records *ret_records)
{
    struct bench_records all = { 0 };
    struct log_cursor cursor;
    struct log_record record;
    size_t cap = 0;
    int got;
    bench_must(log_cursor_open(log, &LOG_RANGE_ALL, &cursor), "cursor");
    while ((got = log_next(&cursor, &record)) == 1) {
        if (all.count == cap) {
            cap = cap == 0 ? 65536 : cap * 2;
            all.values = reallocarray(all.values, cap, sizeof *all.values);
            all.seqs = reallocarray(all.seqs, cap, sizeof *all.seqs);
            if (all.values == NULL || all.seqs == NULL) bench_die("out of memory");
        }
        all.values[all.count] = record.value;
        all.seqs[all.count++] = record.seq;
        all.bytes += record.value.len;
    }
    bench_must(got, "reading the log");
    *ret_records = all;
}

void bench_records_free(struct bench_records *records)
{
    free(records->values);
    free(records->seqs);
    *records = (struct bench_records){ 0 };
}
