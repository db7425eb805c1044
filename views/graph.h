/* How far feeds are from one feed, through the contacts that people make: npm ssb-friends 5.1.7 (hops), layered-graph and dynamic-dijkstra.
 *
 * The feed itself is at 0; whom it follows at 1, whom those follow at 2 … up to `max`. A feed that somebody at distance d blocks is at -(d + 1),
 * one that somebody stopped following at -(d + 2). Of several distances the one nearest to 0 counts, and of d and -d the positive one. Nobody
 * is reached through a feed at a negative distance. */
#ifndef VIEWS_GRAPH_H
#define VIEWS_GRAPH_H

#include "views/view_contacts.h"

#define GRAPH_HOPS_MAX 100
#define GRAPH_FEEDS_MAX ((size_t)1 << 18) /* in one answer: several times the network */

struct graph_feed {
    struct ref id;
    int hops;
};

struct graph {
    struct graph_feed *feeds; /* by distance from 0, d before -d, then by id */
    size_t count;
};

/* The feeds within `max` hops of `from`, `from` itself included. ERR_LIMIT: more than `most`; ERR_SLOW past the deadline of `read`. Deleted contact messages count
 * until the view is rebuilt. */
int graph_read(const struct flume_read *read, const struct ref *from, int max, size_t most, struct graph *ret_graph);
void graph_free(struct graph *graph); /* zeroed is fine */

/* From now on by id (pair_compare). */
void graph_sort(struct graph *graph);

/* A feed has said something of another one, and `contact` is what it says now: can it have changed the distance of anybody? No, if the one is not gone
 * through, or the other is nearer anyway, or as far as it would be. The graph is one within `max` hops, sorted by id. */
bool graph_settled(const struct graph *graph, int max, const struct ref *source, const struct contact *contact);

/* What differs between two that are sorted by id: OK to go on, or an error, by which it ends. `now` NULL = the feed is not there any more. */
typedef int graph_change_fn(void *ctx, const struct graph_feed *before, const struct graph_feed *now);
int graph_compare(const struct graph *before, const struct graph *now, graph_change_fn *fn, void *ctx);

/* The same in parts, for who must not wait: after ERR_SLOW of graph_go the next call goes on, with a snapshot of its own. */
struct graph_walk;
int graph_open(const struct ref *from, int max, size_t most, struct graph_walk **ret_walk);
int graph_go(struct graph_walk *walk, const struct flume_read *read);
void graph_take(struct graph_walk *walk, struct graph *ret_graph); /* once graph_go was OK */
void graph_close(struct graph_walk *walk);                         /* NULL is fine */

#endif
