/* A table of lists that is being written to: the sorted entries of one term after the other become chunks. For index_list*.c alone. */
#ifndef VIEWS_INDEX_LIST_WRITER_H
#define VIEWS_INDEX_LIST_WRITER_H

#include "views/index_list_chunk.h"

struct list_writer {
    struct kv_txn *txn;
    kv_table table;
    struct kv_cursor *cursor;
    bool payload;
    struct index_runs runs; /* once the batch is written */
    uint32_t run;           /* that is being written */
    bool behind;            /* all that is still to come sorts behind what the table holds */
    const struct term *term;
    uint64_t taken; /* chunks taken out, so far */
    bool open;      /* `chunk` is being filled */
    bool dirty;
    struct chunk chunk;
};

/* With a cursor of its own. Which runs there are (join_read), and the one that is written, is the caller's to fill. */
int writer_open(struct kv_txn *txn, kv_table table, bool payload, struct list_writer **ret_writer);
void writer_close(struct list_writer *writer);

/* Before the first term of a run: does the whole table sort before it? Then nothing has to be looked for any more. */
int writer_begin(struct list_writer *writer, const struct term *term);

/* Of n sorted entries those of the writer's run; *next becomes the first `at` behind it if that is smaller. */
const struct list_entry *writer_part(const struct list_writer *writer, const struct list_entry *entries, size_t n,
                                     size_t *ret_count, uint64_t *next);

/* Takes the chunks of writer->term in writer->run, from the one that begins with (at, ordinal) on, out of the table. The caller frees
 * *ret_entries. */
int writer_take(struct list_writer *writer, uint64_t at, uint32_t ordinal, struct list_entry **ret_entries,
                size_t *ret_count);

/* Puts n > 0 sorted entries into writer->run. */
int writer_term(struct list_writer *writer, const struct term *term, const struct list_entry *entries, size_t n);

#endif
