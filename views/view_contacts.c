#include "views/view_contacts.h"

#include "store/err.h"
#include "store/json.h"
#include "views/view_batch.h"
#include "views/view_record.h"

enum { CONTACTS_TABLE };

static const enum register_rule contact_rules[] = { REGISTER_LARGEST };

/* The newest record and what it says, in one number that grows with the log. Seqs are below 2^53. */
static int64_t contact_pack(int64_t seq, enum contact_state state)
{
    return seq * CONTACT_STATES + (int64_t)state;
}

static void contact_unpack(int64_t packed, struct contact *contact)
{
    contact->seq = packed / CONTACT_STATES;
    contact->state = (enum contact_state)(packed % CONTACT_STATES);
}

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

bool contact_of(const struct message *message, struct ref *ret_dest)
{
    struct slice value;
    struct ref dest;
    if (message->is_private || !slice_equal(message->type, SLICE_LITERAL("contact"))) return false;
    if (json_find(message->content, "contact", &value) != 1 || record_ref(value, &dest) != OK || !ref_is_feed(&dest))
        return false;
    *ret_dest = dest;
    return true;
}

static int contacts_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct message *message = record->message;
    struct ref dest;
    if (message->author_ref.kind == REF_NONE || !contact_of(message, &dest)) return OK;
    int64_t packed = contact_pack(record->seq, contact_state_of(message->content));
    return pair_offer(batch->registers[CONTACTS_TABLE], &message->author_ref, &dest, 0, packed);
}

/* ---- the field ------------------------------------------------------------------------------------------------- */

static int contact_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    struct ref ref;
    if (ref_parse_any(text, len, &ref) != OK || !ref_is_feed(&ref))
        return err_set(ERR_REF, "contact: the id of a feed like @….ed25519 is wanted");
    term_of_ref(&ref, ret_term);
    *ret_negate = false;
    return OK;
}

static int contact_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    struct ref dest;
    if (!contact_of(message, &dest)) return OK;
    term_of_ref(&dest, &term);
    return fn(ctx, &term);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int contacts_view(const struct flume_read *read, const struct view **ret_view)
{
    *ret_view = flume_view(read->flume, VIEW_contacts);
    return *ret_view != NULL ? OK : err_set(ERR_NOTFOUND, "there is no view contacts");
}

static int contact_with(void *ctx, const struct message *message)
{
    struct ref dest;
    return contact_of(message, &dest) && ref_equal(&dest, ctx) ? (int)contact_state_of(message->content) : -1;
}

/* What others made of the feed. */
static int contacts_received(const struct flume_read *read, const struct ref *feed, struct said_list *ret_said)
{
    struct filter filter = { 0 };
    struct ref wanted = *feed;
    int err = filter_set_ref(&filter, "contact", feed);
    return err == OK ? said_read(read, &filter, SAID_AUTHORS_MAX, contact_with, &wanted, ret_said) : err;
}

int contacts_open(const struct flume_read *read, const struct ref *feed, enum contact_side side,
                  const struct ref *after, struct contacts_iter *ret_iter)
{
    struct contacts_iter iter = { .side = side };
    const struct view *view;
    int err = contacts_view(read, &view);
    if (err != OK) return err;
    if (side == CONTACTS_MADE)
        err = pair_open(read->txn, view->tables[CONTACTS_TABLE], 1, feed, after, &iter.pairs);
    else
        err = contacts_received(read, feed, &iter.said);
    if (err != OK) return err;
    if (side == CONTACTS_RECEIVED && after != NULL) iter.next = said_behind(&iter.said, after);
    *ret_iter = iter;
    return OK;
}

void contacts_close(struct contacts_iter *iter)
{
    pair_close(&iter->pairs);
    said_free(&iter->said);
}

static int received_next(struct contacts_iter *iter, struct contact *ret_contact)
{
    if (iter->next == iter->said.count) return 0;
    const struct said *said = &iter->said.items[iter->next++];
    *ret_contact = (struct contact){ said->author, (enum contact_state)said->what, said->seq };
    return 1;
}

int contacts_next(struct contacts_iter *iter, struct contact *ret_contact)
{
    struct register_slot slot;
    struct contact contact;
    if (iter->side == CONTACTS_RECEIVED) return received_next(iter, ret_contact);
    int found = pair_next(&iter->pairs, &contact.id, &slot);
    if (found != 1) return found;
    contact_unpack(slot.seq, &contact);
    *ret_contact = contact;
    return 1;
}

int contacts_get(const struct flume_read *read, const struct ref *source, const struct ref *dest,
                 struct contact *ret_contact)
{
    const struct view *view;
    struct register_slot slot;
    struct contact contact = { .id = *dest };
    struct slice value;
    char key[PAIR_KEY_BYTES];
    int err = contacts_view(read, &view);
    if (err != OK) return err;
    pair_key(source, dest, key);
    int found = kv_get(read->txn, view->tables[CONTACTS_TABLE], (struct slice){ key, sizeof key }, &value);
    if (found != 1) return found;
    err = register_read(value, 1, &slot);
    if (err != OK) return err;
    contact_unpack(slot.seq, &contact);
    *ret_contact = contact;
    return 1;
}

/* ---- counting --------------------------------------------------------------------------------------------------- */

static void count_received(const struct said_list *received, struct contacts_counts *counts)
{
    for (size_t i = 0; i < received->count; i++) {
        counts->followed_by += received->items[i].what == CONTACT_FOLLOWS;
        counts->blocked_by += received->items[i].what == CONTACT_BLOCKS;
    }
}

static int count_made(const struct flume_read *read, const struct ref *feed, const struct said_list *received,
                      struct contacts_counts *counts)
{
    struct contacts_iter iter;
    struct contact contact;
    struct log_record record;
    int got = contacts_open(read, feed, CONTACTS_MADE, NULL, &iter);
    if (got != OK) return got;
    while ((got = contacts_next(&iter, &contact)) == 1) {
        if (contact.state == CONTACT_ENDED) continue;
        int err = log_get(read->log, contact.seq, &record);
        if (err == ERR_DELETED) continue;
        if (err != OK) {
            got = err;
            break;
        }
        const struct said *back = said_by(received, &contact.id);
        bool follows = contact.state == CONTACT_FOLLOWS;
        counts->follows += follows;
        counts->blocks += !follows;
        counts->friends += follows && back != NULL && back->what == CONTACT_FOLLOWS;
    }
    contacts_close(&iter);
    return got;
}

int contacts_count(const struct flume_read *read, const struct ref *feed, struct contacts_counts *ret_counts)
{
    struct contacts_counts counts = { 0 };
    struct said_list received;
    int err = contacts_received(read, feed, &received);
    if (err != OK) return err;
    count_received(&received, &counts);
    err = count_made(read, feed, &received, &counts);
    said_free(&received);
    if (err == OK) *ret_counts = counts;
    return err;
}

const struct view_ops view_contacts_ops = {
    .name = "contacts",
    .version = 2,
    .fields = (const struct field[]){ { "contact", contact_parse, contact_emit }, { NULL, NULL, NULL } },
    .tables =
        (const struct view_table[]){
            { .name = "made", .shape = TABLE_REGISTERS, .slots = 1, .rules = contact_rules },
            { .name = NULL },
        },
    .gather = contacts_gather,
};
