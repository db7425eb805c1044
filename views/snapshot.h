/* What readers found out about a snapshot, for those after them that read the same one: nothing in it changes. */
#ifndef VIEWS_SNAPSHOT_H
#define VIEWS_SNAPSHOT_H

#include "store/kv.h"
#include "views/flume.h"
#include "views/id_run.h"

#define SNAPSHOT_RUNS 32

/* Runs of message ids (view_messages.c). */
struct snapshot_runs {
    bool known; /* they are all of the table */
    size_t count;
    struct id_run all[SNAPSHOT_RUNS];
    uint32_t units[SNAPSHOT_RUNS]; /* the first one of each */
};

struct snapshot {
    int64_t sinces[VIEWS_MAX]; /* of the slots of the core; SNAPSHOT_SINCE more, 0 = not asked for yet */
    struct snapshot_runs runs;
};
#define SNAPSHOT_SINCE 2 /* SEQ_EMPTY is no 0 then */

_Static_assert(sizeof(struct snapshot) <= KV_NOTE_BYTES, "a note holds it");

/* May be NULL: then there is nothing to look into, and nothing can be left for others. */
static inline struct snapshot *snapshot_of(const struct flume_read *read)
{
    return kv_note(read->txn);
}

#endif
