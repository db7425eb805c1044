#include <stdlib.h>
#include <string.h>

#include "server/rows_views.h"
#include "server/text.h"
#include "views/view_types.h"

/* A name is a string of a message. */
#define TYPE_NAME_MAX ((size_t)1 << 20)

/* One row is held ahead, so that the last one is known to be the last. */
struct rows_types {
    struct rows rows;
    struct buf name, ahead;
    struct type_count count;
    bool found; /* `ahead` and `count` hold a row */
};

static int types_look(struct rows_types *self, struct slice after)
{
    struct flume_read read;
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    buf_reset(&self->ahead);
    got = types_next(&read, after, &self->ahead, &self->count);
    flume_read_end(&read);
    self->found = got == 1;
    return got < 0 ? got : OK;
}

static int types_row(struct rows *rows, struct buf *out)
{
    struct rows_types *self = (struct rows_types *)rows;
    rows->ended = !self->found;
    if (!self->found) return 0;
    (void)buf_puts(out, "{\"type\":");
    (void)buf_put_json(out, self->ahead.len > 0 ? self->ahead.data : "", self->ahead.len);
    (void)buf_printf(out, ",\"count\":%llu,\"seq\":%lld}", (unsigned long long)self->count.count,
                     (long long)self->count.seq);
    buf_reset(&self->name);
    if (self->ahead.len > 0) (void)buf_append(&self->name, self->ahead.data, self->ahead.len);
    if (out->err != OK || self->name.err != OK) return out->err != OK ? out->err : self->name.err;
    int err = types_look(self, (struct slice){ self->name.len > 0 ? self->name.data : "", self->name.len });
    if (err != OK) return err;
    rows->ended = !self->found;
    return 1;
}

static int types_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_types *self = (const struct rows_types *)rows;
    (void)buf_puts(out, "gt=");
    text_put_query(out, (struct slice){ self->name.data, self->name.len });
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

int rows_types_open(struct server *server, struct slice after, int64_t limit, struct rows **ret_rows)
{
    struct rows_types *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list the types");
    buf_init(&self->name, TYPE_NAME_MAX);
    buf_init(&self->ahead, TYPE_NAME_MAX);
    self->rows = (struct rows){
        .ops = &types_ops,
        .server = server,
        .member = "types",
        .limit = limit,
        .views = VIEW_MASK(types),
        .since = flume_since(server->flume, VIEW_MASK(types)),
        .cursor = SEQ_EMPTY,
    };
    int err = types_look(self, after);
    if (err != OK) {
        types_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
