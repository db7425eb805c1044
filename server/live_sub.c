#include "server/live_sub.h"

#include <stdlib.h>
#include <string.h>

#define PART_MS 10 /* of a look for the next row; a thousandth of --query-timeout if that is less */

/* Everything up to `head` is old. Without `live` the range ends there, but the rows stay open until views that are behind have got there. */
static int sub_open_rows(struct live_sub *sub, struct server *server, struct filter_params *params)
{
    if (!params->live && params->range.max > sub->head) {
        params->range.max = sub->head;
        params->below = false;
    }
    params->live = true;
    params->near_since = sub->head; /* membership is that of the moment when it was subscribed */
    int err = rows_log_open_params(server, params, &sub->rows);
    if (err != OK) return err;
    sub->rows->uri_ids = params->uri_ids;
    rows_watch(sub->rows);
    return OK;
}

int live_sub_new(struct server *server, struct filter_params *params, bool public_only, struct live_sub **ret_sub)
{
    if (!params->live_given) params->live = true;
    int64_t head = flume_head(server->flume);
    int err = filter_params_finish(params, public_only, head);
    if (err != OK) return err;
    struct live_sub *sub = calloc(1, sizeof *sub);
    if (sub == NULL) return err_set(ERR_NOMEM, "no memory for a subscription");
    sub->head = head;
    sub->live = params->live;
    sub->part_ms = server->config->query_timeout < PART_MS ? server->config->query_timeout : PART_MS;
    sub->reverse = params->range.reverse;
    err = sub_open_rows(sub, server, params);
    if (err != OK) {
        free(sub);
        return err;
    }
    rows_log_patience(sub->rows, sub->part_ms);
    *ret_sub = sub;
    return OK;
}

void live_sub_free(struct live_sub *sub)
{
    if (sub == NULL) return;
    rows_free(sub->rows);
    free(sub);
}

/* `{` or `{"id":"a",`: what every frame of the subscription starts with. */
static void sub_put_head(const struct live_sub *sub, struct buf *out)
{
    (void)buf_putc(out, '{');
    if (!sub->named) return;
    (void)buf_puts(out, "\"id\":");
    (void)buf_put_json(out, sub->id, strlen(sub->id));
    (void)buf_putc(out, ',');
}

static int sub_put_sync(struct live_sub *sub, struct buf *out)
{
    sub->synced = true;
    sub_put_head(sub, out);
    (void)buf_puts(out, "\"sync\":true,\"since\":");
    (void)buf_put_int(out, sub->head);
    (void)buf_putc(out, '}');
    return out->err == OK ? 1 : out->err;
}

static int sub_put_closed(const struct live_sub *sub, struct buf *out)
{
    sub_put_head(sub, out);
    (void)buf_puts(out, "\"closed\":true}");
    return out->err == OK ? 1 : out->err;
}

/* 1, 0 = the record went away meanwhile, <0 error. */
static int sub_put_row(struct live_sub *sub, struct buf *out)
{
    size_t start = out->len;
    if (sub->named) sub_put_head(sub, out);
    if (out->err != OK) return out->err;
    size_t row = out->len;
    int got = rows_next(sub->rows, out);
    if (got != 1) {
        out->len = start;
        return got;
    }
    if (!sub->named) return 1;
    /* The row's own bracket goes: `{"id":"a",` and `{"seq":…` become one object. */
    memmove(out->data + row, out->data + row + 1, out->len - row - 1);
    out->len--;
    return 1;
}

/* Is this the seam? A row behind the old part comes, or there is none and all that is old was looked through. */
static bool sub_at_seam(const struct live_sub *sub, int got, int64_t seq, int64_t since)
{
    if (sub->synced) return false;
    if (got == 1) return !sub->reverse && seq > sub->head;
    return since >= sub->head || sub->rows->ended;
}

bool live_sub_place(const struct live_sub *sub, struct live_place *ret_place)
{
    struct live_place place = { .idle = sub->idle, .idle_since = sub->idle_since, .idle_log = sub->idle_log };
    if (sub->named || sub->rows->uri_ids || !sub->synced || !sub->live || !rows_log_place(sub->rows, &place.rows))
        return false;
    *ret_place = place;
    return true;
}

void live_sub_go(struct live_sub *sub, const struct live_place *place)
{
    rows_log_go(sub->rows, &place->rows);
    sub->idle = place->idle;
    sub->idle_since = place->idle_since;
    sub->idle_log = place->idle_log;
}

bool live_sub_wake(struct live_sub *sub)
{
    struct flume *flume = sub->rows->server->flume;
    if (sub->idle && views_since(flume, sub->rows->views) == sub->idle_since && flume_log(flume) == sub->idle_log)
        return false;
    sub->idle = false;
    return true;
}

/* The answer to a look that was not over in its time. */
static int sub_looks_on(struct live_sub *sub)
{
    sub->looked_ms += sub->part_ms;
    return sub->looked_ms < sub->rows->server->config->query_timeout * 1000 ? LIVE_LATER : ERR_SLOW;
}

static int sub_next(struct live_sub *sub, struct buf *out, bool *ret_over)
{
    *ret_over = false;
    struct flume *flume = sub->rows->server->flume;
    for (;;) {
        /* Read before looking for rows: what is known now is surely in what is looked through next. */
        const struct log *log = flume_log(flume);
        int64_t since = views_since(flume, sub->rows->views), seq = SEQ_EMPTY;
        /* Backwards nothing can be given before the views know the newest. */
        bool early = sub->reverse && since < sub->head;
        bool full = sub->rows->limit == 0;
        int got = early || full || sub->rows->ended ? 0 : rows_log_peek(sub->rows, &seq);
        if (got < 0) return got;
        if (!early && !full && sub_at_seam(sub, got, seq, since)) return sub_put_sync(sub, out);
        if (got == 1) {
            got = sub_put_row(sub, out);
            if (got != 0) return got;
            continue;
        }
        if (full || (sub->rows->ended && !early) || (sub->synced && !sub->live)) {
            *ret_over = true;
            return sub_put_closed(sub, out);
        }
        sub->idle = true;
        sub->idle_since = since;
        sub->idle_log = log;
        return 0;
    }
}

int live_sub_next(struct live_sub *sub, struct buf *out, bool *ret_over)
{
    int got = sub_next(sub, out, ret_over);
    if (got == ERR_SLOW) return sub_looks_on(sub);
    sub->looked_ms = 0;
    return got;
}
