/* The WebSocket adapter over libwebsockets: one service thread; frames in and out of live.h's clients. */
#ifndef SERVER_WS_H
#define SERVER_WS_H

#include "server/access.h"

struct ws;
int ws_start(struct server *server, struct ws **ret_ws);

/* Takes over an accepted socket whose peeked request is a WebSocket handshake that passed access.h. Any thread. */
int ws_adopt(struct ws *ws, int fd, const struct access_grant *grant);

/* The head or a view moved. Any thread. */
void ws_wake(struct ws *ws);

/* Closes every socket with 1001, stops the thread within about timeout_ms, frees. NULL is fine. */
void ws_stop(struct ws *ws, int64_t timeout_ms);

#endif
