/* The log: the one truth. An append-only list of records, each a run of bytes under a seq.
 *
 * seq      a signed 64 bit number below 2^53, opaque to callers and strictly increasing. In the offset log it is
 *          the byte offset of the record's frame, as in flumedb. SEQ_EMPTY (-1) = nothing yet.
 * since    the seq of the LAST record (not the end of the file).
 * durable  the last seq that survives a power cut. A followed log's durability is its owner's affair: there it
 *          equals since.
 * deleted  a record whose bytes are all zero. log_get answers ERR_DELETED, cursors skip it.
 *
 * Threads: append, sync and close from one thread at a time; everything else from any thread. Record bytes
 * are borrowed from the log and stay valid until log_close. */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

#define SEQ_EMPTY INT64_C(-1)
#define SEQ_MAX ((INT64_C(1) << 53) - 1)

/* The largest record that append takes: far above a message (8 KiB), far below what a frame can say (4 GiB). */
#define LOG_RECORD_MAX ((size_t)16 << 20)

struct log;

struct log_record {
    int64_t seq;
    struct slice value;
};

/* Both ends inclusive; {0, SEQ_MAX, false} is everything. A seq that is no record is fine above the head
 * only: inside the log it must be the start of a record (ERR_BOUNDARY). */
struct log_range {
    int64_t min;
    int64_t max;
    bool reverse; /* newest first */
};

#define LOG_RANGE_ALL ((struct log_range){ 0, SEQ_MAX, false })

/* A place in the log. Plain data: the caller owns it, copies it, drops it; there is nothing to close. */
struct log_cursor {
    struct log *log;
    struct log_range range;
    int64_t at; /* where the next frame is looked for; meaning is the log's own */
    bool ended; /* the range is used up: log_next answers 0 for ever */
};

/* What a kind of log provides: one table at the foot of its file. */
struct log_ops {
    const char *name;
    int (*append)(struct log *log, const struct slice *values, size_t n, int64_t *ret_seqs);
    int (*get)(struct log *log, int64_t seq, struct log_record *ret_record);
    int (*cursor_open)(struct log *log, const struct log_range *range, struct log_cursor *ret_cursor);
    int (*cursor_next)(struct log_cursor *cursor, struct log_record *ret_record);
    int (*cursor_many)(struct log_cursor *cursor, struct log_record *records, size_t max); /* may be NULL */
    int64_t (*since)(struct log *log);
    int64_t (*durable)(struct log *log);
    uint64_t (*identity)(struct log *log);
    int64_t (*bytes)(struct log *log);
    int (*refresh)(struct log *log);
    void (*prefetch)(struct log *log, int64_t seq); /* may be NULL */
    bool (*warm)(struct log *log);                  /* may be NULL */
    int (*sync)(struct log *log);
    void (*close)(struct log *log);
};

/* First member of every kind of log. */
struct log {
    const struct log_ops *ops;
};

/* Appends all of `values` or none. ret_seqs (may be NULL) takes n seqs. Not durable before log_sync.
 * ERR_READONLY, ERR_LIMIT (record too long, or the offset does not fit the log's codec), ERR_NOSPACE, ERR_IO. An
 * empty value is ERR_ARG, and so is one of zero bytes only: in this format it would read as deleted. */
int log_append(struct log *log, const struct slice *values, size_t n, int64_t *ret_seqs);

/* OK, ERR_NOSEQ (past the end), ERR_BOUNDARY, ERR_DELETED, ERR_CORRUPT. */
int log_get(struct log *log, int64_t seq, struct log_record *ret_record);

/* The record at `seq` will be read soon. A hint that costs next to nothing; any seq is fine. */
void log_prefetch(struct log *log, int64_t seq);

/* For idle moments after the log was opened: makes a piece of its newest GiB ready, so that the first look at a record there costs no page
 * fault. Only what is in memory already; no disk is read. About a tenth of a millisecond. true = there is more to do. One thread. */
bool log_warm(struct log *log);

int log_cursor_open(struct log *log, const struct log_range *range, struct log_cursor *ret_cursor);

/* 1 = one record, 0 = nothing now (a forward cursor may get more after an append; see `ended`), <0 = error.
 * Deleted records are skipped. */
int log_next(struct log_cursor *cursor, struct log_record *ret_record);

/* The same for up to `max` records at once: how many, and they are in the order of the range; 0 = nothing now, <0 = error. Fewer
 * than `max` say nothing about the next call. What is there before an error is answered first. For walks that want many records
 * and little of each: from about 1000 at a time a forward walk of an offset log goes at the speed of memory. */
int log_next_many(struct log_cursor *cursor, struct log_record *records, size_t max);

int64_t log_since(struct log *log);
int64_t log_durable(struct log *log);

/* A fingerprint of the log's beginning, to tell one log from another; 0 while it is empty. Stable under append. */
uint64_t log_identity(struct log *log);

/* Bytes of whole records, for progress: a seq divided by this is the part done (offset logs). */
int64_t log_bytes(struct log *log);

/* Followed log: look for what its owner has written. 1 = the head moved, 0 = nothing new, ERR_CHANGED = the
 * file is shorter or another one: what is open answers no longer for it, and must be opened anew. 0 for
 * other logs. Cheap (one fstat) when nothing is new. */
int log_refresh(struct log *log);

/* After OK, durable == since. An error is final: the log stays read-only (fsync must not be retried). */
int log_sync(struct log *log);

void log_close(struct log *log); /* NULL is fine */

/* ---- the kinds of log ------------------------------------------------------------------------------------ */

/* The array log: the model that the others are tested against. seqs are 0, 1, 2 … */
int log_memory_open(struct log **ret_log);

/* flumelog-offset's file. Byte grammar in store/README.md. */
enum log_codec {
    LOG_CODEC_AUTO = 0, /* look at the first record; 53 bit for a new file */
    LOG_CODEC_V2 = 2,   /* flumelog-offset's older frame without `next`; never written */
    LOG_CODEC_32 = 32,
    LOG_CODEC_48 = 48,
    LOG_CODEC_53 = 53,
};

struct log_offset_options {
    const char *path;
    bool follow; /* another process writes: never write, lock, create or repair */
    enum log_codec codec;
};

/* What opening did, for one line of diagnostics. */
struct log_offset_opened {
    enum log_codec codec;
    int64_t cut_at; /* where a torn tail was cut off, or -1 */
    int64_t cut_bytes;
    char cut_path[4096]; /* the file that holds the bytes cut off */
};

/* An owned log is created if absent and locked (ERR_BUSY names the owner's process). Its torn tail is cut and what was
 * cut is saved in a file beside it. ret_opened may be NULL. */
int log_offset_open(const struct log_offset_options *options, struct log_offset_opened *ret_opened,
                    struct log **ret_log);

/* Reads the whole file and reports every range that is not a whole record. `fn` may be NULL. ret_records counts the
 * whole records, deleted ones included. OK when all is well, ERR_CORRUPT otherwise. */
struct log_damage {
    int64_t at;
    int64_t bytes;
    const char *what;
    bool tail; /* nothing readable follows: a torn tail, not a hole */
};
typedef void log_damage_fn(void *ctx, const struct log_damage *damage);
int log_offset_verify(const struct log_offset_options *options, log_damage_fn *fn, void *ctx, enum log_codec *ret_codec,
                      int64_t *ret_records, int64_t *ret_deleted);

/* What became of a damaged file. */
struct log_salvaged {
    enum log_codec codec;
    int64_t records;    /* whole ones, deleted ones included: all of them are kept, with their bytes and their seqs */
    int64_t deleted;    /* of them */
    int64_t ranges;     /* that were damaged, with something readable behind them */
    int64_t lost_bytes; /* in these */
    int64_t filled;     /* deleted records that stand there now instead */
    int64_t cut_bytes;  /* of a torn tail that was left out */
    char path[4096];    /* the new file: beside the old one, under a name that was free */
};

/* Saves what is readable of a damaged file into a new one; the old one is only read. Without `write` nothing is written, and ret_told says what
 * would be. OK also if there is no damage: then `ranges` and `cut_bytes` are 0 and no file was made. `fn` as in log_offset_verify. ERR_BUSY while an
 * owner has the log open. */
int log_offset_salvage(const struct log_offset_options *options, bool write, log_damage_fn *fn, void *ctx,
                       struct log_salvaged *ret_told);

#endif
