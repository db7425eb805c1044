#include "server/rows_search.h"

#include <stdlib.h>
#include <string.h>

#include "server/patience.h"
#include "server/rows_log.h"
#include "server/text.h"
#include "views/search.h"

struct rows_search {
    struct rows rows;
    struct search_params params;
    struct message message;
    struct near *near; /* who is near, as of when the rows were opened; NULL = not asked */

    struct seq_source source; /* in the order of the log */

    struct log *log; /* of the ranking */
    struct search_hit *hits;
    size_t hit_count, next;
    bool complete;
};

static struct rows_search *rows_search_of(struct rows *rows)
{
    return (struct rows_search *)rows;
}

/* ---- one row -------------------------------------------------------------------------------------------------------- */

/* The text of a piece is taken as it stands in the record, which is valid JSON. */
static void snippet_print(const struct snippet *snippet, struct buf *out)
{
    (void)buf_printf(out, "{\"in\":\"%s\",\"pieces\":[", snippet->place);
    for (size_t i = 0; i < snippet->count; i++) {
        const struct snippet_piece *piece = &snippet->pieces[i];
        bool before = i == 0 && snippet->cut_before, after = i + 1 == snippet->count && snippet->cut_after;
        /* an ellipsis is no part of what was found */
        if (before && piece->mark) (void)buf_puts(out, "{\"text\":\"…\"},");
        (void)buf_puts(out, i > 0 ? ",{\"text\":\"" : "{\"text\":\"");
        if (before && !piece->mark) (void)buf_puts(out, "…");
        (void)buf_append(out, piece->text.data, piece->text.len);
        if (after && !piece->mark) (void)buf_puts(out, "…");
        (void)buf_puts(out, piece->mark ? "\",\"mark\":true}" : "\"}");
        if (after && piece->mark) (void)buf_puts(out, ",{\"text\":\"…\"}");
    }
    (void)buf_puts(out, "]}");
}

static void rank_print(double rank, struct buf *out)
{
    int64_t thousandths = (int64_t)(rank * 1000 + 0.5);
    (void)buf_printf(out, "\"rank\":%lld.%03lld,", (long long)(thousandths / 1000), (long long)(thousandths % 1000));
}

/* What stands between a record's seq and the rest of it. */
static int extras_print(struct rows_search *self, const struct log_record *record, const double *rank, struct buf *out)
{
    struct snippet snippet = { .place = NULL };
    int err = message_scan(&self->message, record->value.data, record->value.len);
    if (err != OK) return err;
    if (json_valid(record->value)) search_snippet(&self->params.params.filter, &self->message, &snippet);
    if (rank != NULL) rank_print(*rank, out);
    (void)buf_puts(out, "\"snippet\":");
    if (snippet.place == NULL)
        (void)buf_puts(out, "null");
    else
        snippet_print(&snippet, out);
    return buf_puts(out, ",");
}

static int row_print(struct rows_search *self, const struct log *log, const struct log_record *record,
                     const double *rank, struct buf *out)
{
    struct buf extras;
    char digits[TEXT_INT_MAX];
    size_t start = out->len, head = sizeof "{\"seq\":," - 1 + text_of_int(record->seq, digits).len;
    buf_init(&extras, LOG_RECORD_MAX);
    int err = extras_print(self, record, rank, &extras);
    if (err == OK) err = record_show(self->rows.server, log, record, out);
    if (err == OK) err = buf_reserve(out, extras.len);
    if (err == OK) {
        char *at = out->data + start + head;
        memmove(at + extras.len, at, out->len - start - head);
        memcpy(at, extras.data, extras.len);
        out->len += extras.len;
    }
    buf_free(&extras);
    return err;
}

/* ---- in the order of the log ------------------------------------------------------------------------------------------ */

static int walked_next(struct rows *rows, struct buf *out)
{
    struct rows_search *self = rows_search_of(rows);
    for (;;) {
        int64_t seq;
        struct log_record record;
        int got = seq_source_peek(&self->source, rows->server->flume, &seq);
        if (got == 0) rows->ended = rows->live ? seq_source_ended(&self->source) : true;
        if (got <= 0) return got;
        seq_source_take(&self->source);
        int err = seq_source_record(&self->source, seq, &record);
        if (err == ERR_DELETED) continue;
        if (err == OK) err = row_print(self, self->source.log, &record, NULL, out);
        if (err != OK) return err;
        rows->cursor = seq;
        rows->fresh = seq > rows->since;
        return 1;
    }
}

static int walked_next_page(struct rows *rows, struct buf *out)
{
    return range_next_page(page_ends_of(&rows_search_of(rows)->params.params), rows->cursor, 0, false, out);
}

/* ---- by rank ----------------------------------------------------------------------------------------------------------- */

static int ranked_next(struct rows *rows, struct buf *out)
{
    struct rows_search *self = rows_search_of(rows);
    while (self->next < self->hit_count) {
        const struct search_hit *hit = &self->hits[self->next++];
        struct log_record record;
        int err = log_get(self->log, hit->seq, &record);
        if (err == ERR_DELETED) continue;
        if (err == OK) err = row_print(self, self->log, &record, &hit->rank, out);
        return err == OK ? 1 : err;
    }
    rows->ended = true;
    return 0;
}

/* The same ranking, of the log as it is now, from the next row on. */
static int ranked_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_search *self = rows_search_of(rows);
    const struct filter_params *params = &self->params.params;
    (void)buf_printf(out, "%s=%lld&skip=%zu", params->below ? "lt" : "lte", (long long)rows->since, self->next);
    if (params->min_given)
        (void)buf_printf(out, "&%s=%lld", params->above ? "gt" : "gte", (long long)params->range.min);
    return out->err;
}

static int ranked_head(struct rows *rows, struct buf *out)
{
    const struct rows_search *self = rows_search_of(rows);
    return buf_printf(out, "\"ranked\":%zu,\"complete\":%s,", self->hit_count, self->complete ? "true" : "false");
}

static bool ranked_is_empty(const struct filter_params *params)
{
    return params->range.max < params->below || params->range.min > params->range.max - params->below;
}

static int ranked_open(struct rows_search *self)
{
    struct server *server = self->rows.server;
    const struct filter_params *params = &self->params.params;
    self->log = flume_log(server->flume);
    self->complete = true;
    if (ranked_is_empty(params)) return OK;
    int err = search_rank(server->flume, &params->filter, &params->range,
                          (struct search_ends){ params->above, params->below }, patience_of_query(server), &self->hits,
                          &self->hit_count, &self->complete);
    self->next = (uint64_t)self->params.skip < self->hit_count ? (size_t)self->params.skip : self->hit_count;
    return err;
}

/* ---- ------------------------------------------------------------------------------------------------------------------- */

static void search_free(struct rows *rows)
{
    struct rows_search *self = rows_search_of(rows);
    seq_source_close(&self->source);
    near_close(rows->server, self->near);
    message_free(&self->message);
    free(self->hits);
    free(self);
}

static const struct rows_ops walked_ops = { .next = walked_next, .next_page = walked_next_page, .free = search_free };
static const struct rows_ops ranked_ops = {
    .next = ranked_next,
    .next_page = ranked_next_page,
    .free = search_free,
    .head = ranked_head,
};

static int walked_open(struct rows_search *self)
{
    const struct filter_params *params = &self->params.params;
    size_t batch = params->limit >= 0 && params->limit < SEQ_SOURCE_BATCH ? (size_t)params->limit + 1 : 0;
    int err = seq_source_open(&self->source, self->rows.server->flume, &params->filter, params, batch);
    if (err == OK) seq_source_patience(&self->source, self->rows.server->config->query_timeout * 1000);
    return err;
}

static int search_near(struct rows_search *self)
{
    struct server *server = self->rows.server;
    struct filter_params *params = &self->params.params;
    struct graph_walk *walk = NULL;
    if (!near_params_given(&params->near)) return OK;
    int err = near_open(server, &params->near, patience_of_query(server), &walk, &self->near);
    graph_close(walk);
    params->filter.near = self->near;
    return err;
}

int rows_search_open(struct server *server, const struct search_params *params, struct rows **ret_rows)
{
    struct rows_search *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to search");
    message_init(&self->message);
    self->params = *params;
    struct filter_params *bounded = &self->params.params;
    uint32_t views = filter_params_views(bounded);
    int64_t since = views_since(server->flume, views);
    if (!bounded->live && bounded->range.max > since) {
        bounded->range.max = since;
        bounded->below = false;
    }
    bool ranked = params->order == SEARCH_RANK;
    self->rows = (struct rows){
        .ops = ranked ? &ranked_ops : &walked_ops,
        .server = server,
        .member = "messages",
        .limit = bounded->limit,
        .live = bounded->live,
        .views = views,
        .since = ranked ? bounded->range.max : since,
        .cursor = SEQ_EMPTY,
    };
    int err = search_near(self);
    if (err == OK) err = ranked ? ranked_open(self) : walked_open(self);
    if (err != OK)
        search_free(&self->rows);
    else
        *ret_rows = &self->rows;
    return err;
}
