/* Who said what last: of each author the newest record among those that a filter finds, as "who votes for this" and "who follows this feed" are
 * asked. Read from posting lists and records; nothing is stored for it. */
#ifndef VIEWS_SAID_H
#define VIEWS_SAID_H

#include "views/filter.h"

#define SAID_AUTHORS_MAX ((size_t)1 << 18) /* in one answer: several times the network */

struct said {
    struct ref author;
    int64_t seq;
    int what; /* as the reader of the message called it */
};

struct said_list {
    struct said *items; /* ordered by the author's bytes */
    size_t count;
};

/* What a message says: a number from 0 on, or -1 = it is none that counts. */
typedef int said_fn(void *ctx, const struct message *message);

/* ERR_LIMIT: more than `most` authors; ERR_SLOW past the deadline of `read`. */
int said_read(const struct flume_read *read, const struct filter *filter, size_t most, said_fn *fn, void *ctx,
              struct said_list *ret_list);
void said_free(struct said_list *list); /* zeroed is fine */

/* The first item whose author stands behind `after`; the count if there is none. */
size_t said_behind(const struct said_list *list, const struct ref *after);

/* What this author said; NULL = nothing. */
const struct said *said_by(const struct said_list *list, const struct ref *author);

#endif
