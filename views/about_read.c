#include "views/about_read.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_registers.h"
#include "views/view_messages.h"
#include "views/view_record.h"

/* ---- keys and values ---------------------------------------------------------------------------------------- */

static uint8_t *key_put_ref(uint8_t *out, const struct ref *ref)
{
    out[0] = ref->kind;
    memcpy(out + 1, ref->id, sizeof ref->id);
    return out + ABOUT_REF_BYTES;
}

size_t about_key(const struct ref *target, struct slice field, const struct ref *assigner, uint8_t key[ABOUT_KEY_MAX])
{
    uint8_t *at = key_put_ref(key, target);
    memcpy(at, field.data, field.len);
    (void)key_put_ref(at + field.len, assigner);
    return 2 * ABOUT_REF_BYTES + field.len;
}

int about_field_term(const struct json_member *member, struct buf *scratch, struct term *ret_term)
{
    if (!member->key_escaped) {
        term_of_string(member->key.data, member->key.len, ret_term);
        return OK;
    }
    buf_reset(scratch);
    int err = json_unescape(member->key, scratch);
    if (err == ERR_JSON) {
        /* A bad escape: no parser would take the record. What stands there is a name as good as any. */
        term_of_string(member->key.data, member->key.len, ret_term);
        return OK;
    }
    if (err == OK) term_of_string(scratch->data, scratch->len, ret_term);
    return err;
}

bool about_removes(struct slice value)
{
    struct slice flag;
    return value.len > 0 && value.data[0] == '{' && json_find(value, "remove", &flag) == 1 && json_truthy(flag);
}

/* ssb-ref's isLink: an id, perhaps with a query behind it ("&…sha256?unbox=…"). */
static bool link_is_ref(struct slice raw)
{
    struct buf text;
    struct ref ref;
    buf_init(&text, raw.len + 1);
    bool is_ref = false;
    if (json_unescape(raw, &text) == OK && text.len > 0) {
        const char *query = memchr(text.data, '?', text.len);
        is_ref = ref_try(text.data, query != NULL ? (size_t)(query - text.data) : text.len, &ref);
    }
    buf_free(&text);
    return is_ref;
}

/* What a value counts as under rule social: a string that is not empty, or the `link` of an object if it is an id; raw. */
static bool about_countable(struct slice value, struct slice *ret_link)
{
    struct slice link = value;
    bool is_object = value.len > 0 && value.data[0] == '{';
    if (is_object && (json_find(value, "link", &link) != 1 || about_removes(value))) return false;
    if (!json_is_string(link) || !json_truthy(link) || (is_object && !link_is_ref(link))) return false;
    *ret_link = link;
    return true;
}

/* ---- one assigner of a field, and its record ---------------------------------------------------------------- */

struct assigner {
    struct ref ref;
    struct register_slot slots[ABOUT_SLOTS];
};

/* All assigners of one field of a target. */
struct about_group {
    const struct flume_read *read;
    struct term field;
    struct assigner *assigners;
    size_t count, cap;
    struct buf scratch;
};

/* The value that record `seq` gives to the field: 1, 0 if the record was deleted (or does not speak of it), <0 error. */
static int group_value(struct about_group *group, const struct assigner *assigner, int64_t seq,
                       struct about_value *ret_value)
{
    struct log_record record;
    struct slice content;
    struct json_iter iter;
    struct json_member member;
    struct term name;
    int found = 0, err = log_get(group->read->log, seq, &record);
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    if (record_content(record.value, &content) != 1 || json_open(content, &iter) != OK) return 0;
    while (json_next(&iter, &member) == 1) {
        err = about_field_term(&member, &group->scratch, &name);
        if (err != OK) return err;
        if (!term_equal(&name, &group->field)) continue;
        *ret_value = (struct about_value){ member.key, member.value, seq, assigner->ref };
        found = 1;
    }
    return found;
}

/* Does slot `which` of `a` hold a better offer than that of `b`? */
static bool slot_newer(const struct assigner *a, const struct assigner *b, size_t which)
{
    const struct register_slot *left = &a->slots[which], *right = &b->slots[which];
    return left->order > right->order || (left->order == right->order && left->seq > right->seq);
}

static int assigner_by_first(const void *a, const void *b)
{
    const struct assigner *left = a, *right = b;
    return slot_newer(left, right, ABOUT_FIRST) - slot_newer(right, left, ABOUT_FIRST);
}

static int assigner_by_newest(const void *a, const void *b)
{
    const struct assigner *left = a, *right = b;
    return slot_newer(right, left, ABOUT_NEWEST) - slot_newer(left, right, ABOUT_NEWEST);
}

/* ---- the rules: 1 and the value, 0 = none, <0 error ---------------------------------------------------------- */

static int group_of(struct about_group *group, const struct ref *assigner, size_t slot, struct about_value *ret_value)
{
    for (size_t i = 0; assigner != NULL && i < group->count; i++) {
        const struct assigner *one = &group->assigners[i];
        if (ref_equal(&one->ref, assigner) && one->slots[slot].seq != SEQ_EMPTY)
            return group_value(group, one, one->slots[slot].seq, ret_value);
    }
    return 0;
}

static int group_latest(struct about_group *group, struct about_value *ret_value)
{
    qsort(group->assigners, group->count, sizeof *group->assigners, assigner_by_newest);
    int found = 0;
    for (size_t i = 0; i < group->count && found == 0; i++) {
        const struct assigner *one = &group->assigners[i];
        if (one->slots[ABOUT_NEWEST].seq != SEQ_EMPTY)
            found = group_value(group, one, one->slots[ABOUT_NEWEST].seq, ret_value);
    }
    return found;
}

/* Counts what the assigners say; of each distinct text the first that said it is kept. */
struct about_vote {
    uint32_t count;
    struct about_value value;
};

static int vote_note(struct about_group *group, struct index_keys *texts, struct about_vote **votes, size_t *cap,
                     const struct about_value *value, uint32_t *ret_id)
{
    buf_reset(&group->scratch);
    int err = json_unescape(value->value, &group->scratch);
    if (err == ERR_JSON) {
        buf_reset(&group->scratch);
        err = buf_append(&group->scratch, value->value.data, value->value.len);
    }
    /* As a term the text has a bounded length, and equal terms are equal texts. */
    struct term term;
    if (err != OK) return err;
    term_of_string(group->scratch.data, group->scratch.len, &term);
    uint32_t id;
    size_t known = texts->count;
    err = index_grow(votes, cap, known, sizeof **votes);
    if (err == OK) err = index_keys_add(texts, (struct slice){ (const char *)term.bytes, term.len }, &id);
    if (err != OK) return err;
    if (id == known) (*votes)[id] = (struct about_vote){ 0, *value };
    (*votes)[id].count++;
    *ret_id = id;
    return OK;
}

static int group_majority(struct about_group *group, struct about_value *ret_value)
{
    struct index_keys texts;
    struct about_vote *votes = NULL;
    size_t cap = 0;
    uint32_t most = 0, id;
    struct about_value value;
    int err = OK;
    qsort(group->assigners, group->count, sizeof *group->assigners, assigner_by_first);
    index_keys_init(&texts, 0);
    for (size_t i = 0; i < group->count && err == OK; i++) {
        const struct assigner *one = &group->assigners[i];
        if (one->slots[ABOUT_VALUE].seq == SEQ_EMPTY) continue;
        int found = group_value(group, one, one->slots[ABOUT_VALUE].seq, &value);
        if (found < 0) err = found;
        if (found != 1 || !about_countable(value.value, &value.value)) continue;
        err = vote_note(group, &texts, &votes, &cap, &value, &id);
        if (err != OK || votes[id].count <= most) continue;
        most = votes[id].count;
        *ret_value = votes[id].value;
    }
    index_keys_free(&texts);
    free(votes);
    return err != OK ? err : most > 0;
}

/* Who asks, and whom the target itself is: its feed, or the author of the message. NULL = not known. */
struct about_asked {
    enum about_rule rule;
    bool all;
    const struct ref *reader, *own;
    about_fn *fn;
    void *ctx;
};

static int group_rule(struct about_group *group, const struct about_asked *asked, struct about_value *ret_value)
{
    switch (asked->rule) {
    case ABOUT_LATEST: return group_latest(group, ret_value);
    case ABOUT_SELF: return group_of(group, asked->own, ABOUT_OWN, ret_value);
    case ABOUT_SOCIAL: break;
    }
    int found = group_of(group, asked->reader, ABOUT_VALUE, ret_value);
    if (found == 0) found = group_of(group, asked->own, ABOUT_VALUE, ret_value);
    return found != 0 ? found : group_majority(group, ret_value);
}

static int group_all(struct about_group *group, const struct about_asked *asked)
{
    struct about_value value;
    qsort(group->assigners, group->count, sizeof *group->assigners, assigner_by_first);
    int stop = 0;
    for (size_t i = 0; i < group->count && stop == 0; i++) {
        const struct assigner *one = &group->assigners[i];
        if (one->slots[ABOUT_VALUE].seq == SEQ_EMPTY) continue;
        int found = group_value(group, one, one->slots[ABOUT_VALUE].seq, &value);
        stop = found == 1 ? asked->fn(asked->ctx, &value) : found;
    }
    return stop;
}

/* Answers for the gathered field, and makes room for the next. */
static int group_end(struct about_group *group, const struct about_asked *asked)
{
    struct about_value value;
    int stop = 0;
    if (group->count == 0) return 0;
    if (asked->all) {
        stop = group_all(group, asked);
    } else {
        int found = group_rule(group, asked, &value);
        stop = found == 1 ? asked->fn(asked->ctx, &value) : found;
    }
    group->count = 0;
    return stop;
}

/* ---- walking the registers of a target ----------------------------------------------------------------------- */

static int group_add(struct about_group *group, const uint8_t *assigner, struct slice value)
{
    int err = index_grow(&group->assigners, &group->cap, group->count, sizeof *group->assigners);
    if (err != OK) return err;
    struct assigner *one = &group->assigners[group->count];
    err = register_read(value, ABOUT_SLOTS, one->slots);
    if (err != OK) return err;
    one->ref.kind = assigner[0];
    memcpy(one->ref.id, assigner + 1, sizeof one->ref.id);
    group->count++;
    return OK;
}

/* One register: 0 to go on. */
static int about_take(struct about_group *group, const struct about_asked *asked, struct slice key, struct slice value)
{
    const uint8_t *field = (const uint8_t *)key.data + ABOUT_REF_BYTES;
    if (key.len <= 2 * ABOUT_REF_BYTES || key.len > ABOUT_KEY_MAX)
        return err_set(ERR_CORRUPT, "the view about holds a damaged key; rebuild the views");
    size_t len = key.len - 2 * ABOUT_REF_BYTES;
    if (len != group->field.len || memcmp(field, group->field.bytes, len) != 0) {
        int stop = group_end(group, asked);
        if (stop != 0) return stop;
        group->field.len = (uint8_t)len;
        memcpy(group->field.bytes, field, len);
    }
    return group_add(group, field + len, value);
}

static int about_walk(const struct flume_read *read, const struct ref *target, const struct about_asked *asked)
{
    const struct view *view = flume_view(read->flume, VIEW_about);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view about");
    uint8_t bytes[ABOUT_REF_BYTES];
    struct slice prefix = { (const char *)bytes, sizeof bytes }, key, value;
    struct kv_cursor *cursor;
    struct about_group group = { .read = read };
    int err = kv_cursor_open(read->txn, view->tables[ABOUT_REGISTERS], &cursor);
    if (err != OK) return err;
    (void)key_put_ref(bytes, target);
    buf_init(&group.scratch, LOG_RECORD_MAX);
    int stop = 0, found = kv_seek(cursor, prefix, &key, &value);
    while (found == 1 && stop == 0 && key.len >= prefix.len && memcmp(key.data, prefix.data, prefix.len) == 0) {
        stop = about_take(&group, asked, key, value);
        if (stop == 0) found = kv_next(cursor, &key, &value);
    }
    if (stop == 0) stop = found < 0 ? found : group_end(&group, asked);
    kv_cursor_close(cursor);
    buf_free(&group.scratch);
    free(group.assigners);
    return stop;
}

/* The feed that speaks for the target: 1, 0 = there is none, <0 error. */
static int about_own(const struct flume_read *read, const struct ref *target, struct ref *ret_own)
{
    struct log_record record;
    if (ref_is_feed(target)) {
        *ret_own = *target;
        return 1;
    }
    if (target->kind != REF_MESSAGE) return 0;
    int err = messages_find(read, target, &record);
    if (err != OK) return err == ERR_NOTFOUND ? 0 : err;
    return record_author(record.value, ret_own) == OK;
}

int about_get(const struct flume_read *read, const struct ref *target, enum about_rule rule, const struct ref *reader,
              about_fn *fn, void *ctx)
{
    struct ref own;
    struct about_asked asked = { .rule = rule, .reader = reader, .fn = fn, .ctx = ctx };
    if (rule != ABOUT_LATEST) {
        int found = about_own(read, target, &own);
        if (found < 0) return found;
        if (found == 1) asked.own = &own;
    }
    return about_walk(read, target, &asked);
}

int about_all(const struct flume_read *read, const struct ref *target, about_fn *fn, void *ctx)
{
    return about_walk(read, target, &(struct about_asked){ .all = true, .fn = fn, .ctx = ctx });
}
