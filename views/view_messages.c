#include "views/view_messages.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/id_run.h"
#include "views/snapshot.h"
#include "views/view_batch.h"
#include "views/view_record.h"

enum { IDS_NEWEST, IDS_RUNS };

/* Ids lie in runs: stretches of whole units of the log. The newest unit is a run of its own, a sorted set in which a few new messages change a
 * few pages. Those before it are joined as in a binary counter (of 13 units: 8, 4, 1), up to RUN_UNITS: few runs to search, and an id moves a
 * few times in its life. Nothing is added to these, so each is one value (id_run.h). Which runs there are depends on the newest message alone. */
#define UNIT_BITS 24
#define RUN_UNITS UINT32_C(32)

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

/* Records that begin so, with an id of REF_TEXT_MAX - 1 characters behind it, and have no other key that counts. */
#define KEY_START "{\"key\":\""
#define KEY_START_LEN (sizeof KEY_START - 1)
#define KEY_TEXT_LEN (REF_TEXT_MAX - 1)

static bool key_first(const struct message *message)
{
    struct slice record = message->record;
    return message->key.data == record.data + KEY_START_LEN && message->key.len == KEY_TEXT_LEN &&
           memcmp(record.data, KEY_START, KEY_START_LEN) == 0;
}

/* A place is where a record stands, times two, and one more if its id is its key_first: then the very text confirms it. */
static uint64_t place_of(uint64_t seq, bool first)
{
    return seq << 1 | first;
}

static int messages_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct ref *id = &record->message->id;
    if (id->kind == REF_NONE) return OK;
    const struct index_sort item = { index_get_u64be(id->id),
                                     place_of((uint64_t)record->seq, key_first(record->message)) };
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

static int messages_damaged(void)
{
    return err_set(ERR_CORRUPT, "the view messages holds a damaged entry; rebuild the views");
}

/* The place as it is stored is that in the run. */
static uint64_t run_place(uint32_t run, uint32_t place)
{
    return place_of((uint64_t)run << UNIT_BITS, false) + place;
}

/* The unit of the newest message: 1, 0 = there is none, <0. */
static int ids_newest(struct kv_cursor *cursor, uint32_t *ret_unit)
{
    struct slice key, value;
    int found = kv_last(cursor, &key, &value);
    if (found != 1) return found;
    if (key.len != RUN_KEY || value.len != ID_BYTES) return messages_damaged();
    *ret_unit = index_get_u32be((const uint8_t *)key.data);
    return 1;
}

static int ids_take_set(struct ids *ids, struct kv_cursor *cursor, uint32_t unit)
{
    struct slice key, value;
    int err = OK, found = kv_first(cursor, &key, &value);
    for (; found == 1 && err == OK; found = kv_next(cursor, &key, &value)) {
        if (value.len != ID_BYTES) return messages_damaged();
        const uint8_t *id = (const uint8_t *)value.data;
        err = ids_add(ids, index_get_u64be(id), run_place(unit, index_get_u32be(id + ID_PREFIX)));
    }
    return err != OK ? err : found;
}

/* Takes out the ids of the newest unit when it is not the newest any more; ret_unit: which it was, or `newest`. */
static int ids_take_newest(struct ids *ids, struct kv_txn *txn, kv_table table, uint32_t newest, uint32_t *ret_unit)
{
    struct kv_cursor *cursor;
    uint32_t unit = newest;
    int err = kv_cursor_open(txn, table, &cursor);
    if (err != OK) return err;
    int found = ids_newest(cursor, &unit);
    bool take = found == 1 && unit != newest;
    if (take) err = ids_take_set(ids, cursor, unit);
    kv_cursor_close(cursor);
    if (found < 0 || err != OK) return err != OK ? err : found;
    *ret_unit = unit;
    return take ? kv_clear(txn, table) : OK;
}

static int ids_take_run(struct ids *ids, struct slice value, uint32_t unit)
{
    struct id_run run;
    int err = id_run_open(value, &run);
    for (size_t i = 0; i < run.count && err == OK; i++)
        err = ids_add(ids, id_run_prefix(&run, i), run_place(unit, id_run_place(&run, i)));
    return err;
}

/* Takes out the runs that will be in another one, or share one with what is `joined`, once `newest` is the newest unit. */
static int ids_take_runs(struct ids *ids, struct kv_txn *txn, kv_table table, uint32_t joined, uint32_t newest)
{
    for (;;) {
        struct kv_cursor *cursor;
        struct slice key, value;
        uint8_t bytes[RUN_KEY];
        int err = kv_cursor_open(txn, table, &cursor);
        if (err != OK) return err;
        int found = kv_last(cursor, &key, &value);
        if (found == 1 && key.len != RUN_KEY) found = messages_damaged();
        uint32_t unit = found == 1 ? index_get_u32be((const uint8_t *)key.data) : 0;
        uint32_t target = ids_run_of(unit, newest);
        bool take = found == 1 && (unit != target || unit == joined);
        if (take) err = ids_take_run(ids, value, unit);
        kv_cursor_close(cursor);
        if (!take || err != OK) return found < 0 ? found : err;
        index_put_u32be(bytes, unit);
        err = kv_del(txn, table, (struct slice){ (const char *)bytes, sizeof bytes });
        if (err < 0) return err;
        joined = target;
    }
}

/* The newest unit: among those that are there. */
static int ids_write_set(struct kv_txn *txn, kv_table table, uint32_t unit, const struct index_sort *items, size_t n)
{
    uint8_t key_bytes[RUN_KEY], bytes[ID_BYTES];
    const struct slice key = { (const char *)key_bytes, sizeof key_bytes }, id = { (const char *)bytes, sizeof bytes };
    struct slice there;
    index_put_u32be(key_bytes, unit);
    int err = OK, old = kv_get(txn, table, key, &there);
    if (old < 0) return old;
    for (size_t i = 0; i < n && err == OK; i++) {
        index_put_u64be(bytes, items[i].prefix);
        index_put_u32be(bytes + ID_PREFIX, (uint32_t)items[i].id);
        err = old == 0 ? kv_append_value(txn, table, key, id) : kv_put(txn, table, key, id);
    }
    return err;
}

static int ids_write_run(struct kv_txn *txn, kv_table table, uint32_t unit, const struct index_sort *items, size_t n)
{
    uint8_t key[RUN_KEY], *bytes;
    size_t len;
    int err = id_run_make(items, n, &bytes, &len);
    if (err != OK) return err;
    index_put_u32be(key, unit);
    err =
        kv_put(txn, table, (struct slice){ (const char *)key, sizeof key }, (struct slice){ (const char *)bytes, len });
    free(bytes);
    return err;
}

/* By seq, then each run by id. */
static int ids_write(struct ids *ids, struct kv_txn *txn, const struct view *view, uint32_t newest)
{
    size_t n = ids->count;
    struct index_sort *items = ids->items, *spare = malloc(n * sizeof *spare);
    int err = OK;
    if (spare == NULL) return err_set(ERR_NOMEM, "no memory for %zu message ids", n);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct index_sort){ items[i].id, items[i].prefix };
    index_radix_sort(items, spare, n);
    for (size_t from = 0, to = 0; from < n && err == OK; from = to) {
        uint32_t run = ids_run_of(unit_of(items[from].prefix >> 1), newest);
        for (; to < n && ids_run_of(unit_of(items[to].prefix >> 1), newest) == run; to++)
            items[to] = (struct index_sort){ items[to].id, items[to].prefix - run_place(run, 0) };
        index_radix_sort(items + from, spare, to - from);
        err = run == newest ? ids_write_set(txn, view->tables[IDS_NEWEST], run, items + from, to - from)
                            : ids_write_run(txn, view->tables[IDS_RUNS], run, items + from, to - from);
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
    uint32_t newest = unit_of(item.id >> 1), unit = newest;
    if (err == OK) err = ids_take_newest(&ids, txn, view->tables[IDS_NEWEST], newest, &unit);
    if (err == OK && unit != newest)
        err = ids_take_runs(&ids, txn, view->tables[IDS_RUNS], ids_run_of(unit, newest), newest);
    if (err == OK) err = ids_write(&ids, txn, view, newest);
    free(ids.items);
    return err;
}

/* Does the record begin with this id, as key_first says? */
static bool record_begins(struct slice record, const struct ref *id)
{
    struct ref found;
    return record.len > KEY_START_LEN + KEY_TEXT_LEN && memcmp(record.data, KEY_START, KEY_START_LEN) == 0 &&
           ref_parse(record.data + KEY_START_LEN, KEY_TEXT_LEN, &found) == OK && ref_equal(&found, id);
}

/* Is at this place the record of that message? A deleted one is none. */
static int messages_confirm(struct log *log, uint64_t place, const struct ref *id, struct log_record *ret_record)
{
    struct log_record record;
    struct ref found;
    int64_t seq = (int64_t)(place >> 1);
    log_prefetch(log, seq);
    int err = log_get(log, seq, &record);
    if (err == ERR_DELETED) return 0;
    if (err != OK) return err;
    if (((place & 1) == 0 || !record_begins(record.value, id)) &&
        (record_key(record.value, &found) != OK || !ref_equal(&found, id)))
        return 0;
    *ret_record = record;
    return 1;
}

/* The first record with that id in one of some runs: 1, 0, <0. All of them are asked for at once: what takes time is waiting for memory. */
static int messages_probe(const struct flume_read *read, const struct snapshot_runs *runs, const struct ref *id,
                          struct log_record *ret_record)
{
    struct {
        size_t from, to; /* where the id would stand */
    } places[SNAPSHOT_RUNS];
    uint64_t prefix = index_get_u64be(id->id);
    int match = 0;
    for (size_t i = 0; i < runs->count; i++)
        id_run_fetch(&runs->all[i], prefix);
    for (size_t i = 0; i < runs->count; i++) {
        int err = id_run_bucket(&runs->all[i], prefix, &places[i].from, &places[i].to);
        if (err != OK) return err;
    }
    for (size_t i = 0; i < runs->count && match == 0; i++) {
        const struct id_run *run = &runs->all[i];
        size_t at = id_run_lower(run, prefix, places[i].from, places[i].to);
        for (; at < places[i].to && match == 0 && id_run_prefix(run, at) == prefix; at++)
            match = messages_confirm(read->log, run_place(runs->units[i], id_run_place(run, at)), id, ret_record);
    }
    return match;
}

/* As many as there is room for, from where the cursor is: 1 = there are more, 0, <0. */
static int runs_take(struct kv_cursor *cursor, int found, struct slice *key, struct slice *value,
                     struct snapshot_runs *runs)
{
    for (runs->count = 0; found == 1 && runs->count < SNAPSHOT_RUNS; found = kv_next(cursor, key, value)) {
        int err = key->len == RUN_KEY ? id_run_open(*value, &runs->all[runs->count]) : messages_damaged();
        if (err != OK) return err;
        runs->units[runs->count++] = index_get_u32be((const uint8_t *)key->data);
    }
    return found;
}

/* The same, in all of the table. */
static int messages_find_runs(const struct flume_read *read, kv_table table, const struct ref *id,
                              struct log_record *ret_record)
{
    struct snapshot *snapshot = snapshot_of(read);
    if (snapshot != NULL && snapshot->runs.known) return messages_probe(read, &snapshot->runs, id, ret_record);
    struct snapshot_runs here = { .known = false }, *runs = snapshot != NULL ? &snapshot->runs : &here;
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(read->txn, table, &cursor);
    if (err != OK) return err;
    int match = 0, more = kv_first(cursor, &key, &value);
    for (bool first = true; more == 1 || first; first = false) {
        more = runs_take(cursor, more, &key, &value, runs);
        runs->known = first && more == 0;
        match = more >= 0 ? messages_probe(read, runs, id, ret_record) : more;
        if (match != 0) break;
    }
    kv_cursor_close(cursor);
    return match;
}

/* The first record with that id in the newest unit: 1, 0, <0. */
static int messages_find_newest(const struct flume_read *read, kv_table table, const struct ref *id,
                                struct log_record *ret_record)
{
    uint8_t key_bytes[RUN_KEY], first[ID_BYTES] = { 0 };
    const struct slice key = { (const char *)key_bytes, sizeof key_bytes };
    struct kv_cursor *cursor;
    struct slice value, here = key;
    uint32_t unit = 0;
    int match = 0, err = kv_cursor_open(read->txn, table, &cursor);
    if (err != OK) return err;
    memcpy(first, id->id, ID_PREFIX);
    int found = ids_newest(cursor, &unit);
    index_put_u32be(key_bytes, unit);
    if (found == 1) found = kv_seek_value(cursor, key, (struct slice){ (const char *)first, sizeof first }, &value);
    while (found == 1 && match == 0 && value.len == ID_BYTES && memcmp(value.data, first, ID_PREFIX) == 0) {
        uint32_t place = index_get_u32be((const uint8_t *)value.data + ID_PREFIX);
        match = messages_confirm(read->log, run_place(unit, place), id, ret_record);
        if (match == 0) found = kv_next(cursor, &here, &value);
    }
    kv_cursor_close(cursor);
    return found < 0 ? found : match;
}

int messages_find(const struct flume_read *read, const struct ref *id, struct log_record *ret_record)
{
    const struct view *view = flume_view(read->flume, VIEW_messages);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view messages");
    int found = messages_find_runs(read, view->tables[IDS_RUNS], id, ret_record);
    if (found == 0) found = messages_find_newest(read, view->tables[IDS_NEWEST], id, ret_record);
    if (found != 0) return found < 0 ? found : OK;
    return err_set(ERR_NOTFOUND, "no message with that id");
}

const struct view_ops view_messages_ops = {
    .name = "messages",
    .version = 3,
    .tables = (const struct view_table[]){ { .name = "ids", .shape = TABLE_OWN_SETS },
                                           { .name = "runs", .shape = TABLE_OWN },
                                           { .name = NULL } },
    .gather = messages_gather,
    .write = messages_write,
};
