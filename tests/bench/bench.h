/* What the measuring programs share: time, input, and figures as lines of JSON on standard output.
 *
 * Each program is run once a round and prints one figure for each row and contender; the script `run` gathers them. A
 * measurement that cannot be made ends the process: half a table is worse than none. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/log.h"

_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void bench_must(int err, const char *what); /* anything but OK ends the process with its detail */

double bench_now(void); /* seconds of CLOCK_MONOTONIC */

/* A figure of one contender for one row. */
void bench_put(const char *row, const char *who, double value);

/* Something that all contenders of a row must agree on, such as how many results they found. */
void bench_fact(const char *row, const char *who, double value);

/* ---- contenders in one process -------------------------------------------------------------------------------- */

struct bench_side {
    const char *who;
    double (*run)(void *ctx); /* does the work once and answers its figure */
};

/* Runs the sides by turns, `times` times each, and prints the median of each. In every other round (BENCH_ROUND is odd) the
 * last side begins. */
void bench_row(const char *row, const struct bench_side *sides, size_t n, int times, void *ctx);

double bench_median(double *values, size_t n);            /* sorts them */
double bench_rank(double *values, size_t n, double part); /* 0.99: the 99th percentile; sorts them */

/* ---- input ------------------------------------------------------------------------------------------------------ */

uint64_t bench_random(uint64_t *state);  /* splitmix64 */
uint64_t bench_number(const char *text); /* of an argument */

struct bench_file {
    const char *data;
    size_t len;
};
void bench_map(const char *path, struct bench_file *ret_file); /* read-only, all pages present */
void bench_unmap(struct bench_file *file);

/* The lines of a text, without their ends; the caller frees the array. */
struct slice *bench_lines(const struct bench_file *file, size_t *ret_count);

/* The log for reading, as a server follows it. */
void bench_log_open(const char *path, struct log **ret_log);

/* All records of a log. The values are borrowed from it. */
struct bench_records {
    struct slice *values;
    int64_t *seqs;
    size_t count;
    size_t bytes; /* of all values */
};
void bench_records_load(struct log *log, struct bench_records *ret_records);
void bench_records_free(struct bench_records *records);

/* Results of a measured loop go here, so that the compiler keeps the loop. */
extern volatile uint64_t bench_sink;

#endif
