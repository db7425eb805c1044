#include <stdlib.h>
#include <string.h>

#include "server/patience.h"
#include "server/rows_log.h"
#include "server/rows_views.h"
#include "server/text.h"

/* One record at a time is scanned; its references that were asked for are the rows, in text order (reverse: backwards). */
struct rows_links {
    struct rows rows;
    struct links_params params;
    struct seq_source source;
    struct message message;
    int64_t seq;   /* of the scanned record; SEQ_EMPTY = none is held */
    size_t at;     /* how many of its references were looked at */
    int64_t given; /* rows of it that were given, those left out by `skip` included */
    int64_t skip;  /* rows of the next record to be left out */
    struct buf path;
    struct near *near; /* NULL: links of all authors */
};

/* The i-th reference in the direction of travel. */
static size_t links_index(const struct rows_links *self, size_t i)
{
    return self->params.range.range.reverse ? self->message.ref_count - 1 - i : i;
}

/* Moves `at` to the next reference that was asked for; false if the record has no more. */
static bool links_seek(struct rows_links *self)
{
    while (self->at < self->message.ref_count &&
           !links_match(&self->params.query, &self->message, links_index(self, self->at)))
        self->at++;
    return self->at < self->message.ref_count;
}

/* Scans the next record and leaves out the rows that an earlier page has given. 1, 0 = none now. */
static int links_load(struct rows_links *self)
{
    struct log_record record;
    int64_t seq;
    /* Where there is none yet the last record stays: a page that ends here goes on behind it. */
    int got = seq_source_peek(&self->source, self->rows.server->flume, &seq);
    if (got <= 0) return got;
    seq_source_take(&self->source);
    self->seq = seq;
    self->at = 0;
    self->given = 0;
    int err = seq_source_record(&self->source, self->seq, &record);
    if (err == ERR_DELETED) record.value = (struct slice){ "", 0 };
    if (err == OK || err == ERR_DELETED) err = message_scan(&self->message, record.value.data, record.value.len);
    if (err != OK) return err;
    for (; self->skip > 0 && links_seek(self); self->skip--, self->given++)
        self->at++;
    self->skip = 0;
    return 1;
}

/* 1 = a row is at `at`, 0 = none now. */
static int links_peek(struct rows_links *self)
{
    while (self->seq == SEQ_EMPTY || !links_seek(self)) {
        /* Only a record that was given to its last row is a place to resume at. */
        if (self->seq != SEQ_EMPTY && self->given > 0) self->rows.cursor = self->seq;
        int got = links_load(self);
        if (got <= 0) return got;
    }
    return 1;
}

static int links_put_path(struct rows_links *self, size_t i, struct buf *out)
{
    buf_reset(&self->path);
    int err = message_ref_path(&self->message, i, &self->path);
    if (err != OK) return err;
    (void)buf_puts(out, ",\"path\":");
    (void)buf_put_json(out, self->path.len > 0 ? self->path.data : "", self->path.len);
    return out->err;
}

static int links_print(struct rows_links *self, size_t i, struct buf *out)
{
    const struct message *message = &self->message;
    const struct message_ref *ref = &message->refs[i];
    (void)buf_puts(out, "{\"source\":");
    text_put_json(out, message->author);
    (void)buf_puts(out, ",\"rel\":");
    (void)buf_put_json(out, ref->rel.data != NULL ? ref->rel.data : "", ref->rel.len);
    (void)buf_puts(out, ",\"dest\":");
    text_put_ref(out, &ref->ref);
    int err = links_put_path(self, i, out);
    if (err != OK) return err;
    (void)buf_puts(out, ",\"key\":");
    text_put_json(out, message->key);
    (void)buf_printf(out, ",\"seq\":%lld", (long long)self->seq);
    rows_put_received(out, message);
    if (self->params.values) {
        (void)buf_puts(out, ",\"value\":");
        json_put_valid(out, message->value);
    }
    (void)buf_putc(out, '}');
    return out->err;
}

static int links_row(struct rows *rows, struct buf *out)
{
    struct rows_links *self = (struct rows_links *)rows;
    int got = links_peek(self);
    if (got == 0) rows->ended = rows->live ? seq_source_ended(&self->source) : true;
    if (got <= 0) return got;
    int err = links_print(self, links_index(self, self->at), out);
    if (err != OK) return err;
    rows->fresh = self->seq > rows->since;
    self->at++;
    self->given++;
    if (links_seek(self)) return 1;
    rows->cursor = self->seq;
    if (!rows->live) rows->ended = seq_source_ended(&self->source);
    return 1;
}

static int links_next_page(struct rows *rows, struct buf *out)
{
    struct rows_links *self = (struct rows_links *)rows;
    int64_t given = links_seek(self) ? self->given : 0;
    return range_next_page(page_ends_of(&self->params.range), self->seq, given, self->params.skip > 0, out);
}

static void links_free(struct rows *rows)
{
    struct rows_links *self = (struct rows_links *)rows;
    seq_source_close(&self->source);
    near_close(self->rows.server, self->near);
    message_free(&self->message);
    buf_free(&self->path);
    free(self);
}

static const struct rows_ops links_ops = { .next = links_row, .next_page = links_next_page, .free = links_free };

static int links_open_source(struct rows_links *self, const struct filter *filter)
{
    struct filter_params bounded = self->params.range;
    if (!bounded.live && bounded.range.max > self->rows.since) {
        bounded.range.max = self->rows.since;
        bounded.below = false;
    }
    int64_t limit = bounded.limit;
    size_t batch = limit >= 0 && limit < SEQ_SOURCE_BATCH ? (size_t)limit + 1 : 0;
    int err = seq_source_open(&self->source, self->rows.server->flume, filter, &bounded, batch);
    if (err == OK) seq_source_patience(&self->source, self->rows.server->config->query_timeout * 1000);
    if (err == OK && self->near != NULL) seq_source_near(&self->source, self->near);
    return err;
}

static int links_near(struct rows_links *self)
{
    struct server *server = self->rows.server;
    struct graph_walk *walk = NULL;
    if (!near_params_given(&self->params.range.near)) return OK;
    int err = near_open(server, &self->params.range.near, patience_of_query(server), &walk, &self->near);
    graph_close(walk);
    return err;
}

int rows_links_open(struct server *server, const struct links_params *params, struct rows **ret_rows)
{
    struct filter filter = { .count = 0 };
    int err = links_filter(&params->query, &filter);
    if (err != OK) return err;
    struct rows_links *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list links");
    message_init(&self->message);
    buf_init(&self->path, LOG_RECORD_MAX);
    self->params = *params;
    self->seq = SEQ_EMPTY;
    self->skip = params->skip;
    uint32_t views = filter_views(&filter) | VIEW_MASK(links) | near_params_views(&params->range.near);
    self->rows = (struct rows){
        .ops = &links_ops,
        .server = server,
        .member = "links",
        .limit = params->range.limit,
        .live = params->range.live,
        .views = views,
        .since = views_since(server->flume, views),
        .cursor = SEQ_EMPTY,
    };
    err = links_near(self);
    if (err == OK) err = links_open_source(self, &filter);
    if (err != OK) {
        links_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
