#include <stdlib.h>
#include <string.h>

#include "server/rows_views.h"
#include "server/text.h"
#include "views/view_channels.h"
#include "views/view_types.h"

/* A name is a string of a message. */
#define TYPE_NAME_MAX ((size_t)1 << 20)

/* What is counted by name. */
struct names_kind {
    const char *member, *label; /* of the page, of the name in a row */
    uint32_t views;
    /* The first name after that of the term `after`: 1 with the name appended, 0 = no more, <0 error. */
    int (*next)(const struct flume_read *read, const struct term *after, struct buf *name,
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
};

static int next_channel(const struct flume_read *read, const struct term *after, struct buf *name,
                        struct type_count *ret_count)
{
    struct channel_count count = { .seq = SEQ_EMPTY };
    int found = channels_next(read, after, name, &count);
    if (found == 1) *ret_count = (struct type_count){ count.count, count.seq, count.term };
    return found;
}

static const struct names_kind types_kind = { "types", "type", VIEW_MASK(types), types_next };
static const struct names_kind channels_kind = { "channels", "channel", VIEW_MASK(channels), next_channel };

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

static int types_row(struct rows *rows, struct buf *out)
{
    struct rows_types *self = (struct rows_types *)rows;
    rows->ended = !self->found;
    if (!self->found) return 0;
    (void)buf_printf(out, "{\"%s\":", self->kind->label);
    (void)buf_put_json(out, self->ahead.len > 0 ? self->ahead.data : "", self->ahead.len);
    (void)buf_printf(out, ",\"count\":%llu,\"seq\":%lld}", (unsigned long long)self->count.count,
                     (long long)self->count.seq);
    buf_reset(&self->name);
    if (self->ahead.len > 0) (void)buf_append(&self->name, self->ahead.data, self->ahead.len);
    if (out->err != OK || self->name.err != OK) return out->err != OK ? out->err : self->name.err;
    self->last = self->count.term;
    int err = types_look(self, &self->last);
    if (err != OK) return err;
    rows->ended = !self->found;
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
    free(self);
}

static const struct rows_ops types_ops = { .next = types_row, .next_page = types_next_page, .free = types_free };

static int names_open(struct server *server, const struct names_kind *kind, struct slice after, int64_t limit,
                      struct rows **ret_rows)
{
    struct rows_types *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list the %s", kind->member);
    self->kind = kind;
    buf_init(&self->name, TYPE_NAME_MAX);
    buf_init(&self->ahead, TYPE_NAME_MAX);
    self->rows = (struct rows){
        .ops = &types_ops,
        .server = server,
        .member = kind->member,
        .limit = limit,
        .views = kind->views,
        .since = flume_since(server->flume, kind->views),
        .cursor = SEQ_EMPTY,
    };
    struct term term;
    if (after.data != NULL) term_of_text(after.data, after.len, &term);
    int err = types_look(self, after.data != NULL ? &term : NULL);
    if (err != OK) {
        types_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}

int rows_types_open(struct server *server, struct slice after, int64_t limit, struct rows **ret_rows)
{
    return names_open(server, &types_kind, after, limit, ret_rows);
}

int rows_channels_open(struct server *server, struct slice after, int64_t limit, struct rows **ret_rows)
{
    return names_open(server, &channels_kind, after, limit, ret_rows);
}
