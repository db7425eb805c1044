#include "server/near_params.h"

#include "server/limits.h"
#include "server/text.h"
#include "views/graph.h"

int near_params_set(struct near_params *params, struct slice name, struct slice value)
{
    if (text_is(name, "hops")) {
        if (text_int(value, 0, GRAPH_HOPS_MAX, &params->hops)) return 1;
        return err_set(ERR_ARG, "hops: a whole number from 0 to %d is wanted", GRAPH_HOPS_MAX);
    }
    if (!text_is(name, "from")) return 0;
    struct ref from;
    if (ref_parse_any(value.data, value.len, &from) != OK || from.kind != REF_FEED)
        return err_set(ERR_REF, "from: the id of a feed is wanted");
    params->from = from;
    return 1;
}

int near_params_read(const struct api_request *req, struct near_params *ret_params)
{
    struct near_params params = NEAR_PARAMS_NONE;
    int err = OK;
    for (size_t i = 0; i < req->query_count && err >= 0; i++)
        err = near_params_set(&params, req->query[i].name, req->query[i].value);
    if (err >= 0) err = near_params_finish(&params);
    if (err == OK) *ret_params = params;
    return err;
}

int near_params_finish(const struct near_params *params)
{
    bool from = params->from.kind != REF_NONE, hops = params->hops >= 0;
    if (from == hops) return OK;
    return err_set(ERR_ARG, "%s",
                   from ? "from: how many hops from it? hops=N is wanted with it"
                        : "hops: from whom? from=FEED is wanted with it");
}

bool near_params_given(const struct near_params *params)
{
    return params->hops >= 0;
}

uint32_t near_params_views(const struct near_params *params)
{
    return near_params_given(params) ? VIEW_MASK(contacts) : 0;
}

static int near_walk(struct server *server, const struct near_params *params, int64_t patience_ms,
                     struct graph_walk **walk, struct graph *ret_graph)
{
    struct flume_read read;
    int err = *walk == NULL ? graph_open(&params->from, (int)params->hops, GRAPH_FEEDS_MAX, walk) : OK;
    if (err == OK) err = flume_read_begin(server->flume, &read);
    if (err != OK) return err;
    read.deadline_ms = flume_now_ms() + patience_ms;
    err = graph_go(*walk, &read);
    flume_read_end(&read);
    if (err == OK) graph_take(*walk, ret_graph);
    return err;
}

int near_open(struct server *server, const struct near_params *params, int64_t patience_ms, struct graph_walk **walk,
              struct near **ret_near)
{
    struct graph graph;
    struct near *near = NULL;
    int err = near_walk(server, params, patience_ms, walk, &graph);
    if (err != OK) return err;
    err = near_make(&graph, NEAR_FEEDS_MAX, &near);
    graph_free(&graph);
    graph_close(*walk);
    *walk = NULL;
    if (err != OK) return err;
    int64_t count = (int64_t)near_count(near);
    if (atomic_fetch_add(&api_server_base(server)->near_feeds, count) + count > LIMIT_NEAR_FEEDS) {
        near_close(server, near);
        return err_set(ERR_QUEUE, "the filters by hops of all clients hold more than %lld feeds",
                       (long long)LIMIT_NEAR_FEEDS);
    }
    *ret_near = near;
    return OK;
}

void near_close(struct server *server, struct near *near)
{
    if (near == NULL) return;
    (void)atomic_fetch_sub(&api_server_base(server)->near_feeds, (int64_t)near_count(near));
    near_free(near);
}
