#include <stdlib.h>
#include <string.h>

#include "server/rows_views.h"
#include "server/text.h"
#include "views/index_keys.h"
#include "views/view_channels.h"
#include "views/view_types.h"

/* A name is a string of a message. */
#define TYPE_NAME_MAX ((size_t)1 << 20)

/* What is counted by name. */
struct names_kind {
    const char *member, *label; /* of the page, of the name in a row */
    enum view_id view;          /* its first field is what is counted */
    /* The first name after that of the term `after`: 1 with the name appended, 0 = no more, <0 error. */
    int (*next)(const struct flume_read *read, const struct term *after, struct buf *name,
                struct type_count *ret_count);
    /* That of a term, if its newest message is the one at `seq`: 1 with the name appended, 0, <0 error. */
    int (*at)(const struct flume_read *read, const struct term *term, int64_t seq, struct buf *name,
              struct type_count *ret_count);
};

/* One row is held ahead, so that the last one is known to be the last. */
struct rows_types {
    struct rows rows;
    const struct names_kind *kind;
    struct buf name, ahead;
    struct type_count count;
    bool found;       /* `ahead` and `count` hold a row */
    struct term last; /* of the row that was given */

    struct follow follow;
    struct message message;
    struct term begin; /* names up to it were not asked for; len 0 = all were */
    struct term *said; /* by the record that was looked at last; they are looked at backwards */
    size_t said_count, said_cap;
    int64_t seq; /* of that record */
};

static int next_channel(const struct flume_read *read, const struct term *after, struct buf *name,
                        struct type_count *ret_count)
{
    struct channel_count count = { .seq = SEQ_EMPTY };
    int found = channels_next(read, after, name, &count);
    if (found == 1) *ret_count = (struct type_count){ count.count, count.seq, count.term };
    return found;
}

static int channel_at(const struct flume_read *read, const struct term *term, int64_t seq, struct buf *name,
                      struct type_count *ret_count)
{
    struct channel_count count = { .seq = SEQ_EMPTY };
    int found = channels_at(read, term, seq, name, &count);
    if (found == 1) *ret_count = (struct type_count){ count.count, count.seq, count.term };
    return found;
}

static const struct names_kind types_kind = { "types", "type", VIEW_types, types_next, types_at };
static const struct names_kind channels_kind = { "channels", "channel", VIEW_channels, next_channel, channel_at };

static int types_look(struct rows_types *self, const struct term *after)
{
    struct flume_read read;
    int got = api_read_begin(self->rows.server, &read);
    if (got != OK) return got;
    buf_reset(&self->ahead);
    got = self->kind->next(&read, after, &self->ahead, &self->count);
    flume_read_end(&read);
    self->found = got == 1;
    return got < 0 ? got : OK;
}

static void types_print(const struct rows_types *self, struct buf *out)
{
    (void)buf_printf(out, "{\"%s\":", self->kind->label);
    (void)buf_put_json(out, self->ahead.len > 0 ? self->ahead.data : "", self->ahead.len);
    (void)buf_printf(out, ",\"count\":%llu,\"seq\":%lld}", (unsigned long long)self->count.count,
                     (long long)self->count.seq);
}

/* ---- new ones ----------------------------------------------------------------------------------------------------- */

static bool types_asked(const struct rows_types *self, const struct term *term)
{
    const struct term *begin = &self->begin;
    /* no term is the beginning of another one */
    size_t len = term->len < begin->len ? term->len : begin->len;
    return begin->len == 0 || memcmp(term->bytes, begin->bytes, len) > 0;
}

static int types_said(void *ctx, const struct term *term)
{
    struct rows_types *self = ctx;
    if (!types_asked(self, term)) return OK;
    int err = index_grow(&self->said, &self->said_cap, self->said_count, sizeof *self->said);
    if (err == OK) self->said[self->said_count++] = *term;
    return err;
}

/* Is the record the newest that says so? 1 and it is in `ahead`, 0, <0 error. */
static int types_changed(struct rows_types *self, const struct term *term)
{
    struct flume_read read;
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    buf_reset(&self->ahead);
    got = self->kind->at(&read, term, self->seq, &self->ahead, &self->count);
    flume_read_end(&read);
    return got;
}

/* The cursor is behind the record only when all of its names were given. */
static int types_new(struct rows_types *self, struct buf *out)
{
    const struct field *field = &view_list[self->kind->view]->fields[0];
    follow_begin(&self->follow, &self->rows);
    for (;;) {
        while (self->said_count > 0) {
            int got = types_changed(self, &self->said[--self->said_count]);
            if (got == 0) continue;
            if (got == 1) types_print(self, out);
            if (self->said_count == 0) self->rows.cursor = self->seq;
            return got == 1 && out->err != OK ? out->err : got;
        }
        int64_t before = self->rows.cursor;
        struct log_record record;
        int got = follow_next(&self->follow, &self->rows, &self->message, &record);
        if (got != 1) return got;
        self->seq = record.seq;
        int err = field->emit(&self->message, types_said, self);
        if (err != OK) return err;
        if (self->said_count > 1) self->rows.cursor = before;
    }
}

/* ---- */

static int types_row(struct rows *rows, struct buf *out)
{
    struct rows_types *self = (struct rows_types *)rows;
    rows->ended = !rows->live && !self->found;
    if (rows->live && (self->follow.listed || !self->found)) return types_new(self, out);
    if (!self->found) return 0;
    types_print(self, out);
    buf_reset(&self->name);
    if (self->ahead.len > 0) (void)buf_append(&self->name, self->ahead.data, self->ahead.len);
    if (out->err != OK || self->name.err != OK) return out->err != OK ? out->err : self->name.err;
    self->last = self->count.term;
    int err = types_look(self, &self->last);
    if (err != OK) return err;
    rows->ended = !rows->live && !self->found;
    return 1;
}

/* Is the name a text that a query can hold, and that leads behind it? */
static bool name_leads_on(struct slice name, const struct term *term)
{
    struct term read;
    term_of_text(name.data, name.len, &read);
    return memchr(name.data, '\0', name.len) == NULL && term_equal(&read, term);
}

static int types_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_types *self = (const struct rows_types *)rows;
    const struct term *last = &self->last;
    struct slice name = { self->name.len > 0 ? self->name.data : "", self->name.len };
    if (!name_leads_on(name, last)) name = (struct slice){ (const char *)last->bytes, (size_t)(last->len - 1) };
    (void)buf_puts(out, "gt=");
    text_put_query(out, name);
    return out->err;
}

static void types_free(struct rows *rows)
{
    struct rows_types *self = (struct rows_types *)rows;
    buf_free(&self->name);
    buf_free(&self->ahead);
    follow_close(&self->follow);
    message_free(&self->message);
    free(self->said);
    free(self);
}

static const struct rows_ops types_ops = { .next = types_row, .next_page = types_next_page, .free = types_free };

static int names_open(struct server *server, const struct names_kind *kind, const struct counts_params *params,
                      struct rows **ret_rows)
{
    const struct filter everything = { .count = 0 };
    struct rows_types *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list the %s", kind->member);
    self->kind = kind;
    message_init(&self->message);
    buf_init(&self->name, TYPE_NAME_MAX);
    buf_init(&self->ahead, TYPE_NAME_MAX);
    self->rows = (struct rows){
        .ops = &types_ops,
        .server = server,
        .member = kind->member,
        .limit = params->limit,
        .views = UINT32_C(1) << kind->view,
        .since = flume_since(server->flume, UINT32_C(1) << kind->view),
        .cursor = SEQ_EMPTY,
    };
    if (params->after.data != NULL) term_of_text(params->after.data, params->after.len, &self->begin);
    int err = follow_open(&self->rows, &params->follow, &everything, &self->follow);
    if (err == OK) err = types_look(self, params->after.data != NULL ? &self->begin : NULL);
    if (err != OK) {
        types_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}

int rows_types_open(struct server *server, const struct counts_params *params, struct rows **ret_rows)
{
    return names_open(server, &types_kind, params, ret_rows);
}

int rows_channels_open(struct server *server, const struct counts_params *params, struct rows **ret_rows)
{
    return names_open(server, &channels_kind, params, ret_rows);
}
