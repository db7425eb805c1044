#include "views/view_messages.h"

#include <stdlib.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/view_record.h"

#define ID_BYTES 8
#define IDS_TABLE 0

static int messages_write(struct kv_txn *txn, kv_table table, const struct index_sort *ids, size_t n,
                          const struct view_record *records)
{
    uint64_t entries;
    int err = kv_count(txn, table, &entries);
    for (size_t i = 0; i < n && err == OK; i++) {
        uint8_t id[ID_BYTES], seq[8];
        index_put_u64be(id, ids[i].prefix);
        index_put_u64be(seq, (uint64_t)records[ids[i].id].seq);
        const struct slice key = { (const char *)id, sizeof id }, value = { (const char *)seq, sizeof seq };
        bool same = i > 0 && ids[i - 1].prefix == ids[i].prefix;
        err = entries == 0 && !same ? kv_append(txn, table, key, value) : kv_put(txn, table, key, value);
    }
    return err;
}

static int messages_apply(const struct view *view, struct kv_txn *txn, const struct view_record *records, size_t n)
{
    size_t count = 0;
    struct index_sort *ids = calloc(2 * n + 1, sizeof *ids);
    if (ids == NULL) return err_set(ERR_NOMEM, "no memory for %zu message ids", n);
    for (size_t i = 0; i < n; i++) {
        const struct ref *id = &records[i].message->id;
        if (id->kind == REF_NONE) continue;
        ids[count++] = (struct index_sort){ index_get_u64be(id->id), (uint32_t)i };
    }
    index_radix_sort(ids, ids + n, count);
    int err = messages_write(txn, view->tables[IDS_TABLE], ids, count, records);
    free(ids);
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

int messages_find(const struct flume_read *read, const struct ref *id, struct log_record *ret_record)
{
    const struct view *view = flume_view(read->flume, VIEW_messages);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view messages");
    struct kv_cursor *cursor;
    struct slice wanted = { (const char *)id->id, ID_BYTES }, key, value;
    int err = kv_cursor_open(read->txn, view->tables[IDS_TABLE], &cursor);
    if (err != OK) return err;
    int found = kv_seek(cursor, wanted, &key, &value);
    int match = 0;
    while (found == 1 && match == 0 && slice_equal(key, wanted)) {
        if (value.len == 8)
            match = messages_confirm(read->log, (int64_t)index_get_u64be((const uint8_t *)value.data), id, ret_record);
        if (match == 0) found = kv_next(cursor, &key, &value);
    }
    kv_cursor_close(cursor);
    if (match != 0) return match < 0 ? match : OK;
    return found < 0 ? found : err_set(ERR_NOTFOUND, "no message with that id");
}

const struct view_ops view_messages_ops = {
    .name = "messages",
    .version = 1,
    .tables = (const struct view_table[]){ { "ids", true }, { NULL, false } },
    .apply = messages_apply,
};
