#include "views/index_list_batch.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"

#define FAR_SLOTS 4096 /* fewer slots of terms are in the processor's cache: nothing has to be waited for */

int list_batch_new(bool payload, struct list_batch **ret_batch)
{
    struct list_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return err_set(ERR_NOMEM, "no memory for a batch of list entries");
    batch->payload = payload;
    index_keys_init(&batch->terms, sizeof(uint32_t));
    *ret_batch = batch;
    return OK;
}

void list_batch_free(struct list_batch *batch)
{
    if (batch == NULL) return;
    index_keys_free(&batch->terms);
    free(batch->links);
    free(batch->payloads);
    free(batch);
}

void list_batch_reset(struct list_batch *batch)
{
    batch->count = batch->waiting_count = 0;
    index_keys_reset(&batch->terms);
}

static int batch_put(struct list_batch *batch, const struct term *term, uint32_t hash, const struct list_entry *entry)
{
    uint32_t id;
    int err = index_grow(&batch->links, &batch->link_cap, batch->count, sizeof *batch->links);
    if (err == OK && batch->payload)
        err = index_grow(&batch->payloads, &batch->payload_cap, batch->count, sizeof *batch->payloads);
    const struct slice key = { (const char *)term->bytes, term->len };
    if (err == OK) err = index_keys_add_hashed(&batch->terms, key, hash, &id);
    if (err != OK) return err;
    batch->links[batch->count] = (struct list_link){ (uint32_t)entry->at, (uint32_t)(entry->at >> 32), id };
    if (batch->payload) batch->payloads[batch->count] = entry->payload;
    batch->count++;
    ++*(uint32_t *)index_keys_extra(&batch->terms, id);
    return OK;
}

int batch_settle(struct list_batch *batch)
{
    int err = OK;
    for (size_t i = 0; i < batch->waiting_count; i++)
        index_keys_fetch_record(&batch->terms, batch->waiting[i].hash);
    for (size_t i = 0; i < batch->waiting_count && err == OK; i++)
        err = batch_put(batch, &batch->waiting[i].term, batch->waiting[i].hash, &batch->waiting[i].entry);
    batch->waiting_count = 0;
    return err;
}

int list_batch_add(struct list_batch *batch, const struct term *term, uint64_t at, uint64_t payload)
{
    if (!batch->payload && at > LIST_AT_MAX)
        return err_set(ERR_LIMIT, "%llu is too large for a list of seqs", (unsigned long long)at);
    uint32_t hash = index_keys_hash(&batch->terms, (struct slice){ (const char *)term->bytes, term->len });
    const struct list_entry entry = { at, payload };
    if (batch->terms.slot_count < FAR_SLOTS) {
        int err = batch->waiting_count > 0 ? batch_settle(batch) : OK;
        return err == OK ? batch_put(batch, term, hash, &entry) : err;
    }
    index_keys_fetch_slot(&batch->terms, hash);
    struct list_waiting *waiting = &batch->waiting[batch->waiting_count++];
    waiting->hash = hash;
    waiting->entry = entry;
    waiting->term.len = term->len;
    memcpy(waiting->term.bytes, term->bytes, term->len);
    return batch->waiting_count == WAITING_MAX ? batch_settle(batch) : OK;
}

size_t list_batch_bytes(const struct list_batch *batch)
{
    size_t each = sizeof *batch->links + (batch->payload ? sizeof *batch->payloads : 0);
    return index_keys_bytes(&batch->terms) + batch->count * each;
}

/* ---- sorting ------------------------------------------------------------------------------------------------ */

/* A merge sort, because equal entries must stay in their order. `spare` holds half as many. */
static void entries_sort(struct list_entry *entries, struct list_entry *spare, size_t n)
{
    size_t sorted = 1;
    while (sorted < n && entries[sorted - 1].at <= entries[sorted].at)
        sorted++;
    if (sorted >= n) return;
    size_t half = n / 2;
    entries_sort(entries, spare, half);
    entries_sort(entries + half, spare, n - half);
    memcpy(spare, entries, half * sizeof *entries);
    for (size_t i = 0, j = half, out = 0; i < half; out++) {
        bool right = j < n && entries[j].at < spare[i].at;
        entries[out] = right ? entries[j++] : spare[i++];
    }
}

void sorter_close(struct list_sorter *sorter)
{
    free(sorter->order);
    free(sorter->places);
    free(sorter->ends);
    free(sorter->entries);
}

static uint32_t sorter_term_count(const struct list_sorter *sorter, uint32_t term)
{
    return *(const uint32_t *)index_keys_extra(&sorter->batch->terms, term);
}

int sorter_open(struct list_sorter *sorter, const struct list_batch *batch)
{
    *sorter = (struct list_sorter){ .batch = batch };
    int err = index_keys_sort(&batch->terms, &sorter->order);
    if (err != OK) return err;
    sorter->places = malloc(batch->count * sizeof *sorter->places);
    sorter->ends = malloc(batch->terms.count * sizeof *sorter->ends);
    if (sorter->places == NULL || sorter->ends == NULL)
        return err_set(ERR_NOMEM, "no memory to sort %zu list entries", batch->count);
    uint32_t at = 0;
    for (size_t i = 0; i < batch->terms.count; i++) {
        uint32_t term = (uint32_t)sorter->order[i].id;
        sorter->ends[term] = at;
        at += sorter_term_count(sorter, term);
    }
    for (size_t i = 0; i < batch->count; i++)
        sorter->places[sorter->ends[batch->links[i].term]++] = (uint32_t)i;
    return OK;
}

static int sorter_reserve(struct list_sorter *sorter, size_t count)
{
    if (sorter->cap >= 2 * count) return OK;
    size_t cap = 4 * count + 64;
    struct list_entry *entries = calloc(cap, sizeof *entries);
    if (entries == NULL) return err_set(ERR_NOMEM, "no memory to sort %zu list entries", count);
    free(sorter->entries);
    sorter->entries = entries;
    sorter->cap = cap;
    return OK;
}

static void sorter_copy(const struct list_sorter *sorter, uint32_t term, size_t count, struct list_entry *entries)
{
    const struct list_batch *batch = sorter->batch;
    const uint32_t *places = sorter->places + sorter->ends[term] - count;
    for (size_t i = 0; i < count; i++) {
        uint64_t payload = batch->payload ? batch->payloads[places[i]] : 0;
        entries[i] = (struct list_entry){ link_at(&batch->links[places[i]]), payload };
    }
}

int sorter_take(struct list_sorter *sorter, size_t i)
{
    const struct index_keys *terms = &sorter->batch->terms;
    size_t *ends = sorter->taken_ends;
    sorter->count = terms->count - i < SORTER_TERMS ? terms->count - i : SORTER_TERMS;
    for (size_t k = 0; k < sorter->count; k++) {
        ends[k + 1] = ends[k] + sorter_term_count(sorter, (uint32_t)sorter->order[i + k].id);
        /* of the group behind this one */
        size_t ahead = i + k + SORTER_TERMS;
        if (ahead < terms->count) __builtin_prefetch(index_keys_extra(terms, (uint32_t)sorter->order[ahead].id));
    }
    size_t total = ends[sorter->count];
    int err = sorter_reserve(sorter, total);
    if (err != OK) return err;
    for (size_t k = 0; k < sorter->count; k++) {
        struct list_entry *entries = sorter->entries + ends[k];
        size_t count = ends[k + 1] - ends[k];
        sorter_copy(sorter, (uint32_t)sorter->order[i + k].id, count, entries);
        entries_sort(entries, sorter->entries + total, count);
    }
    return OK;
}
