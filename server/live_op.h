/* What a message from a WebSocket client looks like before a tree is made of it. */
#ifndef SERVER_LIVE_OP_H
#define SERVER_LIVE_OP_H

#include "store/buf.h"

/* A short operation may look as it likes: its tree costs little. */
#define LIVE_OP_SHORT ((size_t)1 << 10)

/* ERR_JSON, ERR_ARG for a long text that cannot be an operation: one is an object of few members, and none of them holds others. A tree of it takes
 * ten times as long as this look, and longer than others can wait for it. OK is no promise: what is no JSON at all may be OK. */
int live_op_look(struct slice text);

int live_op_not_object(void); /* ERR_JSON */

#endif
