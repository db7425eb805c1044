/* How long a query may look: --query-timeout, or, on a thread that others wait for, a moment. Whatever looks for longer than that there
 * answers ERR_SLOW, and is begun anew or gone on with where it holds nobody up (jobs.h). */
#ifndef SERVER_PATIENCE_H
#define SERVER_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/* Of this thread from now on: at most `ms`; 0 or less = as long as it takes. */
void patience_limit(int64_t ms);
bool patience_limited(void);

/* Pages of more rows than that are made where they hold nobody up, however quick each of their rows is. */
#define PATIENCE_PAGE_ROWS 200
void patience_short_pages(bool only); /* of this thread from now on */
bool patience_for_page(int64_t rows);

int64_t patience_of(int64_t ms); /* `ms`, or what the thread has if that is less */
int64_t patience_of_query(const struct server *server);

#endif
