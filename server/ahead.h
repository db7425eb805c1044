/* The lines of a batch of messages are checked by threads of their own while the rest of its body is still coming. What comes of it is what
 * checking them one after the other would give.
 *
 * A batch belongs to one thread at a time. Its lines are copied as long as its body may move, and held in memory together with the records that
 * are made of them: all batches whose bodies are coming together hold AHEAD_BYTES_MAX at most, lines beyond that are checked when their body is
 * there. */
#ifndef SERVER_AHEAD_H
#define SERVER_AHEAD_H

#include "store/feed.h"

#define AHEAD_BYTES_MAX ((size_t)32 << 20)

struct ahead_pool;
struct ahead;

/* How many messages there are in a body, one a line: AHEAD_LINES of them are worth threads. */
#define AHEAD_LINES 32

int ahead_pool_start(unsigned threads, struct ahead_pool **ret_pool);
void ahead_pool_stop(struct ahead_pool *pool);    /* no batch is left; NULL is fine */
size_t ahead_pool_bytes(struct ahead_pool *pool); /* held for bodies that are coming */

/* Of `max` lines at most the body will be worth looking at. NULL = out of memory. */
struct ahead *ahead_new(struct ahead_pool *pool, size_t max);
void ahead_free(struct ahead *batch); /* waits for what is being checked at this moment; NULL is fine */

/* `body` is what has come of it so far. */
void ahead_more(struct ahead *batch, struct slice body);

/* The body is there, and has `count` lines that are not blank. This thread helps until all are checked. *ret_bad: the first that is refused, else
 * `count`. Those before it are moved to `messages`, which are zeroed. OK, ERR_NOMEM. */
int ahead_end(struct ahead *batch, struct slice body, size_t count, struct feed_message *messages, size_t *ret_bad);

#endif
