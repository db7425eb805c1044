/* One thread as it is listed (threads.h): which root a message belongs to, what the newest activity of its thread is, whether the query lets it pass,
 * and its row. For threads.c alone.
 *
 * Functions that answer yes or no say 1, 0, <0 error; records belong to the log. */
#ifndef VIEWS_THREAD_LOOK_H
#define VIEWS_THREAD_LOOK_H

#include "views/threads.h"

struct thread_look {
    struct threads_query query;
    struct message message; /* of a root, or of what leads to one: the record that was scanned last */
    struct message reply;
};

/* A root as it was found; its message is look->message until another record is scanned. */
struct thread_root {
    struct ref id;
    struct log_record record; /* value.data NULL = it is not in the log, or not to be seen */
    bool starts;              /* it is activity itself */
};

void look_init(struct thread_look *look, const struct threads_query *query); /* texts of the query are not kept */
void look_free(struct thread_look *look);

int look_scan(struct thread_look *look, const struct log_record *record);

/* The root that the message scanned last belongs to; false if it is none that can be named. */
bool look_root_id(const struct thread_look *look, struct ref *ret_root);

/* The message scanned last as a root. */
void look_scanned(const struct thread_look *look, const struct log_record *record, struct thread_root *ret_root);

/* The root of that id, whether it is there or not. */
int look_find(struct thread_look *look, const struct flume_read *read, const struct ref *id,
              struct thread_root *ret_root);

/* The newest activity, of the root that was found or scanned last: 1; 0 = there is none, or the query does not let the root pass. */
int look_newest(struct thread_look *look, const struct flume_read *read, const struct thread_root *root,
                int64_t *ret_newest);

/* Does who is asked for take part? Of the root that was found or scanned last. */
int look_participates(const struct thread_look *look, const struct flume_read *read, const struct thread_root *root);

/* The row; 0 = the newest activity was deleted meanwhile. */
int look_row(const struct flume_read *read, const struct thread_root *root, int64_t newest, struct thread_row *ret_row);

/* Is this the newest of the records that a row is made of: the root, its activity, and what else is counted? */
int look_is_last(const struct flume_read *read, const struct log_record *record, const struct thread_root *root,
                 int64_t newest);

#endif
