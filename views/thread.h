/* A thread: a root message and everything that names it as content.root, in causal order.
 *
 * Order: a message comes behind everything in the thread that it refers to, anywhere in its value (previous, branch, a mention). Among those that may
 * come next the smallest stands first: by received time, then claimed time, then the text of the key, descending. These are the rules of npm ssb-sort
 * 1.1.3, whose comparison is not transitive; here they order a topological sort, so the answer does not depend on where it began. */
#ifndef VIEWS_THREAD_H
#define VIEWS_THREAD_H

#include "views/flume.h"

#define THREAD_MESSAGES_MAX 10000

struct thread_message {
    struct ref id;
    struct log_record record;
    double received, claimed; /* 0 if the record does not say */
    uint32_t after;           /* messages of the thread that it must come behind and that have no place yet */
    bool referred;            /* another message of the thread refers to it: it is no head */
    bool votes;               /* its type is vote */
};

struct thread {
    struct thread_message *messages;
    size_t count;
    struct ref
        *missing; /* ids that root or branch name and that are not in the log; the root stands first if it is one */
    size_t missing_count;
    bool rooted; /* the root is among the messages */
};

/* Copies of a message are left out. ERR_NOTFOUND: no such message and nothing that replies to it; ERR_LIMIT: more than THREAD_MESSAGES_MAX.
 * `hide_private`: encrypted messages are not there (only a root can be one). Reads the views messages and links. */
int thread_read(const struct flume_read *read, const struct ref *root, bool hide_private, struct thread *ret_thread);
void thread_free(struct thread *thread); /* zeroed is fine */

#endif
