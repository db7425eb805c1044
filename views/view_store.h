/* What is the same for every view: its tables, its saved state, emptying it, applying a batch to fields and tables. Used by the core, on the
 * indexer thread, and by the view tests. */
#ifndef VIEWS_VIEW_STORE_H
#define VIEWS_VIEW_STORE_H

#include "views/view.h"

/* Stored in the table "views" under the view's name, in the same transaction as what it speaks of. */
struct view_state {
    uint32_t version;
    uint64_t log_identity; /* log_identity() of the log it was built from */
    int64_t since;         /* the last record that was applied */
    uint64_t fingerprint;  /* of that record's bytes: a rewritten log shows here */
    uint64_t records;      /* applied since it was empty */
};

/* Opens or creates the view's tables in a write transaction and fills ret_view. */
int view_store_open(struct kv_txn *txn, const struct view_ops *ops, struct view *ret_view);

/* 1 and the state, 0 = none was saved yet, <0 error. Any transaction. */
int view_store_load(struct kv_txn *txn, const struct view *view, struct view_state *ret_state);
int view_store_save(struct kv_txn *txn, const struct view *view, const struct view_state *state);

/* Empties the tables and forgets the state. */
int view_store_clear(struct kv_txn *txn, const struct view *view);

/* Gathers the records and writes them: what the core does in steps. Does not touch the state. */
int view_store_apply(struct kv_txn *txn, const struct view *view, const struct view_record *records, size_t n);

/* 64 bits over a record's bytes, for view_state.fingerprint. */
uint64_t view_fingerprint(struct slice record);

#endif
