/* Whom a feed is near: itself and those that it reaches within so many hops, as graph.h counts them, without those it blocks or has
 * left. A set to test authors against; it never changes once it is made, so any thread may ask. */
#ifndef VIEWS_NEAR_H
#define VIEWS_NEAR_H

#include "views/graph.h"

#define NEAR_FEEDS_MAX ((size_t)1 << 16) /* in one set */

struct near;

/* Of a graph as it was read from the feed. ERR_LIMIT: more than `max` feeds. */
int near_make(const struct graph *graph, size_t max, struct near **ret_near);
void near_free(struct near *near); /* NULL is fine */

bool near_has(const struct near *near, const struct ref *feed);
size_t near_count(const struct near *near);

#endif
