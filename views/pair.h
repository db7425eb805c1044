/* Registers of pairs: what one reference (a feed, a message) has to do with another, as in "A follows B", "C votes for M". The key is
 * the 33 bytes of the one and then of the other, so everything about the one stands together, ordered by the other. */
#ifndef VIEWS_PAIR_H
#define VIEWS_PAIR_H

#include "views/index_registers.h"

#define PAIR_REF_BYTES 33
#define PAIR_KEY_BYTES (2 * PAIR_REF_BYTES)

void pair_key(const struct ref *one, const struct ref *other, char key[PAIR_KEY_BYTES]);

/* The order of `other`: its bytes as they stand in the key. */
int pair_compare(const struct ref *a, const struct ref *b);

/* Offers record `seq` to a slot where the newest in the log counts. */
int pair_offer(struct register_batch *batch, const struct ref *one, const struct ref *other, size_t slot, int64_t seq);

struct pair_iter {
    struct kv_cursor *cursor;
    char from[PAIR_KEY_BYTES]; /* where the next one is sought: `one` stands in front */
    size_t slots;
    bool moved;  /* the cursor stands on the last one given */
    bool behind; /* `from` itself is not wanted */
};

/* All pairs of `one`, those behind `after` (NULL = from the first on). Closed before `txn` ends. */
int pair_open(struct kv_txn *txn, kv_table table, size_t slots, const struct ref *one, const struct ref *after,
              struct pair_iter *ret_iter);
void pair_close(struct pair_iter *iter); /* zeroed is fine */

/* 1 and the next pair, 0 = no more, <0 error. ret_slots has room for the slots of the register. */
int pair_next(struct pair_iter *iter, struct ref *ret_other, struct register_slot *ret_slots);

#endif
