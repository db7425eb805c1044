#include <stdlib.h>

#include "server/rows_social.h"
#include "server/text.h"
#include "views/graph.h"

struct rows_graph {
    struct rows rows;
    struct graph graph;
    size_t next;
};

static int graph_row(struct rows *rows, struct buf *out)
{
    struct rows_graph *self = (struct rows_graph *)rows;
    rows->ended = self->next >= self->graph.count;
    if (rows->ended) return 0;
    const struct graph_feed *feed = &self->graph.feeds[self->next++];
    rows->ended = self->next == self->graph.count;
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &feed->id);
    (void)buf_printf(out, ",\"hops\":%d}", feed->hops);
    return out->err == OK ? 1 : out->err;
}

static int graph_next_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "skip=%zu", ((struct rows_graph *)rows)->next);
}

static void graph_rows_free(struct rows *rows)
{
    graph_free(&((struct rows_graph *)rows)->graph);
    free(rows);
}

static const struct rows_ops graph_ops = {
    .next = graph_row,
    .next_page = graph_next_page,
    .free = graph_rows_free,
};

int rows_graph_open(struct server *server, const struct graph_params *params, struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_graph *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to walk the graph");
    self->next = (size_t)params->skip;
    self->rows = (struct rows){
        .ops = &graph_ops,
        .server = server,
        .member = "feeds",
        .limit = params->limit,
        .views = VIEW_MASK(contacts),
        .cursor = SEQ_EMPTY,
    };
    int err = api_read_begin(server, &read);
    if (err == OK) {
        self->rows.since = flume_read_since(&read, flume_view(read.flume, VIEW_contacts));
        err = graph_read(&read, &params->from, params->hops, &self->graph);
        flume_read_end(&read);
    }
    if (err != OK) {
        graph_rows_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
