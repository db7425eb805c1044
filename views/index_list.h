/* Index shape "list": term -> ascending list of entries, packed in chunks. Posting lists (term -> seqs) are lists whose
 * entries are a seq alone; an ordered map (author -> sequence -> seq) is a list with a payload.
 *
 * On disk (one LMDB entry per chunk), with a payload: key = term, first `at` as u64BE. Without: key = run of the chunk (index_keys.h) as
 * u32BE, term, the place of its first `at` in the run as u32BE. Value = varint count, varint last - first, then the
 * entries as varints: each `at` but the first as the difference to the one before, then its payload as a zigzag difference to the one
 * before (from 0). A chunk that begins with the very `at` that the one before began with has a u32BE ordinal (1, 2 …) behind it in the key.
 *
 * Chunks are filled greedily from the beginning of a list (of its part in one run), so the layout depends on the entries alone, not on the
 * batches they came in; but for how far two runs are joined (index_list_join.h). Entries of equal `at` may repeat: a message that links twice to the same target stands twice, which makes counts
 * exact. */
#ifndef VIEWS_INDEX_LIST_H
#define VIEWS_INDEX_LIST_H

#include "views/index_keys.h"
#include "views/view.h"

/* `at` of a list without payload goes up to here; a seq is far below. */
#define LIST_AT_MAX RUN_SEQ_MAX

struct list_entry {
    uint64_t at;
    uint64_t payload; /* 0 in a list without payload */
};

/* ---- writing: gather a batch, then write it sorted --------------------------------------------------------- */

struct list_batch; /* entries for one table; memory of the caller's batch, freed with it */

int list_batch_new(bool payload, struct list_batch **ret_batch);
void list_batch_free(struct list_batch *batch); /* NULL is fine */
int list_batch_add(struct list_batch *batch, const struct term *term, uint64_t at, uint64_t payload);
void list_batch_reset(struct list_batch *batch);         /* empty, memory kept */
size_t list_batch_bytes(const struct list_batch *batch); /* of memory in use */

/* Sorts the batch by term and `at` (equal ones stay in the order they were added), merges it into the table and empties the batch. Entries usually go
 * behind what is there; those that do not are inserted at their place. */
int list_batch_write(struct list_batch *batch, struct kv_txn *txn, kv_table table);

/* Brings the joining of two runs of a list without payload to its end: then the layout depends on the entries alone. */
int list_settle(struct kv_txn *txn, kv_table table);

/* ---- reading ------------------------------------------------------------------------------------------------ */

#define LIST_CHUNK_ENTRIES 512 /* entries in one chunk at most */

/* Unpacks a chunk a part at a time: index_list_chunk.h. */
struct chunk_reader {
    const uint8_t *at, *end;
    uint64_t last; /* `at` of the chunk's last entry */
    size_t count, done;
    struct list_entry entry; /* unpacked last */
};

struct list_iter {
    struct kv_cursor *cursor;
    struct term term;
    bool payload;
    bool reverse;
    struct index_runs runs;
    uint32_t run;       /* of the chunk that was found last */
    bool loaded;        /* a chunk is in `entries`, upwards as much of it as was asked for */
    size_t count, next; /* of that chunk; `next` counts in the direction of travel */
    struct chunk_reader reader;
    struct list_entry entries[LIST_CHUNK_ENTRIES];
};

/* The caller closes it before `txn` ends. About 8 KiB: mind the stack when several are needed. */
int list_iter_open(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, bool reverse,
                   struct list_iter *ret_iter);
void list_iter_close(struct list_iter *iter); /* NULL is fine */

/* Moves to the first entry >= `at` (reverse: the last <= `at`), skipping whole chunks. 1 and the entry, 0 = none, <0 error.
 * Galloping: cheap when the target is near in the direction of travel. */
int list_seek(struct list_iter *iter, uint64_t at, struct list_entry *ret_entry);
int list_next(struct list_iter *iter, struct list_entry *ret_entry);

/* All entries of a term (repeats counted), from the chunks' heads alone. */
int list_count(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, uint64_t *ret_count);

/* The same of those up to `upto`. */
int list_count_upto(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, uint64_t upto,
                    uint64_t *ret_count);

/* Takes entries of the i-th term: OK to go on, or an error, by which the reading ends. */
typedef int list_each_fn(void *ctx, size_t i, const struct list_entry *entries, size_t count);

/* The entries of many lists without payload: one cursor goes through them run by run, in each run in the order of the terms, which the caller has
 * sorted by their bytes. Several times faster than an iterator for each. Of one term the entries come in ascending order. */
int list_each(struct kv_txn *txn, kv_table table, const struct slice *terms, size_t count, list_each_fn *fn, void *ctx);

/* Walks the terms of a table in byte order: the first term > `after` (NULL = the first of all): 1, its count and its newest entry's `at`, 0 = no more. */
int list_next_term(struct kv_txn *txn, kv_table table, bool payload, const struct term *after, struct term *ret_term,
                   uint64_t *ret_count, uint64_t *ret_last);

/* The newest entry of a term without payload: 1 and its `at`, 0 = there is none. */
int list_newest(struct kv_txn *txn, kv_table table, const struct term *term, uint64_t *ret_last);

/* The terms that begin with the bytes of `prefix`, which is no whole term, in byte order: at most `max` of them. */
int list_terms(struct kv_txn *txn, kv_table table, bool payload, const struct term *prefix, struct term *terms,
               size_t max, size_t *ret_count);

#endif
