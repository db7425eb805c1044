/* The head of a WebSocket handshake, read here and handed to libwebsockets in a plain form: an id as people paste it (with its own '%') is more than that
 * library's parser lets pass in a target, and none of the other header fields concern it. */
#ifndef SERVER_WS_HEAD_H
#define SERVER_WS_HEAD_H

#include "store/buf.h"

/* Takes the whole head, which was peeked before, from the socket. `ret_target` gets the request target, `ret_head` a head with the same handshake for /live.
 * Both are made by buf_init before and freed by the caller, after an error too. ERR_IO, ERR_FORMAT, ERR_LIMIT. */
int ws_head_take(int fd, struct buf *ret_target, struct buf *ret_head);

/* Writes an answer that refuses the handshake ("503 Service Unavailable") with a problem as its body, as far as the socket takes it at once. The caller closes. */
void ws_head_refuse(int fd, const char *problem, const char *detail);

#endif
