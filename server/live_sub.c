#include "server/live_sub.h"

#include <stdlib.h>
#include <string.h>

#define LIST_FRAME_MAX ((size_t)32 << 20)
#define ROW_KEEP ((size_t)64 << 10) /* a buffer that one large row made larger is not kept */
#define PART_MS 10                  /* of a look for the next row; a thousandth of --query-timeout if that is less */

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
    live_list_close(sub->list);
    buf_free(&sub->row);
    free(sub);
}

int live_sub_new_list(struct server *server, struct slice target, int64_t since, bool public_only,
                      const struct gate_place *from, struct live_sub **ret_sub)
{
    struct live_sub *sub = calloc(1, sizeof *sub);
    if (sub == NULL) return err_set(ERR_NOMEM, "no memory for a subscription");
    buf_init(&sub->row, LIST_FRAME_MAX);
    int err = live_list_open(server, target, since, public_only, from, &sub->list);
    if (err != OK)
        free(sub);
    else
        *ret_sub = sub;
    return err;
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
    if (sub->list != NULL) sub->head = live_list_rows(sub->list)->since;
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
    if (sub->list != NULL || sub->named || sub->rows->uri_ids || !sub->synced || !sub->live ||
        !rows_log_place(sub->rows, &place.rows))
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

/* ---- lists ---- */

#define ROW_RESTS_MS 1 /* a row that took so long to find is followed by a turn of the others */

static int sub_put_problem(const struct live_sub *sub, struct buf *out)
{
    const struct slice problem = live_list_problem(sub->list);
    sub_put_head(sub, out);
    (void)buf_puts(out, "\"error\":");
    (void)buf_append(out, problem.data, problem.len);
    (void)buf_putc(out, '}');
    return out->err == OK ? 1 : out->err;
}

/* The row that was found. */
static int sub_put_found(struct live_sub *sub, struct buf *out)
{
    sub_put_head(sub, out);
    if (sub->row_cursor != SEQ_EMPTY) (void)buf_printf(out, "\"seq\":%lld,", (long long)sub->row_cursor);
    (void)buf_puts(out, "\"row\":");
    (void)buf_append(out, sub->row.data, sub->row.len);
    (void)buf_putc(out, '}');
    buf_reset(&sub->row);
    if (sub->row.cap > ROW_KEEP) buf_free(&sub->row);
    return out->err == OK ? 1 : out->err;
}

static int sub_next_found(struct live_sub *sub)
{
    int64_t began = flume_now_ms();
    int got = live_list_next(sub->list, &sub->row);
    sub->rests = flume_now_ms() - began >= ROW_RESTS_MS;
    return got;
}

/* As live_sub_next, of a list. */
static int sub_next_of_list(struct live_sub *sub, struct buf *out, bool *ret_over)
{
    if (live_list_away(sub->list)) {
        sub->idle = true;
        return 0;
    }
    (void)live_list_returned(sub->list); /* this is the look that it wanted */
    const struct rows *rows = live_list_rows(sub->list);
    if (sub->row.len > 0) return sub_put_found(sub, out);
    if (sub->rests) {
        sub->rests = false;
        return LIVE_LATER;
    }
    if (rows != NULL) {
        /* read before it is looked for rows, as below */
        sub->idle_log = flume_log(rows->server->flume);
        sub->idle_since = views_since(rows->server->flume, rows->views);
    }
    int got = sub_next_found(sub);
    if (got < 0) {
        *ret_over = true;
        return sub_put_problem(sub, out);
    }
    if (got == LIST_LATER) return LIVE_LATER;
    if (rows == NULL || got == LIST_WENT) {
        sub->idle = true;
        return 0;
    }
    if (got == 1) sub->row_cursor = rows->cursor;
    bool full = got == 0 && rows->limit == 0;
    if (!sub->synced && !full && (got == 0 || rows->fresh)) return sub_put_sync(sub, out);
    if (got == 1) return sub_put_found(sub, out);
    sub->idle = !rows->ended;
    *ret_over = rows->ended;
    return rows->ended ? sub_put_closed(sub, out) : 0;
}

static bool sub_wake_list(struct live_sub *sub)
{
    bool returned = live_list_returned(sub->list);
    const struct rows *rows = live_list_rows(sub->list);
    bool nothing = rows == NULL || (views_since(rows->server->flume, rows->views) == sub->idle_since &&
                                    flume_log(rows->server->flume) == sub->idle_log);
    sub->idle = sub->idle && !returned && nothing;
    return !sub->idle;
}

/* ---- */

bool live_sub_wake(struct live_sub *sub)
{
    if (sub->list != NULL) return sub_wake_list(sub);
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
    *ret_over = false;
    if (sub->list != NULL) return sub_next_of_list(sub, out, ret_over);
    int got = sub_next(sub, out, ret_over);
    if (got == ERR_SLOW) return sub_looks_on(sub);
    sub->looked_ms = 0;
    return got;
}
