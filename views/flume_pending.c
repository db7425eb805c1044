#include "views/flume_pending.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "store/err.h"

#define PENDING_CAP_MIN 1024
#define PENDING_CAP_KEPT 16384

void pending_init(struct pending *pending)
{
    *pending = (struct pending){ 0 };
    /* Keys come from strangers: without a secret they could all be made to meet in one place. */
    if (getrandom(&pending->seed, sizeof pending->seed, GRND_NONBLOCK) != (ssize_t)sizeof pending->seed)
        pending->seed = (uint64_t)time(NULL) * UINT64_C(0x9E3779B97F4A7C15);
}

void pending_free(struct pending *pending)
{
    free(pending->entries);
    free(pending->undo);
    *pending = (struct pending){ .seed = pending->seed };
}

void pending_clear(struct pending *pending)
{
    /* a table that is much too large is not worth being wiped */
    if (pending->cap > PENDING_CAP_KEPT || pending->undo_cap > PENDING_CAP_KEPT ||
        (pending->cap > PENDING_CAP_MIN && pending->cap / 16 > pending->count)) {
        pending_free(pending);
        return;
    }
    if (pending->count > 0) memset(pending->entries, 0, pending->cap * sizeof *pending->entries);
    pending->count = pending->undo_count = 0;
}

static uint64_t pending_hash(const struct pending *pending, const struct ref *key)
{
    uint64_t words[4], hash = pending->seed ^ key->kind;
    memcpy(words, key->id, sizeof words);
    for (size_t i = 0; i < 4; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* The entry of `key`, or the free one where it belongs. */
static struct pending_entry *pending_at(const struct pending *pending, const struct ref *key)
{
    size_t i = (size_t)pending_hash(pending, key) & (pending->cap - 1);
    while (pending->entries[i].key.kind != REF_NONE && !ref_equal(&pending->entries[i].key, key))
        i = (i + 1) & (pending->cap - 1);
    return &pending->entries[i];
}

const struct pending_entry *pending_find(const struct pending *pending, const struct ref *key)
{
    if (pending->count == 0) return NULL;
    const struct pending_entry *entry = pending_at(pending, key);
    return entry->key.kind != REF_NONE && entry->known ? entry : NULL;
}

static int pending_grow(struct pending *pending)
{
    struct pending old = *pending;
    size_t cap = old.cap == 0 ? PENDING_CAP_MIN : old.cap * 2;
    struct pending_entry *entries = calloc(cap, sizeof *entries);
    if (entries == NULL) return err_set(ERR_NOMEM, "no memory for %zu messages that are not indexed yet", cap);
    pending->entries = entries;
    pending->cap = cap;
    for (size_t i = 0; i < old.cap; i++)
        if (old.entries[i].key.kind != REF_NONE) *pending_at(pending, &old.entries[i].key) = old.entries[i];
    free(old.entries);
    return OK;
}

static int pending_grow_undo(struct pending *pending)
{
    size_t cap = pending->undo_cap == 0 ? PENDING_CAP_MIN : pending->undo_cap * 2;
    struct pending_entry *undo = realloc(pending->undo, cap * sizeof *undo);
    if (undo == NULL) return err_set(ERR_NOMEM, "no memory for %zu messages that are not indexed yet", cap);
    pending->undo = undo;
    pending->undo_cap = cap;
    return OK;
}

int pending_set(struct pending *pending, const struct pending_entry *entry)
{
    int err = OK;
    if (pending->undo_count == pending->undo_cap) err = pending_grow_undo(pending);
    if (err == OK && pending->count >= pending->cap / 2) err = pending_grow(pending);
    if (err != OK) return err;
    struct pending_entry *at = pending_at(pending, &entry->key);
    if (at->key.kind == REF_NONE) {
        *at = (struct pending_entry){ .key = entry->key };
        pending->count++;
    }
    pending->undo[pending->undo_count++] = *at;
    *at = *entry;
    at->known = true;
    return OK;
}

size_t pending_mark(const struct pending *pending)
{
    return pending->undo_count;
}

void pending_undo(struct pending *pending, size_t mark)
{
    while (pending->undo_count > mark) {
        const struct pending_entry *old = &pending->undo[--pending->undo_count];
        *pending_at(pending, &old->key) = *old;
    }
}

void pending_settle(struct pending *pending, const int64_t *seqs)
{
    for (size_t i = 0; i < pending->undo_count; i++) {
        struct pending_entry *entry = pending_at(pending, &pending->undo[i].key);
        if (entry->key.kind == REF_MESSAGE && entry->where < 0) entry->where = seqs[-1 - entry->where];
    }
    pending->undo_count = 0;
}
