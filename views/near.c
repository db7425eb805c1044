#include "views/near.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"

struct near {
    size_t count;
    struct ref feeds[]; /* ordered by pair_compare */
};

static int near_compare(const void *a, const void *b)
{
    return pair_compare(a, b);
}

int near_make(const struct graph *graph, size_t max, struct near **ret_near)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->count; i++)
        count += graph->feeds[i].hops >= 0;
    if (count > max)
        return err_set(ERR_LIMIT,
                       "hops: %zu feeds are within them, at most %zu can be filtered for: ask for fewer hops", count,
                       max);
    struct near *near = malloc(sizeof *near + count * sizeof near->feeds[0]);
    if (near == NULL) return err_set(ERR_NOMEM, "no memory for a set of feeds");
    near->count = 0;
    for (size_t i = 0; i < graph->count; i++)
        if (graph->feeds[i].hops >= 0) near->feeds[near->count++] = graph->feeds[i].id;
    qsort(near->feeds, near->count, sizeof near->feeds[0], near_compare);
    *ret_near = near;
    return OK;
}

void near_free(struct near *near)
{
    free(near);
}

bool near_has(const struct near *near, const struct ref *feed)
{
    return feed->kind != REF_NONE &&
           bsearch(feed, near->feeds, near->count, sizeof near->feeds[0], near_compare) != NULL;
}

size_t near_count(const struct near *near)
{
    return near->count;
}
