#include "views/index_list.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_list_chunk.h"
#include "views/index_list_join.h"
#include "views/index_list_writer.h"

/* Terms that are waited for together; fewer than FAR_SLOTS of them are in the processor's cache anyway. */
#define WAITING_MAX 16
#define FAR_SLOTS 4096

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

/* Puts what waits. */
static int batch_settle(struct list_batch *batch)
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

static uint64_t link_at(const struct list_link *link)
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

static void sorter_close(struct list_sorter *sorter)
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

/* The caller closes it, also after an error. */
static int sorter_open(struct list_sorter *sorter, const struct list_batch *batch)
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

/* Takes the terms from the i-th in the order on. */
static int sorter_take(struct list_sorter *sorter, size_t i)
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

/* ---- writing ------------------------------------------------------------------------------------------------ */

static int writer_flush(struct list_writer *writer)
{
    if (!writer->open || !writer->dirty) return OK;
    uint8_t key[CHUNK_KEY_MAX], value[CHUNK_VALUE_MAX];
    const struct chunk *chunk = &writer->chunk;
    const struct slice k = { (const char *)key,
                             chunk_key(writer->payload, writer->run, writer->term, chunk->first, chunk->ordinal, key) };
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

/* 1 = the chunk is one of the term in this run, 0, <0. */
static int writer_look(const struct list_writer *writer, struct slice key, struct slice value,
                       struct chunk_head *ret_head)
{
    struct chunk_head head;
    int found = chunk_head_read(writer->payload, writer->term, key, value, &head);
    if (found != 1) return found;
    if (chunk_key_run(writer->payload, key) != writer->run) return 0;
    *ret_head = head;
    return 1;
}

static uint64_t writer_first_at(const struct list_writer *writer)
{
    return writer->payload ? 0 : run_join(writer->run, 0);
}

static uint64_t writer_last_at(const struct list_writer *writer)
{
    if (writer->payload) return UINT64_MAX;
    uint32_t after = run_after(writer->run, writer->runs);
    return after == RUN_NONE ? LIST_AT_MAX : run_join(after, 0) - 1;
}

/* The last chunk of the term that begins at or before `at`: 1, 0, <0. */
static int writer_find(struct list_writer *writer, uint64_t at, struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    const struct slice limit = { (const char *)bytes,
                                 chunk_key(writer->payload, writer->run, writer->term, at, UINT32_MAX, bytes) };
    int found = kv_before(writer->cursor, limit, &key, &value);
    return found == 1 ? writer_look(writer, key, value, ret_head) : found;
}

int writer_take(struct list_writer *writer, uint64_t at, uint32_t ordinal, struct list_entry **ret_entries,
                size_t *ret_count)
{
    struct list_entry *entries = NULL;
    size_t count = 0, cap = 0;
    uint8_t bytes[CHUNK_KEY_MAX];
    int err = OK;
    for (;;) {
        size_t len = chunk_key(writer->payload, writer->run, writer->term, at, ordinal, bytes);
        const struct slice from = { (const char *)bytes, len };
        struct slice key, value;
        struct chunk_head head;
        int found = kv_seek(writer->cursor, from, &key, &value);
        if (found == 1) found = writer_look(writer, key, value, &head);
        if (found < 0) err = found;
        if (found != 1) break;
        while (err == OK && cap - count < head.count)
            err = index_grow(&entries, &cap, cap, sizeof *entries);
        if (err == OK) err = chunk_unpack(&head, writer->payload, entries + count);
        if (err != OK) break;
        count += head.count;
        const struct slice old = { (const char *)bytes, chunk_key(writer->payload, writer->run, writer->term,
                                                                  head.first, head.ordinal, bytes) };
        err = kv_del(writer->txn, writer->table, old);
        if (err < 0) break;
        err = OK;
        writer->taken++;
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
    int err = writer_take(writer, found == 1 ? head.first : writer_first_at(writer), found == 1 ? head.ordinal : 0,
                          &old, &old_count);
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

int writer_term(struct list_writer *writer, const struct term *term, const struct list_entry *entries, size_t n)
{
    writer->term = term;
    writer->open = writer->dirty = false;
    if (writer->behind) return writer_add_all(writer, entries, n);
    struct chunk_head head;
    int found = writer_find(writer, writer_last_at(writer), &head);
    if (found < 0) return found;
    if (found == 1 && head.last > entries[0].at) return writer_insert(writer, entries, n);
    if (found == 1) {
        int err = chunk_reopen(&head, writer->payload, &writer->chunk);
        if (err != OK) return err;
        writer->open = true;
    }
    return writer_add_all(writer, entries, n);
}

/* Does the whole table sort before this term of this run? Then nothing has to be looked for any more. */
static int writer_begin(struct list_writer *writer, const struct term *term)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    const struct slice first = { (const char *)bytes,
                                 chunk_key(writer->payload, writer->run, term, writer_first_at(writer), 0, bytes) };
    int behind = kv_ends_before(writer->txn, writer->table, first);
    writer->behind = behind == 1;
    return behind < 0 ? behind : OK;
}

/* Of n sorted entries those of the writer's run; *next becomes the first `at` behind it if that is smaller. */
static const struct list_entry *writer_part(const struct list_writer *writer, const struct list_entry *entries,
                                            size_t n, size_t *ret_count, uint64_t *next)
{
    size_t from = 0, to;
    while (from < n && entries[from].at < writer_first_at(writer))
        from++;
    uint64_t last = writer_last_at(writer);
    for (to = n; to > from && entries[to - 1].at > last;)
        to--;
    if (to < n && entries[to].at < *next) *next = entries[to].at;
    *ret_count = to - from;
    return entries + from;
}

/* One run of all terms. ret_next: an `at` of the next one, UINT64_MAX = there is none. */
static int batch_write_run(struct list_sorter *sorter, struct list_writer *writer, uint64_t *ret_next)
{
    const struct index_keys *terms = &sorter->batch->terms;
    bool begun = false;
    uint64_t next = UINT64_MAX;
    int err = OK;
    sorter->count = 0;
    for (size_t i = 0, k = 0; i < terms->count && err == OK; i++, k++) {
        struct term term;
        size_t n;
        if (k == sorter->count) {
            err = sorter_take(sorter, i);
            k = 0;
        }
        if (err != OK) break;
        const struct list_entry *entries = writer_part(writer, sorter->entries + sorter->taken_ends[k],
                                                       sorter->taken_ends[k + 1] - sorter->taken_ends[k], &n, &next);
        if (n == 0) continue;
        struct slice bytes = index_keys_get(terms, (uint32_t)sorter->order[i].id);
        term.len = (uint8_t)bytes.len;
        memcpy(term.bytes, bytes.data, bytes.len);
        if (!begun) err = writer_begin(writer, &term);
        begun = true;
        if (err == OK) err = writer_term(writer, &term, entries, n);
    }
    *ret_next = next;
    return err;
}

static int batch_write_runs(const struct list_batch *batch, struct list_writer *writer)
{
    struct list_sorter sorter;
    int err = sorter_open(&sorter, batch);
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < batch->count && !batch->payload; i++)
        if (link_at(&batch->links[i]) < at) at = link_at(&batch->links[i]);
    while (err == OK) {
        writer->run = chunk_run(batch->payload, at, writer->runs);
        err = batch_write_run(&sorter, writer, &at);
        if (at == UINT64_MAX) break;
    }
    sorter_close(&sorter);
    return err;
}

/* Moves a run from the table into the batch. */
static int writer_take_run(struct list_writer *writer, uint32_t run, struct list_batch *batch)
{
    uint8_t bytes[4];
    const struct slice start = { (const char *)bytes, sizeof bytes };
    int err = OK;
    index_put_u32be(bytes, run);
    writer->run = run;
    while (err == OK) {
        struct slice key, value;
        struct term term;
        struct list_entry *entries = NULL;
        size_t count = 0;
        int found = kv_seek(writer->cursor, start, &key, &value);
        if (found < 0) return found;
        if (found == 0 || chunk_key_run(false, key) != run) break;
        err = chunk_key_term(false, key, &term);
        if (err != OK) break;
        writer->term = &term;
        err = writer_take(writer, run_join(run, 0), 0, &entries, &count);
        writer->term = NULL; /* it is of this turn alone */
        if (err == OK && count == 0)
            err = err_set(ERR_CORRUPT, "a run of the views holds a damaged list; rebuild the views");
        for (size_t i = 0; i < count && err == OK; i++)
            err = list_batch_add(batch, &term, entries[i].at, 0);
        free(entries);
    }
    return err == OK ? batch_settle(batch) : err;
}

/* Where the entries of a batch without payload lie, beside a table whose newest unit is known. */
struct batch_span {
    uint64_t newest; /* the largest `at` */
    bool grows;      /* it is in a newer unit */
    bool late;       /* there are some of older units */
    bool wide;       /* there are some of units that are newer, but not the newest */
};

static struct batch_span batch_span_of(const struct list_batch *batch, uint32_t newest)
{
    struct batch_span span = { 0 };
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t at = link_at(&batch->links[i]);
        if (at > span.newest) span.newest = at;
    }
    uint32_t last = run_unit(span.newest);
    span.grows = last > newest;
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t unit = run_unit(link_at(&batch->links[i]));
        span.late = span.late || unit < newest;
        span.wide = span.wide || (unit > newest && unit < last);
    }
    return span;
}

/* The newest unit will be another one than before, which joins the run in front of it: at once if the batch is a part of a long build, which
 * changes that run anyway. */
static int writer_grow(struct list_writer *writer, struct list_batch *batch, const struct batch_span *span,
                       struct list_join *join)
{
    uint32_t before = writer->runs.newest;
    writer->runs.newest = run_unit(span->newest);
    if (before == run_group(before)) return OK;
    if (span->late || span->wide) return writer_take_run(writer, before, batch);
    writer->runs.joining = before;
    return join_begin(writer, before, join);
}

/* Brings the runs into the form that the batch is written to. */
static int writer_prepare(struct list_writer *writer, struct list_batch *batch, struct list_join *ret_join,
                          uint64_t *ret_newest)
{
    int found = join_read(writer->cursor, batch->payload, ret_join);
    writer->runs = ret_join->runs;
    if (found < 0 || batch->payload) return found < 0 ? found : OK;
    struct batch_span span = batch_span_of(batch, writer->runs.newest);
    *ret_newest = span.newest;
    if (found == 0) {
        writer->runs.newest = run_unit(span.newest);
        return OK;
    }
    int err = span.grows || span.late ? join_finish(writer, ret_join) : OK;
    writer->runs = ret_join->runs;
    return err == OK && span.grows ? writer_grow(writer, batch, &span, ret_join) : err;
}

static int writer_open(struct kv_txn *txn, kv_table table, bool payload, struct list_writer **ret_writer)
{
    struct list_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return err_set(ERR_NOMEM, "no memory to write a list");
    *writer = (struct list_writer){ .txn = txn, .table = table, .payload = payload };
    int err = kv_cursor_open(txn, table, &writer->cursor);
    if (err == OK)
        *ret_writer = writer;
    else
        free(writer);
    return err;
}

static void writer_close(struct list_writer *writer)
{
    kv_cursor_close(writer->cursor);
    free(writer);
}

int list_batch_write(struct list_batch *batch, struct kv_txn *txn, kv_table table)
{
    struct list_writer *writer = NULL;
    struct list_join join;
    uint64_t newest = 0;
    int err = batch_settle(batch);
    if (err != OK || batch->count == 0) return err;
    err = writer_open(txn, table, batch->payload, &writer);
    if (err != OK) return err;
    err = writer_prepare(writer, batch, &join, &newest);
    if (err == OK) err = batch_write_runs(batch, writer);
    if (err == OK && writer->runs.joining != RUN_NONE) err = join_step(writer, &join, newest);
    writer_close(writer);
    if (err == OK) list_batch_reset(batch);
    return err;
}

int list_settle(struct kv_txn *txn, kv_table table)
{
    struct list_writer *writer = NULL;
    struct list_join join;
    int err = writer_open(txn, table, false, &writer);
    if (err != OK) return err;
    err = join_read(writer->cursor, false, &join);
    writer->runs = join.runs;
    if (err >= 0) err = join_finish(writer, &join);
    writer_close(writer);
    return err;
}
