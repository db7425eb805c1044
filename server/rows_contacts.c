#include <stdlib.h>

#include "server/rows_social.h"
#include "server/rows_views.h"
#include "server/text.h"
#include "views/index_keys.h"

const char *const contacts_list_names[CONTACTS_LISTS] = {
    [LIST_FOLLOWS] = "follows",      [LIST_BLOCKS] = "blocks",   [LIST_FOLLOWED_BY] = "followedBy",
    [LIST_BLOCKED_BY] = "blockedBy", [LIST_FRIENDS] = "friends",
};

struct rows_contacts {
    struct rows rows;
    struct contacts_params params;
    struct log *log;
    struct contact *contacts; /* those of the list, one more than were asked for */
    size_t count, cap, next;
    struct follow follow;
    struct message message, scratch;
};

int rows_put_source(struct log *log, int64_t seq, struct message *scratch, struct buf *out)
{
    struct log_record record;
    int err = log_get(log, seq, &record);
    if (err == OK) err = message_scan(scratch, record.value.data, record.value.len);
    if (err != OK) return err;
    (void)buf_puts(out, "\"key\":");
    text_put_json(out, scratch->key);
    (void)buf_printf(out, ",\"seq\":%lld", (long long)seq);
    rows_put_received(out, scratch);
    return out->err;
}

int rows_put_person(struct log *log, const struct ref *id, int64_t seq, bool removed, struct message *scratch,
                    struct buf *out)
{
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, id);
    (void)buf_putc(out, ',');
    int err = rows_put_source(log, seq, scratch, out);
    (void)buf_puts(out, removed ? ",\"removed\":true}" : "}");
    return err == OK ? out->err : err;
}

int rows_put_after(const struct ref *id, struct buf *out)
{
    char text[REF_TEXT_MAX];
    size_t len = ref_print(id, text);
    (void)buf_puts(out, "gt=");
    text_put_query(out, (struct slice){ text, len });
    return out->err;
}

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
    if (self->count == SAID_AUTHORS_MAX) return err_set(ERR_LIMIT, "more than %zu contacts", SAID_AUTHORS_MAX);
    int err = index_grow(&self->contacts, &self->cap, self->count, sizeof *self->contacts);
    if (err == OK) self->contacts[self->count++] = *contact;
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
    while ((params->limit < 0 || (int64_t)self->count <= params->limit) &&
           (got = contacts_next(&iter, &contact)) == 1) {
        got = contacts_add(self, read, &contact);
        if (got != OK) break;
    }
    contacts_close(&iter);
    return got < 0 ? got : OK;
}

static int contacts_fetch(struct rows_contacts *self)
{
    struct flume_read read;
    int err = api_read_begin(self->rows.server, &read);
    if (err != OK) return err;
    self->log = read.log;
    err = contacts_fill(self, &read);
    flume_read_end(&read);
    return err;
}

/* ---- new ones ----------------------------------------------------------------------------------------------------- */

/* Whom the message scanned last puts into the list, or takes out of it: false = nobody. */
static bool contacts_other(const struct rows_contacts *self, struct ref *ret_other)
{
    const struct ref *feed = &self->params.feed, *author = &self->message.author_ref;
    struct ref dest;
    if (author->kind == REF_NONE || !contact_of(&self->message, &dest)) return false;
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
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    got = contacts_get(&read, receives ? other : feed, receives ? feed : other, &contact);
    contact.id = *other;
    if (got == 1) got = contacts_wanted(self, &read, &contact);
    flume_read_end(&read);
    if (got == 1) *ret_seq = contact.seq;
    return got;
}

static int contacts_new(struct rows_contacts *self, struct buf *out)
{
    struct log_record record;
    struct ref other;
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        if (!contacts_other(self, &other)) continue;
        int64_t seq = record.seq;
        got = contacts_now(self, &other, &seq);
        if (got < 0) return got;
        int err = rows_put_person(self->log, &other, seq, got == 0, &self->scratch, out);
        return err == OK ? 1 : err;
    }
    return got;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static int contacts_print(struct rows_contacts *self, const struct contact *contact, struct buf *out)
{
    return rows_put_person(self->log, &contact->id, contact->seq, false, &self->message, out);
}

static int contacts_row(struct rows *rows, struct buf *out)
{
    struct rows_contacts *self = (struct rows_contacts *)rows;
    if (rows->live && (self->follow.listed || self->next == self->count)) return contacts_new(self, out);
    size_t start = out->len;
    int err = ERR_DELETED;
    while (err == ERR_DELETED && self->next < self->count) {
        out->len = start;
        err = contacts_print(self, &self->contacts[self->next++], out);
    }
    rows->ended = !rows->live && self->next == self->count;
    if (err == ERR_DELETED) out->len = start;
    if (err == ERR_DELETED && rows->live) return contacts_new(self, out);
    return err == OK ? 1 : err == ERR_DELETED ? 0 : err;
}

static int contacts_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_contacts *self = (const struct rows_contacts *)rows;
    return rows_put_after(&self->contacts[self->next - 1].id, out);
}

static void contacts_free(struct rows *rows)
{
    struct rows_contacts *self = (struct rows_contacts *)rows;
    follow_close(&self->follow);
    message_free(&self->message);
    message_free(&self->scratch);
    free(self->contacts);
    free(self);
}

static const struct rows_ops contacts_ops = {
    .next = contacts_row,
    .next_page = contacts_next_page,
    .free = contacts_free,
};

int rows_contacts_open(struct server *server, const struct contacts_params *params, struct rows **ret_rows)
{
    struct rows_contacts *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list contacts");
    message_init(&self->message);
    message_init(&self->scratch);
    self->params = *params;
    self->rows = (struct rows){
        .ops = &contacts_ops,
        .server = server,
        .member = "contacts",
        .limit = params->limit,
        .views = CONTACTS_VIEWS,
        .since = flume_since(server->flume, CONTACTS_VIEWS),
        .cursor = SEQ_EMPTY,
    };
    struct filter filter = { 0 };
    int err = filter_set_text(&filter, "type", "contact");
    if (err == OK) err = follow_open(&self->rows, &params->follow, &filter, &self->follow);
    if (err == OK) err = contacts_fetch(self);
    if (err != OK) {
        contacts_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
