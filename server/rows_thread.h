/* The messages of a thread as rows, and what a page says about the thread before them. */
#ifndef SERVER_ROWS_THREAD_H
#define SERVER_ROWS_THREAD_H

#include "server/follow.h"
#include "views/thread.h"

/* Everything about a thread but the text of its messages. */
struct thread_facts {
    struct thread thread;
    struct ref root;
    struct log *log; /* that its records stand in */
    struct buf head; /* members of the page, each with a comma behind it: root, parent, heads, missing, votes, forks */
    int64_t since;
};

#define THREAD_VIEWS (VIEW_MASK(messages) | VIEW_MASK(links) | VIEW_MASK(types))

/* ERR_NOTFOUND, ERR_LIMIT as thread_read. */
int thread_facts_read(const struct flume_read *read, const struct ref *root, bool hide_private,
                      struct thread_facts *ret_facts);
void thread_facts_free(struct thread_facts *facts);

/* Rows from the `skip`-th message on; followed, those that name the root as they come. */
struct thread_params {
    int64_t skip, limit;
    bool hide_private;
    struct follow_params follow;
};
/* Takes over what is in `facts`, also when it fails. */
int rows_thread_open(struct server *server, struct thread_facts *facts, const struct thread_params *params,
                     struct rows **ret_rows);

#endif
