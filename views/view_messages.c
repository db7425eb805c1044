#include "views/view_messages.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/view_batch.h"
#include "views/view_record.h"

#define IDS_TABLE 0

/* Ids lie in runs: stretches of whole units of the log, each a sorted set of 12 bytes for each message. The newest unit is a run of its own,
 * so that a few new messages change a few pages. Those before it are joined as in a binary counter (of 13 units: 8, 4, 1), up to
 * RUN_UNITS: few runs to search, and an id moves a few times in its life. Which runs there are depends on the newest message alone. */
#define UNIT_BITS 24
#define RUN_UNITS UINT32_C(32)

#define ID_PREFIX 8 /* the first bytes of the id; the rest is the place in the run */
#define ID_BYTES (ID_PREFIX + 4)
#define RUN_KEY 4 /* the first unit, u32 BE */

static uint32_t unit_of(uint64_t seq)
{
    return (uint32_t)(seq >> UNIT_BITS);
}

/* The first unit of the run that `unit` is in while `newest` is the newest one. */
static uint32_t ids_run_of(uint32_t unit, uint32_t newest)
{
    uint32_t start = newest - newest % RUN_UNITS;
    if (unit < start) return unit - unit % RUN_UNITS;
    for (uint32_t bit = RUN_UNITS / 2; bit > 0; bit /= 2) {
        if (((newest - start) & bit) == 0) continue;
        if (unit < start + bit) return start;
        start += bit;
    }
    return newest;
}

/* The run behind the one that starts at `run`. */
static uint32_t ids_run_after(uint32_t run, uint32_t newest)
{
    uint32_t units = 1; /* a run has a power of two of them */
    while (run + units <= newest && ids_run_of(run + units, newest) == run)
        units *= 2;
    return run + units;
}

static int messages_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct ref *id = &record->message->id;
    if (id->kind == REF_NONE) return OK;
    const struct index_sort item = { index_get_u64be(id->id), (uint64_t)record->seq };
    return buf_append(&batch->own, &item, sizeof item);
}

/* The ids that are to be written, with their seqs. */
struct ids {
    struct index_sort *items;
    size_t count, cap;
};

static int ids_add(struct ids *ids, uint64_t prefix, uint64_t seq)
{
    int err = index_grow(&ids->items, &ids->cap, ids->count, sizeof *ids->items);
    if (err == OK) ids->items[ids->count++] = (struct index_sort){ prefix, seq };
    return err;
}

/* Takes the run that the cursor is on out of the table. */
static int ids_take_run(struct ids *ids, struct kv_txn *txn, kv_table table, struct kv_cursor *cursor, uint32_t run,
                        struct slice key, struct slice value)
{
    uint8_t bytes[RUN_KEY];
    int err = OK, found = 1;
    while (found == 1 && err == OK && key.len == RUN_KEY && index_get_u32be((const uint8_t *)key.data) == run) {
        const uint8_t *id = (const uint8_t *)value.data;
        uint64_t rest = index_get_u32be(id + ID_PREFIX);
        err = ids_add(ids, index_get_u64be(id), ((uint64_t)run << UNIT_BITS) + rest);
        if (err == OK) found = kv_next(cursor, &key, &value);
    }
    if (err != OK || found < 0) return err != OK ? err : found;
    index_put_u32be(bytes, run);
    err = kv_del(txn, table, (struct slice){ (const char *)bytes, sizeof bytes });
    return err < 0 ? err : OK;
}

/* Takes out what will be in another run, or share one with that, once `newest` is the newest unit. */
static int ids_take_joined(struct ids *ids, struct kv_txn *txn, kv_table table, uint32_t newest)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(txn, table, &cursor);
    if (err != OK) return err;
    uint32_t joined = UINT32_MAX; /* the run that is being put together, from the end of the table on */
    int found = kv_last(cursor, &key, &value);
    while (found == 1 && err == OK) {
        if (key.len != RUN_KEY || value.len != ID_BYTES) {
            err = err_set(ERR_CORRUPT, "the view messages holds a damaged entry; rebuild the views");
            break;
        }
        uint32_t run = index_get_u32be((const uint8_t *)key.data), target = ids_run_of(run, newest);
        if (run == target && run != joined) break; /* it stays, and so do those before it */
        joined = target;
        found = kv_seek(cursor, (struct slice){ key.data, key.len }, &key, &value);
        if (found == 1) err = ids_take_run(ids, txn, table, cursor, run, key, value);
        if (found == 1 && err == OK) found = kv_last(cursor, &key, &value);
    }
    kv_cursor_close(cursor);
    return found < 0 ? found : err;
}

static int ids_write_run(struct kv_txn *txn, kv_table table, uint32_t run, const struct index_sort *items, size_t n)
{
    uint8_t key_bytes[RUN_KEY], bytes[ID_BYTES];
    const struct slice key = { (const char *)key_bytes, sizeof key_bytes }, id = { (const char *)bytes, sizeof bytes };
    struct slice there;
    index_put_u32be(key_bytes, run);
    int err = OK, old = kv_get(txn, table, key, &there);
    if (old < 0) return old;
    for (size_t i = 0; i < n && err == OK; i++) {
        index_put_u64be(bytes, items[i].prefix);
        index_put_u32be(bytes + ID_PREFIX, (uint32_t)(items[i].id - ((uint64_t)run << UNIT_BITS)));
        err = old == 0 ? kv_append_value(txn, table, key, id) : kv_put(txn, table, key, id);
    }
    return err;
}

/* By seq, then each run by id. */
static int ids_write(struct ids *ids, struct kv_txn *txn, kv_table table, uint32_t newest)
{
    size_t n = ids->count;
    struct index_sort *items = ids->items, *spare = malloc(n * sizeof *spare);
    int err = OK;
    if (spare == NULL) return err_set(ERR_NOMEM, "no memory for %zu message ids", n);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct index_sort){ items[i].id, items[i].prefix };
    index_radix_sort(items, spare, n);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct index_sort){ items[i].id, items[i].prefix };
    for (size_t from = 0, to; from < n && err == OK; from = to) {
        uint32_t run = ids_run_of(unit_of(items[from].id), newest);
        for (to = from + 1; to < n && ids_run_of(unit_of(items[to].id), newest) == run;)
            to++;
        index_radix_sort(items + from, spare, to - from);
        err = ids_write_run(txn, table, run, items + from, to - from);
    }
    free(spare);
    return err;
}

static int messages_write(const struct view *view, struct kv_txn *txn, struct view_batch *batch)
{
    struct ids ids = { 0 };
    struct index_sort item = { 0, 0 };
    int err = OK;
    if (batch->own.len == 0) return OK;
    for (size_t at = 0; at < batch->own.len && err == OK; at += sizeof item) {
        memcpy(&item, batch->own.data + at, sizeof item);
        err = ids_add(&ids, item.prefix, item.id);
    }
    uint32_t newest = unit_of(item.id);
    if (err == OK) err = ids_take_joined(&ids, txn, view->tables[IDS_TABLE], newest);
    if (err == OK) err = ids_write(&ids, txn, view->tables[IDS_TABLE], newest);
    free(ids.items);
    return err;
}

/* Is it the record of that message? A deleted one is none. */
static int messages_confirm(struct log *log, int64_t seq, const struct ref *id, struct log_record *ret_record)
{
    struct log_record record;
    struct ref found;
    int err = log_get(log, seq, &record);
    if (err == ERR_DELETED) return 0;
    if (err != OK) return err;
    if (record_key(record.value, &found) != OK || !ref_equal(&found, id)) return 0;
    *ret_record = record;
    return 1;
}

/* The first record with that id in a run: 1, 0, <0. */
static int messages_find_run(const struct flume_read *read, struct kv_cursor *cursor, uint32_t run,
                             const struct ref *id, struct log_record *ret_record)
{
    uint8_t key_bytes[RUN_KEY], first[ID_BYTES] = { 0 };
    const struct slice key = { (const char *)key_bytes, sizeof key_bytes };
    struct slice value, here = key;
    index_put_u32be(key_bytes, run);
    memcpy(first, id->id, ID_PREFIX);
    int found = kv_seek_value(cursor, key, (struct slice){ (const char *)first, sizeof first }, &value);
    while (found == 1 && slice_equal(here, key) && value.len == ID_BYTES && memcmp(value.data, first, ID_PREFIX) == 0) {
        uint64_t rest = index_get_u32be((const uint8_t *)value.data + ID_PREFIX);
        int match = messages_confirm(read->log, (int64_t)(((uint64_t)run << UNIT_BITS) + rest), id, ret_record);
        if (match != 0) return match;
        found = kv_next(cursor, &here, &value);
    }
    return found < 0 ? found : 0;
}

int messages_find(const struct flume_read *read, const struct ref *id, struct log_record *ret_record)
{
    const struct view *view = flume_view(read->flume, VIEW_messages);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view messages");
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(read->txn, view->tables[IDS_TABLE], &cursor);
    if (err != OK) return err;
    int found = kv_last(cursor, &key, &value);
    if (found == 1 && key.len != RUN_KEY)
        found = err_set(ERR_CORRUPT, "the view messages holds a damaged key; rebuild the views");
    if (found == 1) {
        uint32_t newest = index_get_u32be((const uint8_t *)key.data);
        found = 0;
        for (uint32_t run = 0; found == 0 && run <= newest; run = ids_run_after(run, newest))
            found = messages_find_run(read, cursor, run, id, ret_record);
    }
    kv_cursor_close(cursor);
    if (found != 0) return found < 0 ? found : OK;
    return err_set(ERR_NOTFOUND, "no message with that id");
}

const struct view_ops view_messages_ops = {
    .name = "messages",
    .version = 2,
    .tables = (const struct view_table[]){ { .name = "ids", .shape = TABLE_OWN_SETS }, { .name = NULL } },
    .gather = messages_gather,
    .write = messages_write,
};
