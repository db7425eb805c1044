#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/limits.h"
#include "server/rows_social.h"
#include "server/text.h"
#include "views/graph.h"
#include "views/index_keys.h"

/* Followed, it holds the graph as it was told, and walks it anew when a contact may have changed it. However many do meanwhile, one walk is for all of them. */
struct rows_graph {
    struct rows rows;
    struct graph_params params;
    struct graph graph; /* by distance until it was listed, then by id */
    size_t next;

    struct follow follow;
    struct message message;
    bool moved; /* it has to be walked anew */
    struct graph_walk *walk;
    struct graph_feed *changes; /* hops INT_MAX = it is not within them any more */
    size_t change_count, change_cap, change_next;
    int64_t held; /* feeds that are counted among those of all clients */
};

#define HOPS_GONE INT_MAX

static int graph_print(const struct graph_feed *feed, struct buf *out)
{
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &feed->id);
    if (feed->hops == HOPS_GONE)
        (void)buf_puts(out, ",\"removed\":true}");
    else
        (void)buf_printf(out, ",\"hops\":%d}", feed->hops);
    return out->err == OK ? 1 : out->err;
}

/* ---- changes ------------------------------------------------------------------------------------------------------ */

/* What is held for a client that follows has a limit over all of them. */
static int graph_hold(struct rows_graph *self)
{
    int64_t count = (int64_t)self->graph.count, change = count - self->held;
    int64_t all = atomic_fetch_add(&api_server_base(self->rows.server)->near_feeds, change) + change;
    self->held = count;
    if (change <= 0 || all <= LIMIT_NEAR_FEEDS) return OK;
    return err_set(ERR_QUEUE, "the graphs and filters by hops of all clients hold more than %lld feeds",
                   (long long)LIMIT_NEAR_FEEDS);
}

/* Can the message that was scanned last have changed a distance? 1, 0, <0 error. */
static int graph_moves(const struct rows_graph *self)
{
    const struct ref *author = &self->message.author_ref;
    struct contact contact;
    struct flume_read read;
    struct ref dest;
    if (author->kind == REF_NONE || !contact_of(&self->message, &dest)) return 0;
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    got = contacts_get(&read, author, &dest, &contact);
    flume_read_end(&read);
    contact.id = dest;
    if (got == 1) got = !graph_settled(&self->graph, self->params.hops, author, &contact);
    return got;
}

static int graph_changed(void *ctx, const struct graph_feed *before, const struct graph_feed *now)
{
    struct rows_graph *self = ctx;
    const struct graph_feed gone = { before != NULL ? before->id : now->id, HOPS_GONE };
    int err = index_grow(&self->changes, &self->change_cap, self->change_count, sizeof *self->changes);
    if (err == OK) self->changes[self->change_count++] = now != NULL ? *now : gone;
    return err;
}

/* The graph as it is now in place of the one that was told; what differs is in `changes`. */
static int graph_replace(struct rows_graph *self, struct graph *graph)
{
    self->change_count = self->change_next = 0;
    graph_sort(graph);
    int err = graph_compare(&self->graph, graph, graph_changed, self);
    graph_free(&self->graph);
    self->graph = *graph;
    return err == OK ? graph_hold(self) : err;
}

/* ERR_SLOW: the next call goes on. */
static int graph_again(struct rows_graph *self)
{
    struct flume_read read;
    struct graph graph;
    int err = self->walk == NULL ? graph_open(&self->params.from, self->params.hops, GRAPH_FEEDS_MAX, &self->walk) : OK;
    if (err == OK) err = api_read_begin(self->rows.server, &read);
    if (err != OK) return err;
    err = graph_go(self->walk, &read);
    flume_read_end(&read);
    if (err != OK) return err;
    graph_take(self->walk, &graph);
    graph_close(self->walk);
    self->walk = NULL;
    self->moved = false;
    return graph_replace(self, &graph);
}

/* All messages that are known are looked at before it is walked: the walk answers for them. */
static int graph_look(struct rows_graph *self)
{
    struct log_record record;
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        if (!self->moved) got = graph_moves(self);
        if (got < 0) break;
        self->moved = self->moved || got == 1;
    }
    self->rows.cursor = SEQ_EMPTY;
    return got;
}

static int graph_new(struct rows_graph *self, struct buf *out)
{
    for (;;) {
        if (self->change_next < self->change_count) return graph_print(&self->changes[self->change_next++], out);
        int err = self->walk == NULL ? graph_look(self) : OK;
        if (err != OK || !self->moved) return err;
        err = graph_again(self);
        if (err != OK) return err;
    }
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static int graph_row(struct rows *rows, struct buf *out)
{
    struct rows_graph *self = (struct rows_graph *)rows;
    bool listed = self->next >= self->graph.count;
    if (rows->live && (self->follow.listed || listed)) {
        if (!self->follow.listed) graph_sort(&self->graph);
        self->follow.listed = true;
        return graph_new(self, out);
    }
    rows->ended = listed;
    if (rows->ended) return 0;
    const struct graph_feed *feed = &self->graph.feeds[self->next++];
    rows->ended = !rows->live && self->next == self->graph.count;
    return graph_print(feed, out);
}

static int graph_next_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "skip=%zu", ((struct rows_graph *)rows)->next);
}

static void graph_rows_free(struct rows *rows)
{
    struct rows_graph *self = (struct rows_graph *)rows;
    (void)atomic_fetch_sub(&api_server_base(rows->server)->near_feeds, self->held);
    follow_close(&self->follow);
    message_free(&self->message);
    graph_close(self->walk);
    graph_free(&self->graph);
    free(self->changes);
    free(self);
}

static const struct rows_ops graph_ops = {
    .next = graph_row,
    .next_page = graph_next_page,
    .free = graph_rows_free,
};

static int graph_follow(struct rows_graph *self)
{
    struct follow_params params = self->params.follow;
    struct filter filter = { 0 };
    if (!params.live) return OK;
    if (params.above != SEQ_EMPTY) params = (struct follow_params){ .live = true, .old = true, .above = SEQ_EMPTY };
    int err = filter_set_text(&filter, "type", "contact");
    if (err == OK) err = follow_open(&self->rows, &params, &filter, &self->follow);
    if (err == OK && self->follow.listed) graph_sort(&self->graph);
    return err == OK ? graph_hold(self) : err;
}

int rows_graph_open(struct server *server, const struct graph_params *params, struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_graph *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to walk the graph");
    message_init(&self->message);
    self->params = *params;
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
        err = graph_read(&read, &params->from, params->hops, GRAPH_FEEDS_MAX, &self->graph);
        flume_read_end(&read);
    }
    if (err == OK) err = graph_follow(self);
    if (err != OK) {
        graph_rows_free(&self->rows);
        return err;
    }
    *ret_rows = &self->rows;
    return OK;
}
