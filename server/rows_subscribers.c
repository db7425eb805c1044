#include <stdlib.h>

#include "server/rows_social.h"
#include "server/text.h"
#include "views/view_channels.h"

struct rows_subscribers {
    struct rows rows;
    struct log *log;
    struct said_list people;
    size_t next;
    struct follow follow;
    struct buf channel; /* as it was asked for */
    struct message message, scratch;
};

static int subscribers_print(struct rows_subscribers *self, const struct said *said, struct buf *out)
{
    return rows_put_person(self->log, &said->author, said->seq, false, &self->message, out);
}

static int subscribers_new(struct rows_subscribers *self, struct buf *out)
{
    const struct slice channel = { self->channel.data, self->channel.len };
    struct log_record record;
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        int subscribes = channel_subscribes(channel, &self->message);
        if (subscribes < 0 || self->message.author_ref.kind == REF_NONE) continue;
        const struct ref author = self->message.author_ref;
        int err = rows_put_person(self->log, &author, record.seq, subscribes == 0, &self->scratch, out);
        return err == OK ? 1 : err;
    }
    return got;
}

static int subscribers_row(struct rows *rows, struct buf *out)
{
    struct rows_subscribers *self = (struct rows_subscribers *)rows;
    size_t start = out->len;
    int err = ERR_DELETED;
    if (rows->live && (self->follow.listed || self->next == self->people.count)) return subscribers_new(self, out);
    while (err == ERR_DELETED && self->next < self->people.count) {
        out->len = start;
        err = subscribers_print(self, &self->people.items[self->next++], out);
    }
    rows->ended = !rows->live && self->next == self->people.count;
    if (err == ERR_DELETED) out->len = start;
    if (err == ERR_DELETED && rows->live) return subscribers_new(self, out);
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
    follow_close(&self->follow);
    buf_free(&self->channel);
    message_free(&self->message);
    message_free(&self->scratch);
    free(self);
}

static const struct rows_ops subscribers_ops = {
    .next = subscribers_row,
    .next_page = subscribers_next_page,
    .free = subscribers_free,
};

static int subscribers_follow(struct rows_subscribers *self, const struct subscribers_params *params)
{
    struct filter filter = { 0 };
    int err = filter_set(&filter, "channel", params->channel.data, params->channel.len);
    if (err == OK) err = filter_set_text(&filter, "type", "channel");
    if (err == OK) err = buf_append(&self->channel, params->channel.data, params->channel.len);
    return err == OK ? follow_open(&self->rows, &params->follow, &filter, &self->follow) : err;
}

int rows_subscribers_open(struct server *server, const struct subscribers_params *params, struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_subscribers *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list subscribers");
    message_init(&self->message);
    message_init(&self->scratch);
    buf_init(&self->channel, LOG_RECORD_MAX);
    self->rows = (struct rows){
        .ops = &subscribers_ops,
        .server = server,
        .member = "subscribers",
        .limit = params->limit,
        .views = CHANNELS_VIEWS,
        .since = flume_since(server->flume, CHANNELS_VIEWS),
        .cursor = SEQ_EMPTY,
    };
    int err = subscribers_follow(self, params);
    if (err == OK) err = api_read_begin(server, &read);
    if (err == OK) {
        self->log = read.log;
        err = channels_subscribers(&read, params->channel, &self->people);
        flume_read_end(&read);
    }
    if (err != OK) {
        subscribers_free(&self->rows);
        return err;
    }
    if (params->after.kind != REF_NONE) self->next = said_behind(&self->people, &params->after);
    *ret_rows = &self->rows;
    return OK;
}
