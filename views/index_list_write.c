#include "views/index_list.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_list_chunk.h"

struct list_batch {
    bool payload;
    struct index_keys terms;
    /* parallel arrays, in the order they were added */
    uint32_t *ids;
    struct list_entry *entries;
    size_t count, id_cap, entry_cap;
};

int list_batch_new(bool payload, struct list_batch **ret_batch)
{
    struct list_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return err_set(ERR_NOMEM, "no memory for a batch of list entries");
    batch->payload = payload;
    index_keys_init(&batch->terms);
    *ret_batch = batch;
    return OK;
}

void list_batch_free(struct list_batch *batch)
{
    if (batch == NULL) return;
    index_keys_free(&batch->terms);
    free(batch->ids);
    free(batch->entries);
    free(batch);
}

int list_batch_add(struct list_batch *batch, const struct term *term, uint64_t at, uint64_t payload)
{
    int err = index_grow(&batch->ids, &batch->id_cap, batch->count, sizeof *batch->ids);
    if (err == OK) err = index_grow(&batch->entries, &batch->entry_cap, batch->count, sizeof *batch->entries);
    if (err != OK) return err;
    const struct slice key = { (const char *)term->bytes, term->len };
    err = index_keys_add(&batch->terms, key, &batch->ids[batch->count]);
    if (err != OK) return err;
    batch->entries[batch->count++] = (struct list_entry){ at, batch->payload ? payload : 0 };
    return OK;
}

size_t list_batch_bytes(const struct list_batch *batch)
{
    return sizeof *batch + index_keys_bytes(&batch->terms) + batch->id_cap * sizeof *batch->ids +
           batch->entry_cap * sizeof *batch->entries;
}

/* ---- sorting ------------------------------------------------------------------------------------------------ */

/* A merge sort, because equal entries must stay in their order. `spare` holds as many. */
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

/* Entries of one term after another, terms in byte order. `ends[i]` is where those of the i-th term end. */
struct sorted_batch {
    struct index_sort *terms;
    struct list_entry *entries;
    size_t *ends;
};

static void sorted_free(struct sorted_batch *sorted)
{
    free(sorted->terms);
    free(sorted->entries);
    free(sorted->ends);
}

static int batch_sort(const struct list_batch *batch, struct sorted_batch *ret_sorted)
{
    size_t terms = batch->terms.count, *places = calloc(terms + 1, sizeof *places);
    struct sorted_batch sorted = { .ends = calloc(terms + 1, sizeof *sorted.ends),
                                   .entries = calloc(2 * batch->count + 1, sizeof *sorted.entries) };
    int err = places == NULL || sorted.ends == NULL || sorted.entries == NULL
                  ? err_set(ERR_NOMEM, "no memory to sort %zu list entries", batch->count)
                  : index_keys_sort(&batch->terms, &sorted.terms);
    if (err != OK) goto out;
    for (size_t i = 0; i < batch->count; i++)
        places[batch->ids[i]]++;
    for (size_t i = 0, at = 0; i < terms; i++) {
        uint32_t id = sorted.terms[i].id;
        sorted.ends[i] = at + places[id];
        places[id] = at;
        at = sorted.ends[i];
    }
    for (size_t i = 0; i < batch->count; i++)
        sorted.entries[places[batch->ids[i]]++] = batch->entries[i];
    for (size_t i = 0, from = 0; i < terms; from = sorted.ends[i++])
        entries_sort(sorted.entries + from, sorted.entries + batch->count, sorted.ends[i] - from);
    *ret_sorted = sorted;
    sorted = (struct sorted_batch){ 0 };
out:
    free(places);
    sorted_free(&sorted);
    return err;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

struct list_writer {
    struct kv_txn *txn;
    kv_table table;
    struct kv_cursor *cursor;
    bool payload;
    bool behind; /* all that is still to come sorts behind what the table holds */
    const struct term *term;
    bool open; /* `chunk` is being filled */
    bool dirty;
    struct chunk chunk;
};

static int writer_flush(struct list_writer *writer)
{
    if (!writer->open || !writer->dirty) return OK;
    uint8_t key[CHUNK_KEY_MAX], value[CHUNK_VALUE_MAX];
    const struct chunk *chunk = &writer->chunk;
    const struct slice k = { (const char *)key, chunk_key(writer->term, chunk->first, chunk->ordinal, key) };
    const struct slice v = { (const char *)value, chunk_value(chunk, value) };
    writer->dirty = false;
    return writer->behind ? kv_append(writer->txn, writer->table, k, v) : kv_put(writer->txn, writer->table, k, v);
}

static int writer_add(struct list_writer *writer, const struct list_entry *entry)
{
    if (writer->open && chunk_add(&writer->chunk, entry)) {
        writer->dirty = true;
        return OK;
    }
    int err = writer_flush(writer);
    if (err != OK) return err;
    bool same = writer->open && writer->chunk.first == entry->at;
    chunk_start(&writer->chunk, writer->payload, same ? writer->chunk.ordinal + 1 : 0, entry);
    writer->open = writer->dirty = true;
    return OK;
}

static int writer_add_all(struct list_writer *writer, const struct list_entry *entries, size_t n)
{
    int err = OK;
    for (size_t i = 0; i < n && err == OK; i++)
        err = writer_add(writer, &entries[i]);
    return err == OK ? writer_flush(writer) : err;
}

/* The last chunk of the term that begins at or before `at`: 1, 0, <0. */
static int writer_find(struct list_writer *writer, uint64_t at, struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    const struct slice limit = { (const char *)bytes, chunk_key(writer->term, at, UINT32_MAX, bytes) };
    int found = kv_before(writer->cursor, limit, &key, &value);
    return found == 1 ? chunk_head_read(writer->term, key, value, ret_head) : found;
}

/* Takes the chunks from the one that begins with (at, ordinal) to the end of the list out of the table. The caller frees *ret_entries. */
static int writer_take(struct list_writer *writer, uint64_t at, uint32_t ordinal, struct list_entry **ret_entries,
                       size_t *ret_count)
{
    struct list_entry *entries = NULL;
    size_t count = 0, cap = 0;
    uint8_t bytes[CHUNK_KEY_MAX];
    int err = OK;
    for (;;) {
        const struct slice from = { (const char *)bytes, chunk_key(writer->term, at, ordinal, bytes) };
        struct slice key, value;
        struct chunk_head head;
        int found = kv_seek(writer->cursor, from, &key, &value);
        if (found == 1) found = chunk_head_read(writer->term, key, value, &head);
        if (found < 0) err = found;
        if (found != 1) break;
        while (err == OK && cap - count < head.count)
            err = index_grow(&entries, &cap, cap, sizeof *entries);
        if (err == OK) err = chunk_unpack(&head, writer->payload, entries + count);
        if (err != OK) break;
        count += head.count;
        const struct slice old = { (const char *)bytes, chunk_key(writer->term, head.first, head.ordinal, bytes) };
        err = kv_del(writer->txn, writer->table, old);
        if (err < 0) break;
        err = OK;
    }
    if (err != OK) {
        free(entries);
        return err;
    }
    *ret_entries = entries;
    *ret_count = count;
    return OK;
}

/* Entries that belong between those that are there: the list is laid out anew from the first place that changes. */
static int writer_insert(struct list_writer *writer, const struct list_entry *entries, size_t n)
{
    struct chunk_head head = { 0 };
    struct list_entry *old = NULL;
    size_t old_count = 0, i = 0, j = 0;
    int found = writer_find(writer, entries[0].at, &head);
    if (found < 0) return found;
    int err = writer_take(writer, found == 1 ? head.first : 0, found == 1 ? head.ordinal : 0, &old, &old_count);
    if (err != OK) return err;
    writer->open = found == 1 && head.ordinal > 0;
    if (writer->open) {
        /* The chunk before it begins with the same `at`: a full one, so that the ordinal goes on from there. */
        writer->chunk = (struct chunk){ .payload = writer->payload, .ordinal = head.ordinal - 1, .first = head.first };
        writer->chunk.last = head.first;
        writer->chunk.count = LIST_CHUNK_ENTRIES;
        writer->dirty = false;
    }
    while (err == OK && (i < old_count || j < n)) {
        bool take_old = i < old_count && (j == n || old[i].at <= entries[j].at);
        err = writer_add(writer, take_old ? &old[i++] : &entries[j++]);
    }
    if (err == OK) err = writer_flush(writer);
    free(old);
    return err;
}

static int writer_term(struct list_writer *writer, const struct term *term, const struct list_entry *entries, size_t n)
{
    writer->term = term;
    writer->open = writer->dirty = false;
    if (writer->behind) return writer_add_all(writer, entries, n);
    struct chunk_head head;
    int found = writer_find(writer, UINT64_MAX, &head);
    if (found < 0) return found;
    if (found == 1 && head.last > entries[0].at) return writer_insert(writer, entries, n);
    if (found == 1) {
        int err = chunk_reopen(&head, writer->payload, &writer->chunk);
        if (err != OK) return err;
        writer->open = true;
    }
    return writer_add_all(writer, entries, n);
}

/* Does the whole table sort before this term? Then nothing has to be looked for any more. */
static int writer_look(struct list_writer *writer, const struct term *term)
{
    struct slice key, value;
    int found = kv_last(writer->cursor, &key, &value);
    if (found < 0) return found;
    if (found == 1) {
        size_t len = key.len < term->len ? key.len : term->len;
        writer->behind = memcmp(key.data, term->bytes, len) < 0;
    } else {
        writer->behind = true;
    }
    return OK;
}

static int batch_write_terms(const struct list_batch *batch, const struct sorted_batch *sorted,
                             struct list_writer *writer)
{
    int err = OK;
    for (size_t i = 0, from = 0; i < batch->terms.count && err == OK; from = sorted->ends[i++]) {
        struct term term;
        struct slice bytes = index_keys_get(&batch->terms, sorted->terms[i].id);
        term.len = (uint8_t)bytes.len;
        memcpy(term.bytes, bytes.data, bytes.len);
        if (i == 0) err = writer_look(writer, &term);
        if (err == OK) err = writer_term(writer, &term, sorted->entries + from, sorted->ends[i] - from);
    }
    return err;
}

int list_batch_write(struct list_batch *batch, struct kv_txn *txn, kv_table table)
{
    if (batch->count == 0) return OK;
    struct sorted_batch sorted;
    struct list_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return err_set(ERR_NOMEM, "no memory to write a list");
    *writer = (struct list_writer){ .txn = txn, .table = table, .payload = batch->payload };
    int err = batch_sort(batch, &sorted);
    if (err != OK) goto out;
    err = kv_cursor_open(txn, table, &writer->cursor);
    if (err == OK) err = batch_write_terms(batch, &sorted, writer);
    kv_cursor_close(writer->cursor);
    sorted_free(&sorted);
    if (err == OK) {
        batch->count = 0;
        index_keys_reset(&batch->terms);
    }
out:
    free(writer);
    return err;
}
