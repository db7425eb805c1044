/* What was appended but is not in the views yet: the newest message of each such feed, and the ids. A hash table with
 * an undo list, so that a job that turns out bad takes back what it added. One thread. */
#ifndef VIEWS_FLUME_PENDING_H
#define VIEWS_FLUME_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ref.h"

struct pending_entry {
    struct ref key;   /* a feed or a message */
    bool known;       /* false: as if it were absent */
    struct ref id;    /* feed: its newest message */
    int64_t sequence; /* feed: of that message */
    double timestamp; /* feed: that it claims */
    int64_t where;    /* message: its seq, or -1 - n for the n-th value of the batch that is being made */
};

struct pending {
    struct pending_entry *entries; /* kind REF_NONE = free */
    size_t count, cap;             /* cap is a power of two */
    struct pending_entry *undo;    /* what stood there before each change */
    size_t undo_count, undo_cap;
    uint64_t seed;
};

void pending_init(struct pending *pending);
void pending_free(struct pending *pending);
void pending_clear(struct pending *pending); /* memory kept unless it is much */

/* NULL = not known here. Valid until the next pending_set. */
const struct pending_entry *pending_find(const struct pending *pending, const struct ref *key);
int pending_set(struct pending *pending, const struct pending_entry *entry); /* OK, ERR_NOMEM */

size_t pending_mark(const struct pending *pending);
void pending_undo(struct pending *pending, size_t mark); /* takes back all changes since the mark */
/* The batch is in the log: its values stand at `seqs`. The changes can no longer be taken back. */
void pending_settle(struct pending *pending, const int64_t *seqs);

#endif
