#include "server/rows_log.h"

#include <stdlib.h>

#include "server/patience.h"
#include "server/plain.h"

struct rows_log {
    struct rows rows;
    struct page_ends ends;
    struct seq_source source;
    struct near_params near_params;
    struct graph_walk *near_walk;
    int64_t patience_ms; /* of one look */
    struct near *near;   /* who is near, as of when the rows were opened */
    int64_t near_since;  /* what the views have to know before the set can be made */
};

static struct rows_log *rows_log_of(struct rows *rows)
{
    return (struct rows_log *)rows;
}

struct page_ends page_ends_of(const struct filter_params *params)
{
    return (struct page_ends){ .range = params->range,
                               .above = params->above,
                               .below = params->below,
                               .min_given = params->min_given,
                               .max_given = params->max_given };
}

static void cursor_put(struct buf *out, const char *name, int64_t value)
{
    if (out->len > 0) (void)buf_putc(out, '&');
    (void)buf_puts(out, name);
    (void)buf_putc(out, '=');
    (void)buf_put_int(out, value);
}

int range_next_page(struct page_ends ends, int64_t seq, int64_t given, bool skipped, struct buf *out)
{
    const struct log_range *range = &ends.range;
    bool more = given > 0;
    cursor_put(out, range->reverse ? (more ? "lte" : "lt") : (more ? "gte" : "gt"), seq);
    if (more || skipped) cursor_put(out, "skip", given);
    if (range->reverse && ends.min_given) cursor_put(out, ends.above ? "gt" : "gte", range->min);
    if (!range->reverse && ends.max_given) cursor_put(out, ends.below ? "lt" : "lte", range->max);
    return out->err;
}

/* The set of a filter by hops, once it can be made: 1, 0 = the views are not there yet, <0 error. */
static int near_ready(struct rows_log *self)
{
    if (self->near != NULL || !near_params_given(&self->near_params)) return 1;
    struct server *server = self->rows.server;
    if (views_since(server->flume, near_params_views(&self->near_params)) < self->near_since) return 0;
    int err = near_open(server, &self->near_params, patience_of(self->patience_ms), &self->near_walk, &self->near);
    if (err == OK) seq_source_near(&self->source, self->near);
    return err == OK ? 1 : err;
}

int rows_log_peek(struct rows *rows, int64_t *ret_seq)
{
    struct rows_log *self = rows_log_of(rows);
    int ready = near_ready(self);
    if (ready != 1) return ready;
    int got = seq_source_peek(&self->source, rows->server->flume, ret_seq);
    if (got == 0) rows->ended = rows->live ? seq_source_ended(&self->source) : true;
    return got;
}

void rows_log_patience(struct rows *rows, int64_t ms)
{
    rows_log_of(rows)->patience_ms = ms;
    seq_source_patience(&rows_log_of(rows)->source, ms);
}

bool rows_log_place(const struct rows *rows, struct rows_log_place *ret_place)
{
    const struct rows_log *self = (const struct rows_log *)rows;
    const struct log_cursor *cursor = &self->source.cursor;
    if (!seq_source_endless(&self->source) || !rows->live || rows->limit >= 0 || rows->ended ||
        self->source.log != flume_log(rows->server->flume))
        return false;
    *ret_place = (struct rows_log_place){ .cursor = *cursor, .horizon = self->source.horizon, .last = rows->cursor };
    return true;
}

void rows_log_go(struct rows *rows, const struct rows_log_place *place)
{
    struct seq_source *source = &rows_log_of(rows)->source;
    source->cursor.at = place->cursor.at;
    source->horizon = place->horizon;
    rows->cursor = place->last;
}

static int rows_log_next(struct rows *rows, struct buf *out)
{
    struct rows_log *self = rows_log_of(rows);
    for (;;) {
        int64_t seq;
        struct log_record record;
        int err = rows_log_peek(rows, &seq);
        if (err <= 0) return err;
        seq_source_take(&self->source);
        err = seq_source_record(&self->source, seq, &record);
        if (err == ERR_DELETED) continue;
        if (err == OK) err = record_show(rows->server, self->source.log, &record, out);
        if (err != OK) return err;
        rows->cursor = seq;
        rows->fresh = seq > rows->since;
        if (!rows->live) rows->ended = seq_source_ended(&self->source);
        return 1;
    }
}

static void rows_log_copy(struct rows *rows, struct buf *out)
{
    struct seq_source *source = &rows_log_of(rows)->source;
    int64_t seq;
    if (source->queue != NULL) return;
    while (rows_log_peek(rows, &seq) == 1 && record_copy(rows->server, source->log, &source->record, out)) {
        seq_source_take(source);
        rows->cursor = seq;
        rows->fresh = seq > rows->since;
    }
}

static int rows_log_next_page(struct rows *rows, struct buf *out)
{
    return range_next_page(rows_log_of(rows)->ends, rows->cursor, 0, false, out);
}

static void rows_log_free(struct rows *rows)
{
    seq_source_close(&rows_log_of(rows)->source);
    near_close(rows->server, rows_log_of(rows)->near);
    graph_close(rows_log_of(rows)->near_walk);
    free(rows_log_of(rows));
}

static const struct rows_ops rows_log_ops = {
    .next = rows_log_next,
    .next_page = rows_log_next_page,
    .copy = rows_log_copy,
    .free = rows_log_free,
};

/* One more than the page takes, so that its end is known to be the end. */
static size_t rows_log_batch(int64_t limit)
{
    return limit >= 0 && limit < SEQ_SOURCE_BATCH ? (size_t)limit + 1 : SEQ_SOURCE_BATCH;
}

int rows_log_open_params(struct server *server, const struct filter_params *params, struct rows **ret_rows)
{
    struct filter_params bounded = *params;
    uint32_t views = filter_params_views(params);
    int64_t since = views_since(server->flume, views);
    if (!params->live && bounded.range.max > since) {
        bounded.range.max = since;
        bounded.below = false;
    }
    struct rows_log *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to read the log for a client");
    plain_expect(server->plain, server->flume, params->limit);
    int err = seq_source_open(&self->source, server->flume, &params->filter, &bounded, rows_log_batch(params->limit));
    if (err != OK) {
        free(self);
        return err;
    }
    seq_source_patience(&self->source, server->config->query_timeout * 1000);
    self->ends = page_ends_of(params);
    self->rows = (struct rows){
        .ops = &rows_log_ops,
        .server = server,
        .member = "messages",
        .limit = params->limit,
        .live = params->live,
        .views = views,
        .since = since,
        .cursor = SEQ_EMPTY,
    };
    self->patience_ms = server->config->query_timeout * 1000;
    self->near_params = params->near;
    self->near_since = params->near_since;
    err = params->near_since == SEQ_EMPTY ? near_ready(self) : OK;
    if (err < 0) {
        rows_log_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
