/* What gathered records will change in the tables of one view, before it is written. Filled by a view's gather and by the core (fields),
 * written by the core on the indexer thread. */
#ifndef VIEWS_VIEW_BATCH_H
#define VIEWS_VIEW_BATCH_H

#include "views/index_keys.h"
#include "views/index_list.h"
#include "views/index_registers.h"
#include "views/view.h"

struct view_batch {
    const struct view_ops *ops;
    struct list_batch *fields[VIEW_FIELDS_MAX];
    struct list_batch *lists[VIEW_TABLES_MAX]; /* tables of shape TABLE_POSTINGS or TABLE_LIST; NULL for others */
    struct register_batch *registers[VIEW_TABLES_MAX]; /* TABLE_REGISTERS */
    struct buf own;                                    /* the view's, for TABLE_OWN…: from gather to write */

    /* for gather to work with; what it leaves there is its affair */
    struct buf scratch, values;
    struct index_keys names;
};

int view_batch_new(const struct view_ops *ops, struct view_batch **ret_batch);
void view_batch_free(struct view_batch *batch);  /* NULL is fine */
void view_batch_reset(struct view_batch *batch); /* empty, memory kept */

int view_batch_gather(struct view_batch *batch, const struct view_record *record);
size_t view_batch_bytes(const struct view_batch *batch); /* of memory in use */

/* Writes the batch to the tables of its view and empties it. After an error it must be reset. */
int view_batch_write(struct view_batch *batch, const struct view *view, struct kv_txn *txn);

#endif
