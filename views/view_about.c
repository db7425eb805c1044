#include <string.h>

#include "store/err.h"
#include "views/about_read.h"
#include "views/view_about.h"
#include "views/view_batch.h"
#include "views/view_record.h"

/* Fields taken from one message: far more than one of 8 KiB can hold. The rest of a larger record is not looked at. */
#define ABOUT_FIELDS_MAX 4096

static const enum register_rule about_rules[ABOUT_SLOTS] = {
    [ABOUT_VALUE] = REGISTER_LARGEST,
    [ABOUT_FIRST] = REGISTER_SMALLEST,
    [ABOUT_NEWEST] = REGISTER_LARGEST,
    [ABOUT_OWN] = REGISTER_LARGEST,
};

static int field_add(struct view_batch *batch, const struct term *name, struct slice value)
{
    uint32_t id;
    size_t known = batch->names.count;
    int err = index_keys_add(&batch->names, (struct slice){ (const char *)name->bytes, name->len }, &id);
    if (err != OK) return err;
    if (id == known) return buf_append(&batch->values, &value, sizeof value);
    memcpy(batch->values.data + id * sizeof value, &value, sizeof value);
    return OK;
}

/* The fields of one message, each with its last value: names are numbered in batch->names, batch->values has a slice for each. */
static int fields_read(struct view_batch *batch, struct slice content)
{
    struct json_iter iter;
    struct json_member member;
    struct term name;
    index_keys_reset(&batch->names);
    buf_reset(&batch->values);
    if (json_open(content, &iter) != OK || iter.close != '}') return OK;
    while (batch->names.count < ABOUT_FIELDS_MAX && json_next(&iter, &member) == 1) {
        if (json_key_is(&member, "type") || json_key_is(&member, "about")) continue;
        int err = about_field_term(&member, &batch->scratch, &name);
        if (err == OK) err = field_add(batch, &name, member.value);
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

bool about_of(const struct message *message, struct ref *ret_target)
{
    struct slice value;
    struct ref target;
    if (message->is_private || message->author_ref.kind == REF_NONE) return false;
    if (!slice_equal(message->type, SLICE_LITERAL("about"))) return false;
    if (json_find(message->content, "about", &value) != 1 || record_ref(value, &target) != OK) return false;
    *ret_target = target;
    return true;
}

static int about_gather(struct view_batch *batch, const struct view_record *record)
{
    struct ref target;
    const struct message *message = record->message;
    if (!about_of(message, &target)) return OK;
    int err = fields_read(batch, message->content);
    double order = message_rts(message);
    for (size_t i = 0; i < batch->names.count && err == OK; i++) {
        uint8_t bytes[ABOUT_KEY_MAX];
        struct slice name = index_keys_get(&batch->names, (uint32_t)i), value;
        const struct slice key = { (const char *)bytes, about_key(&target, name, &message->author_ref, bytes) };
        memcpy(&value, batch->values.data + i * sizeof value, sizeof value);
        err = about_offer(batch->registers[ABOUT_REGISTERS], key, value, order, record->seq);
    }
    return err;
}

const struct view_ops view_about_ops = {
    .name = "about",
    .version = 1,
    .tables =
        (const struct view_table[]){
            { .name = "registers", .shape = TABLE_REGISTERS, .slots = ABOUT_SLOTS, .rules = about_rules },
            { .name = NULL },
        },
    .gather = about_gather,
};
