/* Threads by their newest activity: what a frontend shows first.
 *
 * Activity in a thread is a message of one type (post, unless another is asked for) that names its root, or is it. Nothing is stored for this.
 * Messages are walked from the newest on, and one that is the newest of its thread stands for it; so a page goes on where the last one ended, and no
 * thread comes twice. Where few messages can lead to what is asked for (those of an author, of a channel), the roots are collected from these and sorted instead, as soon as
 * the walk seems to become longer than that. So an answer costs at most about twice what the better way would. */
#ifndef VIEWS_THREADS_H
#define VIEWS_THREADS_H

#include "views/filter.h"

#define THREADS_ROOTS_MAX ((size_t)1 << 17) /* collected for one answer; where there might be more, all is walked */

/* What is asked for; kind REF_NONE and data NULL mean any. */
struct threads_query {
    struct slice type;        /* of the messages that count as activity */
    struct ref author;        /* of the root */
    struct slice channel;     /* of the root */
    struct ref participating; /* wrote the root or a reply */
    struct ref followed;      /* follows the author of the root, or is it */
    const struct near *near;  /* near.h: the author of the root is one of these; the caller's, until threads_close */
    int64_t below;            /* the newest activity stands below; SEQ_MAX = anywhere */
    bool hide_private;        /* encrypted roots are not there */
    enum threads_secret { THREADS_ANY, THREADS_SECRET, THREADS_OPEN } secret; /* is the root encrypted, or was it? */
};

struct thread_row {
    struct ref root;
    struct log_record record; /* of the root; value.data NULL = it is not in the log */
    struct log_record newest; /* the newest activity */
    uint64_t replies;         /* messages that name the root, of any type */
};

struct threads;

/* Reads the views messages, types, links, feeds, channels, and contacts where they are asked about. ERR_ARG, ERR_LIMIT; ERR_SLOW past the
 * deadline of `read`. */
int threads_open(const struct flume_read *read, const struct threads_query *query, struct threads **ret_threads);
void threads_close(struct threads *threads); /* NULL is fine */

/* The next thread: 1, 0 = no more, <0 error; ERR_SLOW past the deadline of `read`, and the next call goes on from there. `wanted`: how many will be
 * asked for, with this one; it changes the work, not the answer. Records belong to the log. Every call may come with a snapshot of its own. */
#define THREADS_ALL UINT64_MAX
int threads_next(struct threads *threads, const struct flume_read *read, uint64_t wanted, struct thread_row *ret_row);

/* The thread that a message belongs to, if nothing that its row is made of is newer and the filters let it pass: 1, 0, <0 error. That is its newest activity, most
 * often, or another message that names the root, or a root that comes late. Before or after the others, or instead of them. */
int threads_of_record(struct threads *threads, const struct flume_read *read, const struct log_record *record,
                      struct thread_row *ret_row);

/* The views that a query reads, as a mask. */
uint32_t threads_views(const struct threads_query *query);

#endif
