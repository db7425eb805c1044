#include "views/view_store.h"

#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/fnv.h"
#include "views/index_keys.h"
#include "views/view_batch.h"

#define STATE_BYTES 40
#define TABLE_NAME_MAX 128

static int store_open_table(struct kv_txn *txn, const char *view, const char *name, bool sets, kv_table *ret_table)
{
    char full[TABLE_NAME_MAX];
    int len = snprintf(full, sizeof full, "%s.%s", view, name);
    if (len < 0 || (size_t)len >= sizeof full) return err_set(ERR_ARG, "the name %s.%s is too long", view, name);
    return kv_table_open(txn, full, sets, ret_table);
}

int view_store_open(struct kv_txn *txn, const struct view_ops *ops, struct view *ret_view)
{
    struct view view = { .ops = ops };
    int err = kv_table_open(txn, "views", false, &view.states);
    for (size_t i = 0; err == OK && ops->fields != NULL && ops->fields[i].name != NULL; i++)
        err = i < VIEW_FIELDS_MAX ? store_open_table(txn, ops->name, ops->fields[i].name, false, &view.fields[i])
                                  : err_set(ERR_LIMIT, "the view %s has too many fields", ops->name);
    for (size_t i = 0; err == OK && ops->tables != NULL && ops->tables[i].name != NULL; i++)
        err = i < VIEW_TABLES_MAX ? store_open_table(txn, ops->name, ops->tables[i].name,
                                                     ops->tables[i].shape == TABLE_OWN_SETS, &view.tables[i])
                                  : err_set(ERR_LIMIT, "the view %s has too many tables", ops->name);
    if (err == OK) *ret_view = view;
    return err;
}

static struct slice store_key(const struct view *view)
{
    return (struct slice){ view->ops->name, strlen(view->ops->name) };
}

int view_store_load(struct kv_txn *txn, const struct view *view, struct view_state *ret_state)
{
    struct slice value;
    int found = kv_get(txn, view->states, store_key(view), &value);
    if (found != 1) return found;
    if (value.len != STATE_BYTES)
        return err_set(ERR_CORRUPT, "the state of the view %s is damaged; rebuild it", view->ops->name);
    const uint8_t *bytes = (const uint8_t *)value.data;
    *ret_state = (struct view_state){ .version = (uint32_t)index_get_u64le(bytes),
                                      .log_identity = index_get_u64le(bytes + 8),
                                      .since = (int64_t)index_get_u64le(bytes + 16),
                                      .fingerprint = index_get_u64le(bytes + 24),
                                      .records = index_get_u64le(bytes + 32) };
    return 1;
}

int view_store_save(struct kv_txn *txn, const struct view *view, const struct view_state *state)
{
    uint8_t bytes[STATE_BYTES];
    index_put_u64le(bytes, state->version);
    index_put_u64le(bytes + 8, state->log_identity);
    index_put_u64le(bytes + 16, (uint64_t)state->since);
    index_put_u64le(bytes + 24, state->fingerprint);
    index_put_u64le(bytes + 32, state->records);
    return kv_put(txn, view->states, store_key(view), (struct slice){ (const char *)bytes, sizeof bytes });
}

int view_store_clear(struct kv_txn *txn, const struct view *view)
{
    const struct view_ops *ops = view->ops;
    int err = OK;
    for (size_t i = 0; err == OK && ops->fields != NULL && ops->fields[i].name != NULL; i++)
        err = kv_clear(txn, view->fields[i]);
    for (size_t i = 0; err == OK && ops->tables != NULL && ops->tables[i].name != NULL; i++)
        err = kv_clear(txn, view->tables[i]);
    if (err == OK) err = kv_del(txn, view->states, store_key(view));
    return err < 0 ? err : OK;
}

int view_store_apply(struct kv_txn *txn, const struct view *view, const struct view_record *records, size_t n)
{
    struct view_batch *batch;
    int err = view_batch_new(view->ops, &batch);
    if (err != OK) return err;
    for (size_t i = 0; i < n && err == OK; i++)
        err = view_batch_gather(batch, &records[i]);
    if (err == OK) err = view_batch_write(batch, view, txn);
    view_batch_free(batch);
    return err;
}

uint64_t view_fingerprint(struct slice record)
{
    return fnv_add(FNV_START, record.data, record.len);
}
