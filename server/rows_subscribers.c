#include <stdlib.h>

#include "server/rows_social.h"
#include "server/text.h"
#include "views/view_channels.h"

struct rows_subscribers {
    struct rows rows;
    struct log *log;
    struct said_list people;
    size_t next;
    struct message message;
};

static int subscribers_print(struct rows_subscribers *self, const struct said *said, struct buf *out)
{
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &said->author);
    (void)buf_putc(out, ',');
    int err = rows_put_source(self->log, said->seq, &self->message, out);
    (void)buf_putc(out, '}');
    return err == OK ? out->err : err;
}

static int subscribers_row(struct rows *rows, struct buf *out)
{
    struct rows_subscribers *self = (struct rows_subscribers *)rows;
    size_t start = out->len;
    int err = ERR_DELETED;
    while (err == ERR_DELETED && self->next < self->people.count) {
        out->len = start;
        err = subscribers_print(self, &self->people.items[self->next++], out);
    }
    rows->ended = self->next == self->people.count;
    if (err == ERR_DELETED) out->len = start;
    return err == OK ? 1 : err == ERR_DELETED ? 0 : err;
}

static int subscribers_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_subscribers *self = (const struct rows_subscribers *)rows;
    return rows_put_after(&self->people.items[self->next - 1].author, out);
}

static void subscribers_free(struct rows *rows)
{
    struct rows_subscribers *self = (struct rows_subscribers *)rows;
    said_free(&self->people);
    message_free(&self->message);
    free(self);
}

static const struct rows_ops subscribers_ops = {
    .next = subscribers_row,
    .next_page = subscribers_next_page,
    .free = subscribers_free,
};

int rows_subscribers_open(struct server *server, struct slice channel, const struct ref *after, int64_t limit,
                          struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_subscribers *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list subscribers");
    message_init(&self->message);
    self->rows = (struct rows){
        .ops = &subscribers_ops,
        .server = server,
        .member = "subscribers",
        .limit = limit,
        .views = CHANNELS_VIEWS,
        .since = flume_since(server->flume, CHANNELS_VIEWS),
        .cursor = SEQ_EMPTY,
    };
    int err = api_read_begin(server, &read);
    if (err == OK) {
        self->log = read.log;
        err = channels_subscribers(&read, channel, &self->people);
        flume_read_end(&read);
    }
    if (err != OK) {
        subscribers_free(&self->rows);
        return err;
    }
    if (after->kind != REF_NONE) self->next = said_behind(&self->people, after);
    *ret_rows = &self->rows;
    return OK;
}
