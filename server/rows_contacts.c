#include <stdlib.h>

#include "server/rows_social.h"
#include "server/rows_views.h"
#include "server/text.h"

#define CONTACTS_BATCH 64

const char *const contacts_list_names[CONTACTS_LISTS] = {
    [LIST_FOLLOWS] = "follows",      [LIST_BLOCKS] = "blocks",   [LIST_FOLLOWED_BY] = "followedBy",
    [LIST_BLOCKED_BY] = "blockedBy", [LIST_FRIENDS] = "friends",
};

struct rows_contacts {
    struct rows rows;
    struct contacts_params params; /* `after` moves on with the rows */
    struct message message;
    struct contact batch[CONTACTS_BATCH];
    size_t count, next, batch_max;
    bool dry;
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

static int contacts_fill(struct rows_contacts *self, const struct flume_read *read)
{
    bool received = self->params.list == LIST_FOLLOWED_BY || self->params.list == LIST_BLOCKED_BY;
    const struct ref *after = self->params.after.kind == REF_NONE ? NULL : &self->params.after;
    struct contacts_iter iter;
    int got = contacts_open(read, &self->params.feed, received ? CONTACTS_RECEIVED : CONTACTS_MADE, after, true, &iter);
    if (got != OK) return got;
    while (self->count < self->batch_max) {
        got = contacts_next(&iter, &self->batch[self->count]);
        if (got == 1) got = contacts_wanted(self, read, &self->batch[self->count]) + 1;
        if (got <= 0) break;
        self->count += got == 2;
    }
    contacts_close(&iter);
    return got < 0 ? got : OK;
}

static int contacts_fetch(struct rows_contacts *self)
{
    struct flume_read read;
    int err = flume_read_begin(self->rows.server->flume, &read);
    if (err != OK) return err;
    self->count = self->next = 0;
    err = contacts_fill(self, &read);
    flume_read_end(&read);
    self->dry = self->count < self->batch_max;
    return err;
}

static int contacts_print(struct rows_contacts *self, const struct contact *contact, struct buf *out)
{
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &contact->id);
    (void)buf_putc(out, ',');
    int err = rows_put_source(flume_log(self->rows.server->flume), contact->seq, &self->message, out);
    (void)buf_putc(out, '}');
    return err == OK ? out->err : err;
}

static int contacts_row(struct rows *rows, struct buf *out)
{
    struct rows_contacts *self = (struct rows_contacts *)rows;
    size_t start = out->len;
    for (;;) {
        int err = self->next < self->count || self->dry ? OK : contacts_fetch(self);
        if (err != OK) return err;
        if (self->next == self->count) {
            rows->ended = true;
            return 0;
        }
        const struct contact *contact = &self->batch[self->next++];
        self->params.after = contact->id;
        err = contacts_print(self, contact, out);
        rows->ended = self->dry && self->next == self->count;
        if (err != ERR_DELETED) return err == OK ? 1 : err;
        out->len = start; /* gone since it was fetched */
    }
}

static int contacts_next_page(struct rows *rows, struct buf *out)
{
    return rows_put_after(&((struct rows_contacts *)rows)->params.after, out);
}

static void contacts_free(struct rows *rows)
{
    message_free(&((struct rows_contacts *)rows)->message);
    free(rows);
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
    self->batch_max = params->limit >= 0 && params->limit < CONTACTS_BATCH ? (size_t)params->limit + 1 : CONTACTS_BATCH;
    self->rows = (struct rows){
        .ops = &contacts_ops,
        .server = server,
        .member = "contacts",
        .limit = params->limit,
        .views = VIEW_MASK(contacts),
        .since = flume_since(server->flume, VIEW_MASK(contacts)),
        .cursor = SEQ_EMPTY,
    };
    *ret_rows = &self->rows;
    return OK;
}
