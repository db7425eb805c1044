/* A table of lists that is being written to. For index_list*.c alone. */
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

/* Takes the chunks of writer->term in writer->run, from the one that begins with (at, ordinal) on, out of the table. The caller frees
 * *ret_entries. */
int writer_take(struct list_writer *writer, uint64_t at, uint32_t ordinal, struct list_entry **ret_entries,
                size_t *ret_count);

/* Puts n > 0 sorted entries into writer->run. */
int writer_term(struct list_writer *writer, const struct term *term, const struct list_entry *entries, size_t n);

#endif
