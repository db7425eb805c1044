/* Two runs of a list without payload become one, a little at each write. For index_list*.c alone.
 *
 * When the log enters a new unit (index_keys.h), the unit before it joins the run in front of it. All at once that would change pages all over
 * a large run in one commit. So the terms of the unit are moved in the order of their bytes, as many at a write as the log has grown, and
 * the last of them before the new unit is half full. Meanwhile the last entry of the table says how far it is: key = RUN_NONE as u32BE; value
 * = newest unit as u32BE, joining unit as u32BE, chunks that are still to be moved as u64BE, where the newest entry stood at the last
 * write as u64BE. A term is moved within one commit, so a reader finds it in one of the two runs, whole. */
#ifndef VIEWS_INDEX_LIST_JOIN_H
#define VIEWS_INDEX_LIST_JOIN_H

#include "views/index_list_chunk.h"

struct list_writer;

struct list_join {
    struct index_runs runs;
    uint64_t left; /* chunks */
    uint64_t at;   /* of the newest entry at the last write */
};

/* Which runs a table has, by its last entry: 1, 0 = it is empty, <0. */
int join_read(struct kv_cursor *cursor, bool payload, struct list_join *ret_join);

/* The newest unit is another one now, and the one before it is to be moved. */
int join_begin(struct list_writer *writer, uint32_t joining, struct list_join *ret_join);

/* Moves the share of what is left that goes with the newest entry at `at`. */
int join_step(struct list_writer *writer, struct list_join *join, uint64_t at);

int join_finish(struct list_writer *writer, struct list_join *join);

#endif
