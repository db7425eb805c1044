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
    struct message message;
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

int rows_put_after(const struct ref *id, struct buf *out)
{
    char text[REF_TEXT_MAX];
    size_t len = ref_print(id, text);
    (void)buf_puts(out, "gt=");
    text_put_query(out, (struct slice){ text, len });
    return out->err;
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
    bool received = params->list == LIST_FOLLOWED_BY || params->list == LIST_BLOCKED_BY;
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

static int contacts_print(struct rows_contacts *self, const struct contact *contact, struct buf *out)
{
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &contact->id);
    (void)buf_putc(out, ',');
    int err = rows_put_source(self->log, contact->seq, &self->message, out);
    (void)buf_putc(out, '}');
    return err == OK ? out->err : err;
}

static int contacts_row(struct rows *rows, struct buf *out)
{
    struct rows_contacts *self = (struct rows_contacts *)rows;
    size_t start = out->len;
    int err = ERR_DELETED;
    while (err == ERR_DELETED && self->next < self->count) {
        out->len = start;
        err = contacts_print(self, &self->contacts[self->next++], out);
    }
    rows->ended = self->next == self->count;
    if (err == ERR_DELETED) out->len = start;
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
    message_free(&self->message);
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
    int err = contacts_fetch(self);
    if (err != OK) {
        contacts_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
