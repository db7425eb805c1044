/* One subscription of a WebSocket client: a place in the log, or a list, and what it owes the client. */
#ifndef SERVER_LIVE_SUB_H
#define SERVER_LIVE_SUB_H

#include "server/live_list.h"
#include "server/rows_log.h"

#define LIVE_ID_MAX 64

struct live_sub {
    char id[LIVE_ID_MAX + 1];
    bool named; /* it has an id; the one of the URL has none */
    struct rows *rows;
    struct live_list *list; /* instead of rows; what follows up to `synced` is not for it */
    struct buf row;         /* of the list: one that waits for the sync frame in front of it */
    int64_t row_cursor;
    bool rests;   /* its last row took a while: the others first */
    int64_t head; /* of the log when it was made: up to it everything is old */
    bool live;    /* goes on after the old part */
    bool reverse;
    bool synced; /* the sync frame was given */

    /* A look for the next row that takes long is made in parts, with other clients in between. */
    int64_t part_ms;
    int64_t looked_ms; /* in the parts so far */

    /* Nothing to give as long as the views know no more, and the log is the same, as when it was looked for. */
    bool idle;
    int64_t idle_since;
    const struct log *idle_log;
};

/* Takes the parameters as they were given (filter_params_set) and finishes them. ERR_ARG, ERR_BOUNDARY … */
int live_sub_new(struct server *server, struct filter_params *params, bool public_only, struct live_sub **ret_sub);
/* The rows of a list (live_list_open): frames {"row":ROW}, with "seq":N where the list can be gone on with from there. */
int live_sub_new_list(struct server *server, struct slice target, int64_t since, bool public_only,
                      const struct gate_place *from, struct live_sub **ret_sub);
void live_sub_free(struct live_sub *sub); /* NULL is fine */

/* Where a subscription stands that has nothing of its own: no id, no filter, no end, and its sync frame was given. */
struct live_place {
    struct rows_log_place rows;
    bool idle;
    int64_t idle_since;
    const struct log *idle_log;
};
bool live_sub_place(const struct live_sub *sub, struct live_place *ret_place); /* false = it is another kind */
void live_sub_go(struct live_sub *sub, const struct live_place *place);

/* Is there perhaps something to give again? */
bool live_sub_wake(struct live_sub *sub);

#define LIVE_LATER 2 /* no frame yet: it has to be asked again, after others had their turn */

/* 1 = one frame appended, 0 = nothing now (idle is set), LIVE_LATER, <0 = it failed. *ret_over: this frame was its last. */
int live_sub_next(struct live_sub *sub, struct buf *out, bool *ret_over);

#endif
