#include <stdlib.h>

#include "server/rows_social.h"
#include "views/view_channels.h"

struct rows_subscribers {
    struct rows_people people;
    struct said_list said;
    struct buf channel; /* as it was asked for */
};

static void subscribers_at(const struct rows_people *people, size_t i, struct ref *ret_id, int64_t *ret_seq)
{
    const struct said *said = &((const struct rows_subscribers *)people)->said.items[i];
    *ret_id = said->author;
    *ret_seq = said->seq;
}

static int subscribers_changed(struct rows_people *people, struct ref *ret_id, int64_t *seq, bool *ret_removed)
{
    const struct buf *channel = &((struct rows_subscribers *)people)->channel;
    const struct message *message = &people->message;
    int subscribes = channel_subscribes((struct slice){ channel->data, channel->len }, message);
    (void)seq;
    if (subscribes < 0 || message->author_ref.kind == REF_NONE) return 0;
    *ret_id = message->author_ref;
    *ret_removed = subscribes == 0;
    return 1;
}

static void subscribers_free(struct rows_people *people)
{
    struct rows_subscribers *self = (struct rows_subscribers *)people;
    said_free(&self->said);
    buf_free(&self->channel);
}

static const struct people_ops subscribers_ops = {
    .at = subscribers_at,
    .changed = subscribers_changed,
    .free = subscribers_free,
};

static int subscribers_follow(struct rows_subscribers *self, const struct subscribers_params *params)
{
    struct filter filter = { 0 };
    int err = filter_set(&filter, "channel", params->channel.data, params->channel.len);
    if (err == OK) err = filter_set_text(&filter, "type", "channel");
    if (err == OK) err = buf_append(&self->channel, params->channel.data, params->channel.len);
    return err == OK ? follow_open(&self->people.rows, &params->follow, &filter, &self->people.follow) : err;
}

int rows_subscribers_open(struct server *server, const struct subscribers_params *params, struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_subscribers *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list subscribers");
    struct rows_people *people = &self->people;
    rows_people_init(people, server, &subscribers_ops, "subscribers", CHANNELS_VIEWS, params->limit);
    buf_init(&self->channel, LOG_RECORD_MAX);
    int err = subscribers_follow(self, params);
    if (err == OK) err = api_read_begin(server, &read);
    if (err == OK) {
        people->log = read.log;
        err = channels_subscribers(&read, params->channel, &self->said);
        flume_read_end(&read);
    }
    if (err != OK) {
        rows_free(&people->rows);
        return err;
    }
    people->count = self->said.count;
    if (params->after.kind != REF_NONE) people->next = said_behind(&self->said, &params->after);
    *ret_rows = &people->rows;
    return OK;
}
