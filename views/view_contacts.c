#include "views/view_contacts.h"

#include "store/err.h"
#include "store/json.h"
#include "views/view_batch.h"
#include "views/view_record.h"

enum { CONTACTS_TABLE_MADE, CONTACTS_TABLE_RECEIVED };

static const enum register_rule contact_rules[CONTACT_STATES] = {
    [CONTACT_FOLLOWS] = REGISTER_LARGEST,
    [CONTACT_BLOCKS] = REGISTER_LARGEST,
    [CONTACT_ENDED] = REGISTER_LARGEST,
};

/* ---- what a message says ---------------------------------------------------------------------------------------- */

static bool member_truthy(struct slice content, const char *name)
{
    struct slice value;
    return json_find(content, name, &value) == 1 && json_truthy(value);
}

static enum contact_state contact_state_of(struct slice content)
{
    struct slice following;
    if (member_truthy(content, "blocking") || member_truthy(content, "flagged")) return CONTACT_BLOCKS;
    bool found = json_find(content, "following", &following) == 1;
    return found && slice_equal(following, SLICE_LITERAL("true")) ? CONTACT_FOLLOWS : CONTACT_ENDED;
}

static int contacts_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct message *message = record->message;
    struct slice value;
    struct ref dest;
    if (message->is_private || message->author_ref.kind == REF_NONE) return OK;
    if (!slice_equal(message->type, SLICE_LITERAL("contact"))) return OK;
    if (json_find(message->content, "contact", &value) != 1 || record_ref(value, &dest) != OK || !ref_is_feed(&dest))
        return OK;
    enum contact_state state = contact_state_of(message->content);
    int err = pair_offer(batch->registers[CONTACTS_TABLE_MADE], &message->author_ref, &dest, state, record->seq);
    if (err != OK) return err;
    return pair_offer(batch->registers[CONTACTS_TABLE_RECEIVED], &dest, &message->author_ref, state, record->seq);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

int contacts_open(const struct flume_read *read, const struct ref *feed, enum contact_side side,
                  const struct ref *after, bool deleted, struct contacts_iter *ret_iter)
{
    const struct view *view = flume_view(read->flume, VIEW_contacts);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view contacts");
    kv_table table = view->tables[side == CONTACTS_MADE ? CONTACTS_TABLE_MADE : CONTACTS_TABLE_RECEIVED];
    struct contacts_iter iter = { .log = deleted ? read->log : NULL };
    int err = pair_open(read->txn, table, CONTACT_STATES, feed, after, &iter.pairs);
    if (err == OK) *ret_iter = iter;
    return err;
}

void contacts_close(struct contacts_iter *iter)
{
    pair_close(&iter->pairs);
}

/* The newest message that is still in the log: 1, 0 = none is, <0 error. */
static int contact_decide(struct log *log, struct register_slot slots[CONTACT_STATES], struct contact *ret_contact)
{
    struct log_record record;
    for (;;) {
        size_t newest = pair_newest(slots, CONTACT_STATES);
        if (slots[newest].seq == SEQ_EMPTY) return 0;
        int err = log == NULL ? OK : log_get(log, slots[newest].seq, &record);
        if (err == OK) {
            ret_contact->state = (enum contact_state)newest;
            ret_contact->seq = slots[newest].seq;
            return 1;
        }
        if (err != ERR_DELETED) return err;
        slots[newest].seq = SEQ_EMPTY;
    }
}

int contacts_next(struct contacts_iter *iter, struct contact *ret_contact)
{
    struct register_slot slots[CONTACT_STATES];
    struct contact contact;
    int found = pair_next(&iter->pairs, &contact.id, slots);
    while (found == 1) {
        found = contact_decide(iter->log, slots, &contact);
        if (found == 1) *ret_contact = contact;
        if (found != 0) return found;
        found = pair_next(&iter->pairs, &contact.id, slots);
    }
    return found;
}

int contacts_get(const struct flume_read *read, const struct ref *source, const struct ref *dest,
                 struct contact *ret_contact)
{
    const struct view *view = flume_view(read->flume, VIEW_contacts);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view contacts");
    struct register_slot slots[CONTACT_STATES];
    struct contact contact = { .id = *dest };
    struct slice value;
    char key[PAIR_KEY_BYTES];
    pair_key(source, dest, key);
    int found = kv_get(read->txn, view->tables[CONTACTS_TABLE_MADE], (struct slice){ key, sizeof key }, &value);
    if (found != 1) return found;
    int err = register_read(value, CONTACT_STATES, slots);
    if (err != OK) return err;
    found = contact_decide(read->log, slots, &contact);
    if (found == 1) *ret_contact = contact;
    return found;
}

const struct view_ops view_contacts_ops = {
    .name = "contacts",
    .version = 1,
    .tables =
        (const struct view_table[]){
            { .name = "made", .shape = TABLE_REGISTERS, .slots = CONTACT_STATES, .rules = contact_rules },
            { .name = "received", .shape = TABLE_REGISTERS, .slots = CONTACT_STATES, .rules = contact_rules },
            { .name = NULL },
        },
    .gather = contacts_gather,
};
