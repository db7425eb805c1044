#include "views/graph.h"

#include <stdlib.h>

#include "store/err.h"
#include "views/index_keys.h"

/* Feeds of one distance, by number. */
struct level {
    uint32_t *numbers;
    size_t count, cap;
};

struct graph_walk {
    struct index_keys ids; /* numbers feeds as they are met */
    struct graph graph;    /* by number */
    size_t cap;
    int hops, max;
    size_t most;
    struct level levels[2]; /* of `hops`, and of the next */
    size_t next;            /* in the level of `hops` */
    size_t steps;           /* feeds and contacts since the clock was looked at */
};

#define STEPS_PER_LOOK 64

/* The distance of what a feed at `hops` has a contact with. */
static int hops_over(int hops, enum contact_state state)
{
    switch (state) {
    case CONTACT_FOLLOWS: return hops + 1;
    case CONTACT_BLOCKS: return -hops - 1;
    case CONTACT_ENDED: break;
    case CONTACT_STATES: break;
    }
    return -hops - 2;
}

static bool hops_nearer(int a, int b)
{
    return abs(a) < abs(b) || (abs(a) == abs(b) && a > b);
}

/* 1 = the feed was not at this distance before and is to be gone through, 0, <0 error. */
static int walk_reach(struct graph_walk *walk, const struct ref *id, int hops, uint32_t *ret_number)
{
    char key[PAIR_KEY_BYTES];
    uint32_t number;
    size_t known = walk->ids.count;
    pair_key(id, id, key);
    int err = index_grow(&walk->graph.feeds, &walk->cap, known, sizeof *walk->graph.feeds);
    if (err == OK) err = index_keys_add(&walk->ids, (struct slice){ key, PAIR_REF_BYTES }, &number);
    if (err != OK) return err;
    if (number == walk->most) return err_set(ERR_LIMIT, "more than %zu feeds: ask for fewer hops", walk->most);
    struct graph_feed *feed = &walk->graph.feeds[number];
    if (number < known && !hops_nearer(hops, feed->hops)) return 0;
    *feed = (struct graph_feed){ *id, hops };
    walk->graph.count = walk->ids.count;
    *ret_number = number;
    return hops >= 0;
}

static int level_add(struct level *level, uint32_t number)
{
    int err = index_grow(&level->numbers, &level->cap, level->count, sizeof *level->numbers);
    if (err == OK) level->numbers[level->count++] = number;
    return err;
}

static int walk_feed(struct graph_walk *walk, const struct flume_read *read, uint32_t number, struct level *next)
{
    const struct graph_feed feed = walk->graph.feeds[number]; /* the array may move */
    struct contacts_iter iter;
    struct contact contact;
    uint32_t reached;
    int got = contacts_open(read, &feed.id, CONTACTS_MADE, NULL, &iter);
    if (got != OK) return got;
    while ((got = contacts_next(&iter, &contact)) == 1) {
        walk->steps++;
        got = walk_reach(walk, &contact.id, hops_over(feed.hops, contact.state), &reached);
        if (got == 1) got = level_add(next, reached);
        if (got < 0) break;
    }
    contacts_close(&iter);
    return got;
}

static int walk_look(struct graph_walk *walk, const struct flume_read *read)
{
    if (++walk->steps < STEPS_PER_LOOK) return OK;
    walk->steps = 0;
    return flume_read_late(read);
}

/* Level by level, so that a feed has its final distance when it is gone through. */
int graph_go(struct graph_walk *walk, const struct flume_read *read)
{
    for (; walk->hops < walk->max; walk->hops++) {
        struct level *now = &walk->levels[walk->hops % 2], *next = &walk->levels[(walk->hops + 1) % 2];
        while (walk->next < now->count) {
            int err = walk_feed(walk, read, now->numbers[walk->next], next);
            if (err != OK) return err;
            walk->next++;
            err = walk_look(walk, read);
            if (err != OK) return err;
        }
        walk->next = now->count = 0;
        if (next->count == 0) break;
    }
    return OK;
}

static int feed_compare(const void *a, const void *b)
{
    const struct graph_feed *left = a, *right = b;
    if (left->hops == right->hops) return pair_compare(&left->id, &right->id);
    return hops_nearer(left->hops, right->hops) ? -1 : 1;
}

int graph_open(const struct ref *from, int max, size_t most, struct graph_walk **ret_walk)
{
    struct graph_walk *walk = calloc(1, sizeof *walk);
    uint32_t number;
    if (walk == NULL) return err_set(ERR_NOMEM, "no memory to walk the graph");
    walk->max = max;
    walk->most = most;
    index_keys_init(&walk->ids, 0);
    int err = walk_reach(walk, from, 0, &number);
    if (err == 1) err = level_add(&walk->levels[0], number);
    if (err == OK)
        *ret_walk = walk;
    else
        graph_close(walk);
    return err;
}

void graph_take(struct graph_walk *walk, struct graph *ret_graph)
{
    qsort(walk->graph.feeds, walk->graph.count, sizeof *walk->graph.feeds, feed_compare);
    *ret_graph = walk->graph;
    walk->graph = (struct graph){ NULL, 0 };
}

void graph_close(struct graph_walk *walk)
{
    if (walk == NULL) return;
    free(walk->levels[0].numbers);
    free(walk->levels[1].numbers);
    index_keys_free(&walk->ids);
    graph_free(&walk->graph);
    free(walk);
}

int graph_read(const struct flume_read *read, const struct ref *from, int max, size_t most, struct graph *ret_graph)
{
    struct graph_walk *walk = NULL;
    int err = graph_open(from, max, most, &walk);
    if (err == OK) err = graph_go(walk, read);
    if (err == OK) graph_take(walk, ret_graph);
    graph_close(walk);
    return err;
}

void graph_free(struct graph *graph)
{
    free(graph->feeds);
    *graph = (struct graph){ NULL, 0 };
}

/* ---- one graph and another ------------------------------------------------------------------------------------------ */

static int feed_compare_ids(const void *a, const void *b)
{
    return pair_compare(&((const struct graph_feed *)a)->id, &((const struct graph_feed *)b)->id);
}

void graph_sort(struct graph *graph)
{
    if (graph->count > 0) qsort(graph->feeds, graph->count, sizeof *graph->feeds, feed_compare_ids);
}

static const struct graph_feed *graph_find(const struct graph *graph, const struct ref *id)
{
    const struct graph_feed wanted = { *id, 0 };
    if (graph->count == 0) return NULL;
    return bsearch(&wanted, graph->feeds, graph->count, sizeof *graph->feeds, feed_compare_ids);
}

bool graph_settled(const struct graph *graph, int max, const struct ref *source, const struct contact *contact)
{
    const struct graph_feed *from = graph_find(graph, source), *to = graph_find(graph, &contact->id);
    if (from == NULL || from->hops < 0 || from->hops >= max) return true;
    return to != NULL && (abs(to->hops) <= from->hops || to->hops == hops_over(from->hops, contact->state));
}

int graph_compare(const struct graph *before, const struct graph *now, graph_change_fn *fn, void *ctx)
{
    size_t i = 0, k = 0;
    int err = OK;
    while (err == OK && (i < before->count || k < now->count)) {
        const struct graph_feed *old = i < before->count ? &before->feeds[i] : NULL;
        const struct graph_feed *new = k < now->count ? &now->feeds[k] : NULL;
        int order = old == NULL ? 1 : new == NULL ? -1 : feed_compare_ids(old, new);
        i += order <= 0;
        k += order >= 0;
        if (order != 0 || old->hops != new->hops) err = fn(ctx, order <= 0 ? old : NULL, order >= 0 ? new : NULL);
    }
    return err;
}
