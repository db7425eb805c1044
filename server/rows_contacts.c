#include <stdlib.h>

#include "server/rows_social.h"
#include "views/index_keys.h"

const char *const contacts_list_names[CONTACTS_LISTS] = {
    [LIST_FOLLOWS] = "follows",      [LIST_BLOCKS] = "blocks",   [LIST_FOLLOWED_BY] = "followedBy",
    [LIST_BLOCKED_BY] = "blockedBy", [LIST_FRIENDS] = "friends",
};

struct rows_contacts {
    struct rows_people people;
    struct contacts_params params;
    struct contact *contacts; /* those of the list from params.after on, one more than were asked for */
    size_t cap;
    bool more; /* the list goes on behind them */
};

static bool list_receives(enum contacts_list list)
{
    return list == LIST_FOLLOWED_BY || list == LIST_BLOCKED_BY;
}

/* Does this contact stand in the list? 1, 0, <0 error. */
static int contacts_wanted(const struct rows_contacts *self, const struct flume_read *read,
                           const struct contact *contact)
{
    struct contact back;
    switch (self->params.list) {
    case LIST_FOLLOWS:
    case LIST_FOLLOWED_BY: return contact->state == CONTACT_FOLLOWS;
    case LIST_BLOCKS:
    case LIST_BLOCKED_BY: return contact->state == CONTACT_BLOCKS;
    case LIST_FRIENDS:
    case CONTACTS_LISTS: break;
    }
    if (contact->state != CONTACT_FOLLOWS) return 0;
    int found = contacts_get(read, &contact->id, &self->params.feed, &back);
    return found == 1 ? back.state == CONTACT_FOLLOWS : found;
}

static int contacts_add(struct rows_contacts *self, const struct flume_read *read, const struct contact *contact)
{
    int wanted = contacts_wanted(self, read, contact);
    if (wanted <= 0) return wanted;
    size_t *count = &self->people.count;
    if (*count == SAID_AUTHORS_MAX) return err_set(ERR_LIMIT, "more than %zu contacts", SAID_AUTHORS_MAX);
    int err = index_grow(&self->contacts, &self->cap, *count, sizeof *self->contacts);
    if (err == OK) self->contacts[(*count)++] = *contact;
    return err;
}

static int contacts_fill(struct rows_contacts *self, const struct flume_read *read)
{
    const struct contacts_params *params = &self->params;
    bool received = list_receives(params->list);
    const struct ref *after = params->after.kind == REF_NONE ? NULL : &params->after;
    struct contacts_iter iter;
    struct contact contact;
    int got = contacts_open(read, &params->feed, received ? CONTACTS_RECEIVED : CONTACTS_MADE, after, &iter);
    if (got != OK) return got;
    while ((params->limit < 0 || (int64_t)self->people.count <= params->limit) &&
           (got = contacts_next(&iter, &contact)) == 1) {
        got = contacts_add(self, read, &contact);
        if (got != OK) break;
    }
    contacts_close(&iter);
    self->more = params->limit >= 0 && (int64_t)self->people.count > params->limit;
    return got < 0 ? got : OK;
}

static int contacts_fetch(struct rows_contacts *self)
{
    struct flume_read read;
    int err = api_read_begin(self->people.rows.server, &read);
    if (err != OK) return err;
    struct log **log = &self->people.log;
    if (*log == NULL) *log = read.log;
    if (*log != read.log) err = err_set(ERR_CHANGED, "the log was replaced by its owner: read again from the start");
    if (err == OK) err = contacts_fill(self, &read);
    flume_read_end(&read);
    return err;
}

static int contacts_more(struct rows_people *people)
{
    struct rows_contacts *self = (struct rows_contacts *)people;
    if (!self->more) return 0;
    self->params.after = self->contacts[people->count - 1].id;
    people->count = people->next = 0;
    int err = contacts_fetch(self);
    return err == OK ? people->count > 0 : err;
}

/* ---- new ones ----------------------------------------------------------------------------------------------------- */

/* Whom the message scanned last puts into the list, or takes out of it: false = nobody. */
static bool contacts_other(const struct rows_contacts *self, struct ref *ret_other)
{
    const struct ref *feed = &self->params.feed, *author = &self->people.message.author_ref;
    struct ref dest;
    if (author->kind == REF_NONE || !contact_of(&self->people.message, &dest)) return false;
    bool made = ref_equal(author, feed), received = ref_equal(&dest, feed);
    bool either = self->params.list == LIST_FRIENDS;
    if (made && (either || !list_receives(self->params.list))) {
        *ret_other = dest;
        return true;
    }
    *ret_other = *author;
    return received && (either || list_receives(self->params.list));
}

/* As the views know it now: 1 = it is in the list, with the message that decides, 0, <0 error. */
static int contacts_now(struct rows_contacts *self, const struct ref *other, int64_t *ret_seq)
{
    struct flume_read read;
    struct contact contact;
    const struct ref *feed = &self->params.feed;
    bool receives = list_receives(self->params.list);
    int got = flume_read_begin(self->people.rows.server->flume, &read);
    if (got != OK) return got;
    got = contacts_get(&read, receives ? other : feed, receives ? feed : other, &contact);
    contact.id = *other;
    if (got == 1) got = contacts_wanted(self, &read, &contact);
    flume_read_end(&read);
    if (got == 1) *ret_seq = contact.seq;
    return got;
}

static int contacts_changed(struct rows_people *people, struct ref *ret_id, int64_t *seq, bool *ret_removed)
{
    struct rows_contacts *self = (struct rows_contacts *)people;
    if (!contacts_other(self, ret_id)) return 0;
    int got = contacts_now(self, ret_id, seq);
    *ret_removed = got == 0;
    return got < 0 ? got : 1;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static void contacts_at(const struct rows_people *people, size_t i, struct ref *ret_id, int64_t *ret_seq)
{
    const struct rows_contacts *self = (const struct rows_contacts *)people;
    *ret_id = self->contacts[i].id;
    *ret_seq = self->contacts[i].seq;
}

static void contacts_free(struct rows_people *people)
{
    free(((struct rows_contacts *)people)->contacts);
}

static const struct people_ops contacts_ops = {
    .at = contacts_at, .changed = contacts_changed, .more = contacts_more, .free = contacts_free
};

int rows_contacts_open(struct server *server, const struct contacts_params *params, struct rows **ret_rows)
{
    struct rows_contacts *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list contacts");
    struct rows_people *people = &self->people;
    rows_people_init(people, server, &contacts_ops, "contacts", CONTACTS_VIEWS, params->limit);
    self->params = *params;
    struct filter filter = { 0 };
    int err = filter_set_text(&filter, "type", "contact");
    if (err == OK) err = follow_open(&people->rows, &params->follow, &filter, &people->follow);
    if (err == OK) err = contacts_fetch(self);
    if (err != OK) {
        rows_free(&people->rows);
        return err;
    }
    *ret_rows = &people->rows;
    return OK;
}
