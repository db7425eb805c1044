#include "server/rows_threads.h"

#include <stdlib.h>

#include "server/patience.h"
#include "server/rows_log.h"
#include "server/rows_views.h"
#include "server/text.h"

struct rows_threads {
    struct rows rows;
    struct threads *threads;
    struct near *near;
    struct follow follow;
    struct message message;
};

static int threads_print(struct rows_threads *self, const struct flume_read *read, const struct thread_row *row,
                         struct buf *out)
{
    int err = message_scan(&self->message, row->newest.value.data, row->newest.value.len);
    if (err != OK) return err;
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &row->root);
    (void)buf_printf(out, ",\"replies\":%llu,\"latest\":", (unsigned long long)row->replies);
    text_put_json(out, self->message.key);
    (void)buf_printf(out, ",\"seq\":%lld", (long long)row->newest.seq);
    rows_put_received(out, &self->message);
    (void)buf_puts(out, ",\"root\":");
    if (row->record.value.data == NULL)
        (void)buf_puts(out, "null");
    else
        err = record_show(self->rows.server, read->log, &row->record, out);
    (void)buf_putc(out, '}');
    return err != OK ? err : out->err;
}

/* The next of those that are there: 1, 0 = they were given, <0 error. */
static int threads_old(struct rows_threads *self, struct buf *out)
{
    struct rows *rows = &self->rows;
    /* behind the last one a page looks for one more */
    uint64_t wanted = rows->limit < 0 ? THREADS_ALL : (uint64_t)rows->limit + 1;
    struct flume_read read;
    struct thread_row row;
    int got = api_read_begin(rows->server, &read);
    if (got != OK) return got;
    got = threads_next(self->threads, &read, wanted, &row);
    if (got == 1) {
        if (!rows->live) rows->cursor = row.newest.seq;
        got = threads_print(self, &read, &row, out);
        if (got == OK) got = 1;
    }
    flume_read_end(&read);
    return got;
}

/* The next thread that a new message stands for: 1, 0 = none now, <0 error. */
static int threads_new(struct rows_threads *self, struct buf *out)
{
    struct log_record record;
    struct flume_read read;
    struct thread_row row;
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        /* a snapshot that knows the message */
        got = api_read_begin(self->rows.server, &read);
        if (got != OK) return got;
        got = threads_of_record(self->threads, &read, &record, &row);
        if (got == 1) {
            got = threads_print(self, &read, &row, out);
            if (got == OK) got = 1;
        }
        flume_read_end(&read);
        if (got != 0) return got;
    }
    return got;
}

static int threads_row(struct rows *rows, struct buf *out)
{
    struct rows_threads *self = (struct rows_threads *)rows;
    int got = self->follow.listed ? 0 : threads_old(self, out);
    if (got != 0) return got;
    self->follow.listed = true;
    rows->ended = !rows->live;
    return rows->live ? threads_new(self, out) : 0;
}

static int threads_next_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "lt=%lld", (long long)rows->cursor);
}

static void threads_free(struct rows *rows)
{
    struct rows_threads *self = (struct rows_threads *)rows;
    threads_close(self->threads);
    near_close(rows->server, self->near);
    follow_close(&self->follow);
    message_free(&self->message);
    free(self);
}

static const struct rows_ops threads_ops = {
    .next = threads_row,
    .next_page = threads_next_page,
    .free = threads_free,
};

static int threads_near(struct rows_threads *self, const struct near_params *params)
{
    struct server *server = self->rows.server;
    struct graph_walk *walk = NULL;
    int err = near_open(server, params, patience_of_query(server), &walk, &self->near);
    graph_close(walk);
    return err;
}

static int threads_follow(struct rows_threads *self, const struct threads_query *query,
                          const struct follow_params *params)
{
    struct filter filter = { 0 };
    int err = OK;
    if (query->hide_private) err = filter_set_text(&filter, "private", "false");
    return err == OK ? follow_open(&self->rows, params, &filter, &self->follow) : err;
}

int rows_threads_open(struct server *server, const struct threads_query *query, const struct near_params *near,
                      int64_t limit, const struct follow_params *follow, struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_threads *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list threads");
    message_init(&self->message);
    uint32_t views = threads_views(query) | near_params_views(near);
    struct threads_query wanted = *query;
    self->rows = (struct rows){
        .ops = &threads_ops,
        .server = server,
        .member = "threads",
        .limit = limit,
        .views = views,
        .since = views_since(server->flume, views),
        .cursor = SEQ_EMPTY,
    };
    int err = near_params_given(near) ? threads_near(self, near) : OK;
    wanted.near = self->near;
    if (err == OK) err = threads_follow(self, query, follow);
    if (err == OK) err = api_read_begin(server, &read);
    if (err == OK) {
        err = threads_open(&read, &wanted, &self->threads);
        flume_read_end(&read);
    }
    if (err != OK) {
        threads_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
