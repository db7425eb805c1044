/* One client of WS /live, free of sockets: its subscriptions, what it says, and what it is to be sent next.
 *
 * Nothing is queued for a client: every subscription is a place in the log (rows.h), and a frame is made when the socket can take one. A client that is
 * slow simply reads on from its place. Used from the WebSocket thread only. */
#ifndef SERVER_LIVE_H
#define SERVER_LIVE_H

#include "server/live_sub.h"

struct live;

/* `target` is the handshake's request target ("/live?type=post&gt=12"): unless it says subscribe=false, its parameters are the first subscription, the one
 * without an id (or `list` is, and stands alone). *ret_live is set after every error but ERR_NOMEM: live_next then gives the problem frame, and after it the client is to be closed
 * with 1008. The target is not kept. `from`: see live_list_open. */
int live_open(struct server *server, struct slice target, bool public_only, const struct gate_place *from,
              struct live **ret_live);
void live_free(struct live *live); /* NULL is fine */

/* A whole text message from the client: {"op":"sub","id":"a", FILTERS AND CURSOR AS IN /log}, {"op":"sub","id":"a","list":TARGET,"since":SEQ}, {"op":"unsub","id":"a"}. Answers, also to mistakes, are frames that live_next gives.
 * <0 = the client must be closed (ERR_LIMIT: too many unanswered operations). */
int live_text(struct live *live, const char *text, size_t len);

/* The head or a view moved. true = live_next may have something, false = all subscriptions know what there is. */
bool live_wake(struct live *live);

/* Rows of a list come as {"id":"a","seq":N,"row":ROW}, where "seq" is a place to go on from.
 * 1 = one frame appended to `out`; 0 = nothing now; LIVE_LATER; <0 error. Subscriptions take turns. Frames: RECORD for the subscription without an id,
 * {"id":"a",RECORD…} for the others; {"sync":true,"since":N} (with "id") once, between old and live; {"id":"a","closed":true}; {"id":"a","error":PROBLEM}.
 * A subscription ends with "closed", or with an "error" of its own. */
int live_next(struct live *live, struct buf *out);

/* Clients with one subscription, to the whole log, that has come to the live part are alike: standing at one place they are sent the same, so
 * that frames made for one of them serve the others. false = not such a client, or it has answers to get first. */
bool live_place(const struct live *live, struct live_place *ret_place);
bool live_place_same(const struct live_place *a, const struct live_place *b);
/* As if live_next had given what lies between the client's place and this one. Both are of live_place. true = it may have more. */
bool live_go(struct live *live, const struct live_place *place);

size_t live_subscriptions(const struct live *live);

#endif
