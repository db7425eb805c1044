/* A batch of lines on its way into the log: read, checked by several threads, appended. Used by cli_import.c. */
#ifndef SERVER_IMPORT_BATCH_H
#define SERVER_IMPORT_BATCH_H

#include "server/line_reader.h"
#include "views/flume.h"

#define IMPORT_BATCH_LINES 1000
#define IMPORT_BATCH_BYTES ((size_t)4 << 20) /* a batch is full when it has so many */

struct import_line {
    size_t at, len; /* in the batch's text */
    int64_t number;
    int err; /* of its check */
};

struct import_batch {
    bool any;   /* any JSON value instead of messages */
    bool trust; /* signatures are not checked */
    struct buf text;
    struct import_line lines[IMPORT_BATCH_LINES];
    size_t count;
    struct feed_message messages[IMPORT_BATCH_LINES];
    struct slice values[IMPORT_BATCH_LINES];
    int64_t seqs[IMPORT_BATCH_LINES];
    struct flume_append job;

    int stop_err;      /* OK, or why the import ends behind this batch */
    int64_t stop_line; /* number of the line that is to blame; 0 = none */
    char stop_detail[512];
};

struct import_batch *import_batch_new(bool any, bool trust); /* NULL = out of memory */
void import_batch_free(struct import_batch *batch);          /* NULL is fine */

/* Empties the batch and fills it: 1 = it holds lines, 0 = there are no more. A line that cannot be read sets stop_err. */
int import_batch_read(struct import_batch *batch, struct line_reader *reader);

/* Checks every line with `threads` threads and makes the records. The batch ends before the first bad line, which is left in stop_…. */
void import_batch_check(struct import_batch *batch, unsigned threads);

#endif
