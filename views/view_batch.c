#include "views/view_batch.h"

#include <stdlib.h>

#include "store/err.h"

#define BATCH_OWN_MAX ((size_t)1 << 30)

static int batch_new_table(struct view_batch *batch, size_t i)
{
    const struct view_table *table = &batch->ops->tables[i];
    if (i >= VIEW_TABLES_MAX) return err_set(ERR_LIMIT, "the view %s has too many tables", batch->ops->name);
    switch (table->shape) {
    case TABLE_POSTINGS: return list_batch_new(false, &batch->lists[i]);
    case TABLE_LIST: return list_batch_new(true, &batch->lists[i]);
    case TABLE_REGISTERS: return register_batch_new(table->slots, table->rules, &batch->registers[i]);
    case TABLE_OWN:
    case TABLE_OWN_SETS: break;
    }
    return OK;
}

int view_batch_new(const struct view_ops *ops, struct view_batch **ret_batch)
{
    struct view_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return err_set(ERR_NOMEM, "no memory for a batch of the view %s", ops->name);
    int err = OK;
    batch->ops = ops;
    buf_init(&batch->own, BATCH_OWN_MAX);
    buf_init(&batch->scratch, LOG_RECORD_MAX);
    buf_init(&batch->values, LOG_RECORD_MAX);
    index_keys_init(&batch->names, 0);
    for (size_t i = 0; err == OK && ops->fields != NULL && ops->fields[i].name != NULL; i++)
        err = i < VIEW_FIELDS_MAX ? list_batch_new(false, &batch->fields[i])
                                  : err_set(ERR_LIMIT, "the view %s has too many fields", ops->name);
    for (size_t i = 0; err == OK && ops->tables != NULL && ops->tables[i].name != NULL; i++)
        err = batch_new_table(batch, i);
    if (err == OK)
        *ret_batch = batch;
    else
        view_batch_free(batch);
    return err;
}

void view_batch_free(struct view_batch *batch)
{
    if (batch == NULL) return;
    for (size_t i = 0; i < VIEW_FIELDS_MAX; i++)
        list_batch_free(batch->fields[i]);
    for (size_t i = 0; i < VIEW_TABLES_MAX; i++) {
        list_batch_free(batch->lists[i]);
        register_batch_free(batch->registers[i]);
    }
    buf_free(&batch->own);
    buf_free(&batch->scratch);
    buf_free(&batch->values);
    index_keys_free(&batch->names);
    free(batch);
}

void view_batch_reset(struct view_batch *batch)
{
    for (size_t i = 0; i < VIEW_FIELDS_MAX; i++)
        if (batch->fields[i] != NULL) list_batch_reset(batch->fields[i]);
    for (size_t i = 0; i < VIEW_TABLES_MAX; i++) {
        if (batch->lists[i] != NULL) list_batch_reset(batch->lists[i]);
        if (batch->registers[i] != NULL) register_batch_reset(batch->registers[i]);
    }
    buf_reset(&batch->own);
}

size_t view_batch_bytes(const struct view_batch *batch)
{
    size_t bytes = batch->own.len;
    for (size_t i = 0; i < VIEW_FIELDS_MAX; i++)
        if (batch->fields[i] != NULL) bytes += list_batch_bytes(batch->fields[i]);
    for (size_t i = 0; i < VIEW_TABLES_MAX; i++) {
        if (batch->lists[i] != NULL) bytes += list_batch_bytes(batch->lists[i]);
        if (batch->registers[i] != NULL) bytes += register_batch_bytes(batch->registers[i]);
    }
    return bytes;
}

struct batch_emit {
    struct list_batch *list;
    uint64_t seq;
};

static int batch_emit_term(void *ctx, const struct term *term)
{
    const struct batch_emit *emit = ctx;
    return list_batch_add(emit->list, term, emit->seq, 0);
}

int view_batch_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct view_ops *ops = batch->ops;
    int err = OK;
    for (size_t i = 0; err == OK && ops->fields != NULL && ops->fields[i].name != NULL; i++) {
        struct batch_emit emit = { batch->fields[i], (uint64_t)record->seq };
        err = ops->fields[i].emit(record->message, batch_emit_term, &emit);
    }
    return err == OK && ops->gather != NULL ? ops->gather(batch, record) : err;
}

int view_batch_write(struct view_batch *batch, const struct view *view, struct kv_txn *txn)
{
    int err = OK;
    for (size_t i = 0; err == OK && i < VIEW_FIELDS_MAX; i++)
        if (batch->fields[i] != NULL) err = list_batch_write(batch->fields[i], txn, view->fields[i]);
    for (size_t i = 0; err == OK && i < VIEW_TABLES_MAX; i++) {
        if (batch->lists[i] != NULL) err = list_batch_write(batch->lists[i], txn, view->tables[i]);
        if (err == OK && batch->registers[i] != NULL)
            err = register_batch_write(batch->registers[i], txn, view->tables[i]);
    }
    if (err == OK && batch->ops->write != NULL) err = batch->ops->write(view, txn, batch);
    buf_reset(&batch->own);
    return err;
}
