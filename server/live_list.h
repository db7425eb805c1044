/* A list of the HTTP API as what a WebSocket client is subscribed to: the rows that a GET of it with live=true streams.
 *
 * The GET is dispatched like any other, by a thread that may be kept waiting, and so is what takes longer than the WebSocket thread can: meanwhile the list is
 * away, and nothing of it is touched here. */
#ifndef SERVER_LIVE_LIST_H
#define SERVER_LIVE_LIST_H

#include "server/gate.h"
#include "server/rows.h"

struct live_list;

/* `target` as in a GET; live=true is added unless it says live itself. `since`: what is known already, the rows that changed since then are
 * wanted, SEQ_EMPTY = the list. The target is not kept. `from`: where the client came in, NULL = nowhere; its queries that take long are those of its address. ERR_NOMEM; whatever is wrong with it is told by live_list_next. */
int live_list_open(struct server *server, struct slice target, int64_t since, bool public_only,
                   const struct gate_place *from, struct live_list **ret_list);
void live_list_close(struct live_list *list); /* NULL is fine */

/* NULL while it is away, and where the GET was answered by a problem; they stay until the next live_list_next. */
const struct rows *live_list_rows(struct live_list *list);

/* Is it back from where it was away, since this was asked last? */
bool live_list_returned(struct live_list *list);
bool live_list_away(struct live_list *list);

#define LIST_WENT 2  /* it is away from now on */
#define LIST_LATER 3 /* nobody has time for it: it goes on where it is, a part at a time */

/* Of one that is not away, the next row: 1 and it is appended, 0 = none now, LIST_WENT, LIST_LATER, -1 = it failed: live_list_problem. */
int live_list_next(struct live_list *list, struct buf *out);

/* The body of the problem that it failed by. */
struct slice live_list_problem(const struct live_list *list);

#endif
