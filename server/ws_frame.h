/* WebSocket text frames as they stand on the wire, made one after another in a buffer, so that many go out in one write:
 * libwebsockets' own way, one write for each, takes five times as long. No masks (a server sends none), no fragments. */
#ifndef SERVER_WS_FRAME_H
#define SERVER_WS_FRAME_H

#include "store/buf.h"

/* Makes room for the head. The payload is appended next; *ret_mark is for the other two. OK or ERR_LIMIT, ERR_NOMEM. */
int ws_frame_begin(struct buf *out, size_t *ret_mark);

/* Writes the head: the frame is whole. */
int ws_frame_end(struct buf *out, size_t mark);

/* As if ws_frame_begin had not been called. */
void ws_frame_drop(struct buf *out, size_t mark);

#endif
