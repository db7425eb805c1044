/* Lists that are not in the order of the log, followed with live=true: behind the rows that are there come those that new messages change, each as it
 * is when its turn comes. Their SSE ids are seqs of these messages; Last-Event-ID goes on behind one, without the list. */
#ifndef SERVER_FOLLOW_H
#define SERVER_FOLLOW_H

#include "server/rows_log.h"

struct follow_params {
    bool live;
    bool old;      /* the list comes first */
    int64_t above; /* where to follow from; SEQ_EMPTY = from what the list knows */
};

#define FOLLOW_NONE ((struct follow_params){ .old = true, .above = SEQ_EMPTY })
#define FOLLOW_PARAMS "live", "old"

/* live, old and Last-Event-ID (that of a live stream alone). false = the problem is made. */
bool follow_read(const struct api_request *req, struct api_reply *reply, int format, struct follow_params *ret_params);

struct follow {
    struct seq_source source; /* messages that can change a row */
    bool listed;              /* what was there was given */
    int64_t until_ms;         /* of one look for a row, which may go through many messages that change none */
    unsigned looked;
};

/* For rows whose since is known: the records that pass `filter` are looked at. Sets rows->live. */
int follow_open(struct rows *rows, const struct follow_params *params, const struct filter *filter,
                struct follow *ret_follow);
void follow_close(struct follow *follow); /* zeroed is fine */

/* Begins a look for the next row: follow_next gives up, with ERR_SLOW, when it takes longer than a query may; the next look goes on from there. */
void follow_begin(struct follow *follow, const struct rows *rows);

/* The next record that may change a row, once all views of the rows know it; scanned into `message`. rows->cursor becomes its seq. 1, 0 = none now, <0 error. */
int follow_next(struct follow *follow, struct rows *rows, struct message *message, struct log_record *ret_record);

#endif
