/* A batch of entries before it is written: gathered term by term, then dealt out and sorted a few terms at a time. For index_list*.c alone. */
#ifndef VIEWS_INDEX_LIST_BATCH_H
#define VIEWS_INDEX_LIST_BATCH_H

#include "views/index_keys.h"
#include "views/index_list.h"

/* Terms that are waited for together. */
#define WAITING_MAX 16

/* An entry and the number of its term. */
struct list_link {
    uint32_t at_low, at_high;
    uint32_t term;
};

struct list_waiting {
    uint32_t hash;
    struct list_entry entry;
    struct term term;
};

struct list_batch {
    bool payload;
    struct index_keys terms; /* each with the count of its entries, a uint32_t */
    struct list_link *links; /* in the order they were added */
    uint64_t *payloads;
    size_t count, link_cap, payload_cap;
    size_t waiting_count;
    struct list_waiting waiting[WAITING_MAX];
};

/* Puts what waits. */
int batch_settle(struct list_batch *batch);

static inline uint64_t link_at(const struct list_link *link)
{
    return (uint64_t)link->at_high << 32 | link->at_low;
}

/* The entries of a few terms at a time, sorted. First all entries are dealt out to their terms, which reads and writes in no order, but
 * without one having to wait for the other. */
#define SORTER_TERMS 8

struct list_sorter {
    const struct list_batch *batch;
    struct index_sort *order; /* of the terms */
    uint32_t *places;         /* of the entries in the batch, term by term */
    uint32_t *ends;           /* of each term in `places` */
    struct list_entry *entries;
    size_t cap;
    size_t count;                        /* terms taken */
    size_t taken_ends[SORTER_TERMS + 1]; /* where the entries of the i-th one end; the first is 0 */
};

/* The caller closes it, also after an error. The batch stays as it is until then. */
int sorter_open(struct list_sorter *sorter, const struct list_batch *batch);
void sorter_close(struct list_sorter *sorter);

/* Takes the terms from the i-th in the order on: sorter->count of them, the entries of the k-th from taken_ends[k] on. */
int sorter_take(struct list_sorter *sorter, size_t i);

#endif
