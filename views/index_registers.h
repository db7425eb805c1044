/* Index shape "registers": key -> a few slots, each of which keeps the best offer made to it, by order (a time) and then seq.
 * "The newest value that anybody gave" is a slot that keeps the largest, "the first one" a slot that keeps the smallest. Taking the best is
 * commutative, so the batch size cannot matter.
 *
 * On disk (one LMDB entry per key): `slots` times (f64LE order, i64LE seq); seq -1 = no offer yet. */
#ifndef VIEWS_INDEX_REGISTERS_H
#define VIEWS_INDEX_REGISTERS_H

#include "views/view.h"

#define REGISTER_SLOTS_MAX 8

struct register_slot {
    double order;
    int64_t seq; /* SEQ_EMPTY = none */
};

struct register_batch;

int register_batch_new(size_t slots, const enum register_rule *rules, struct register_batch **ret_batch);
void register_batch_free(struct register_batch *batch); /* NULL is fine */
int register_batch_offer(struct register_batch *batch, struct slice key, size_t slot, double order, int64_t seq);
int register_batch_write(struct register_batch *batch, struct kv_txn *txn, kv_table table); /* and empties the batch */
void register_batch_reset(struct register_batch *batch);
size_t register_batch_bytes(const struct register_batch *batch);

/* The slots in a stored value; ERR_CORRUPT if its size does not fit. */
int register_read(struct slice value, size_t slots, struct register_slot *ret_slots);

#endif
