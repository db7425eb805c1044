#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/about_read.h"
#include "views/index_keys.h"
#include "views/index_registers.h"
#include "views/view_record.h"

/* Fields taken from one message: far more than one of 8 KiB can hold. The rest of a larger record is not looked at. */
#define ABOUT_FIELDS_MAX 4096

static const enum register_rule about_rules[ABOUT_SLOTS] = {
    [ABOUT_VALUE] = REGISTER_LARGEST,
    [ABOUT_FIRST] = REGISTER_SMALLEST,
    [ABOUT_NEWEST] = REGISTER_LARGEST,
    [ABOUT_OWN] = REGISTER_LARGEST,
};

/* The fields of one message, each with its last value. */
struct about_fields {
    struct index_keys names; /* as terms */
    struct slice *values;
    size_t cap;
};

static int fields_add(struct about_fields *fields, const struct term *name, struct slice value)
{
    uint32_t id;
    int err = index_grow(&fields->values, &fields->cap, fields->names.count, sizeof *fields->values);
    if (err == OK) err = index_keys_add(&fields->names, (struct slice){ (const char *)name->bytes, name->len }, &id);
    if (err == OK) fields->values[id] = value;
    return err;
}

static int fields_read(struct about_fields *fields, struct slice content, struct buf *scratch)
{
    struct json_iter iter;
    struct json_member member;
    struct term name;
    index_keys_reset(&fields->names);
    if (json_open(content, &iter) != OK || iter.close != '}') return OK;
    while (fields->names.count < ABOUT_FIELDS_MAX && json_next(&iter, &member) == 1) {
        if (json_key_is(&member, "type") || json_key_is(&member, "about")) continue;
        int err = about_field_term(&member, scratch, &name);
        if (err == OK) err = fields_add(fields, &name, member.value);
        if (err != OK) return err;
    }
    return OK;
}

static int about_offer(struct register_batch *batch, struct slice key, struct slice value, double order, int64_t seq)
{
    int err = register_batch_offer(batch, key, ABOUT_OWN, order, seq);
    if (err == OK && !about_removes(value)) err = register_batch_offer(batch, key, ABOUT_NEWEST, order, seq);
    if (err != OK || !json_truthy(value)) return err;
    err = register_batch_offer(batch, key, ABOUT_VALUE, order, seq);
    return err == OK ? register_batch_offer(batch, key, ABOUT_FIRST, order, seq) : err;
}

/* What a message says an about of: OK or ERR_REF. */
static int about_target(const struct message *message, struct ref *ret_target)
{
    struct slice value;
    struct ref target;
    if (message->is_private || message->author_ref.kind == REF_NONE) return ERR_REF;
    if (!slice_equal(message->type, SLICE_LITERAL("about"))) return ERR_REF;
    if (json_find(message->content, "about", &value) != 1 || record_ref(value, &target) != OK) return ERR_REF;
    *ret_target = target;
    return OK;
}

static int about_record(const struct view_record *record, struct about_fields *fields, struct buf *scratch,
                        struct register_batch *batch)
{
    struct ref target;
    const struct message *message = record->message;
    if (about_target(message, &target) != OK) return OK;
    int err = fields_read(fields, message->content, scratch);
    double order = message_rts(message);
    for (size_t i = 0; i < fields->names.count && err == OK; i++) {
        uint8_t bytes[ABOUT_KEY_MAX];
        struct slice name = index_keys_get(&fields->names, (uint32_t)i);
        const struct slice key = { (const char *)bytes, about_key(&target, name, &message->author_ref, bytes) };
        err = about_offer(batch, key, fields->values[i], order, record->seq);
    }
    return err;
}

static int about_apply(const struct view *view, struct kv_txn *txn, const struct view_record *records, size_t n)
{
    struct register_batch *batch;
    struct about_fields fields = { 0 };
    struct buf scratch;
    int err = register_batch_new(ABOUT_SLOTS, about_rules, &batch);
    if (err != OK) return err;
    index_keys_init(&fields.names);
    buf_init(&scratch, LOG_RECORD_MAX);
    for (size_t i = 0; i < n && err == OK; i++)
        err = about_record(&records[i], &fields, &scratch, batch);
    if (err == OK) err = register_batch_write(batch, txn, view->tables[ABOUT_REGISTERS]);
    register_batch_free(batch);
    index_keys_free(&fields.names);
    free(fields.values);
    buf_free(&scratch);
    return err;
}

const struct view_ops view_about_ops = {
    .name = "about",
    .version = 1,
    .tables = (const struct view_table[]){ { "registers", false }, { NULL, false } },
    .apply = about_apply,
};
