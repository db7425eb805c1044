#include "views/view_types.h"

#include <string.h>

#include "store/err.h"
#include "store/private_record.h"
#include "views/index_list.h"
#include "views/view_batch.h"
#include "views/view_record.h"

enum { TYPES_TYPE, TYPES_PRIVATE };

#define ODD_TABLE 0

static int type_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    if (len == 0) return err_set(ERR_ARG, "type: a message type like post is wanted");
    term_of_string(text, len, ret_term);
    *ret_negate = false;
    return OK;
}

static int type_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    if (message->type.data == NULL) return 0;
    term_of_string(message->type.data, message->type.len, &term);
    return fn(ctx, &term);
}

static int private_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    const struct slice value = { text, len };
    bool yes = slice_equal(value, SLICE_LITERAL("true"));
    if (!yes && !slice_equal(value, SLICE_LITERAL("false")))
        return err_set(ERR_ARG, "private: true or false is wanted");
    term_of_string("true", 4, ret_term);
    *ret_negate = !yes;
    return OK;
}

static int private_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    if (!message_is_secret(message)) return 0;
    term_of_string("true", 4, &term);
    return fn(ctx, &term);
}

/* The whole name of a type of which the term keeps the beginning only: in a record that has it. */
static int types_name(const struct flume_read *read, kv_table table, const struct term *term, struct buf *name)
{
    struct list_iter iter;
    struct list_entry entry;
    struct message message;
    int err = list_iter_open(read->txn, table, false, term, true, &iter);
    if (err != OK) return err;
    message_init(&message);
    int found = list_next(&iter, &entry);
    for (; found == 1; found = list_next(&iter, &entry)) {
        struct log_record record;
        err = log_get(read->log, (int64_t)entry.at, &record);
        if (err == ERR_DELETED) continue;
        if (err == OK) err = message_scan(&message, record.value.data, record.value.len);
        if (err == OK) err = buf_append(name, message.type.data, message.type.len);
        break;
    }
    message_free(&message);
    list_iter_close(&iter);
    if (found < 0) return found;
    if (found == 1) return err;
    /* All of them are deleted: the part that is known must do. */
    const uint8_t *end = memchr(term->bytes, 1, term->len);
    return buf_append(name, term->bytes, end == NULL ? 0 : (size_t)(end - term->bytes));
}

static int types_put_name(const struct flume_read *read, kv_table table, const struct term *term, struct buf *name)
{
    struct slice text;
    return term_text(term, &text) ? buf_append(name, text.data, text.len) : types_name(read, table, term, name);
}

int types_next(const struct flume_read *read, const struct term *after, struct buf *name, struct type_count *ret_count)
{
    const struct view *view = flume_view(read->flume, VIEW_types);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view types");
    kv_table table = view->fields[TYPES_TYPE];
    struct term term;
    uint64_t count, last;
    int found = list_next_term(read->txn, table, false, after, &term, &count, &last);
    if (found != 1) return found;
    int err = types_put_name(read, table, &term, name);
    if (err != OK) return err;
    *ret_count = (struct type_count){ count, (int64_t)last, term };
    return 1;
}

int types_at(const struct flume_read *read, const struct term *term, int64_t seq, struct buf *name,
             struct type_count *ret_count)
{
    const struct view *view = flume_view(read->flume, VIEW_types);
    uint64_t count, last;
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view types");
    kv_table table = view->fields[TYPES_TYPE];
    int found = list_newest(read->txn, table, term, &last);
    if (found != 1 || last != (uint64_t)seq) return found < 0 ? found : 0;
    int err = list_count(read->txn, table, false, term, &count);
    if (err == OK) err = types_put_name(read, table, term, name);
    if (err == OK) *ret_count = (struct type_count){ count, seq, *term };
    return err == OK ? 1 : err;
}

/* ---- records that are not plain ------------------------------------------------------------------------------ */

static void odd_term(enum types_oddity oddity, struct term *ret_term)
{
    if (oddity == ODD_BOX1)
        term_of_string("box1", 4, ret_term);
    else
        term_of_string("", 0, ret_term);
}

/* Is the record not plain? Content that is no string is not encrypted. */
static bool message_is_odd(const struct message *message, enum types_oddity *ret_oddity)
{
    struct slice record = message->record, format;
    bool line = record_is_line(record), open = message->content.data != NULL && !message->is_private;
    bool encrypted = !open && private_record_format(record, &format);
    if (line && !encrypted) return false;
    bool box1 = line && record.len >= ODD_BOX1_BYTES_MIN && slice_equal(format, SLICE_LITERAL("box1"));
    *ret_oddity = box1 ? ODD_BOX1 : ODD_OTHER;
    return true;
}

static int types_gather(struct view_batch *batch, const struct view_record *record)
{
    struct term term;
    enum types_oddity oddity;
    if (!message_is_odd(record->message, &oddity)) return OK;
    odd_term(oddity, &term);
    return list_batch_add(batch->lists[ODD_TABLE], &term, (uint64_t)record->seq, 0);
}

int types_odd(const struct flume_read *read, enum types_oddity oddity, int64_t from, types_odd_fn *fn, void *ctx)
{
    const struct view *view = flume_view(read->flume, VIEW_types);
    struct list_iter iter;
    struct list_entry entry;
    struct term term;
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view types");
    odd_term(oddity, &term);
    int err = list_iter_open(read->txn, view->tables[ODD_TABLE], false, &term, false, &iter);
    if (err != OK) return err;
    int found = list_seek(&iter, from < 0 ? 0 : (uint64_t)from, &entry);
    for (; found == 1 && err == OK; found = err == OK ? list_next(&iter, &entry) : 0)
        err = fn(ctx, (int64_t)entry.at);
    list_iter_close(&iter);
    return found < 0 ? found : err;
}

const struct view_ops view_types_ops = {
    .name = "types",
    .version = 7,
    .fields = (const struct field[]){ { "type", type_parse, type_emit },
                                      { "private", private_parse, private_emit },
                                      { NULL, NULL, NULL } },
    .tables = (const struct view_table[]){ { .name = "odd", .shape = TABLE_POSTINGS }, { .name = NULL } },
    .gather = types_gather,
};
