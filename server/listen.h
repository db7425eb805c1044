/* The doors: listening sockets (TCP and Unix), and one port for HTTP and WebSocket. An accept thread looks at the first bytes of a connection without
 * taking them (MSG_PEEK) until the header is whole, and hands the socket to http.c or ws.c. Traps: research notes in ARCHITECTURE.md. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "server/api.h"

struct http;
struct ws;
struct listener;

/* Parses config->listen and binds every door; refuses a door that is not loopback (or a Unix socket) when neither a token file nor --public is given (ERR_PERM
 * with a sentence). Nothing is accepted yet. */
int listen_open(struct server *server, struct listener **ret_listener);

/* The TCP port of the first TCP door (for port 0), 0 if there is none. */
int listen_port(const struct listener *listener);
/* "http://127.0.0.1:8990" of the first door, for people. Borrowed. */
const char *listen_url(const struct listener *listener);

int listen_start(struct listener *listener, struct http *http, struct ws *ws); /* starts the accept thread */
void listen_stop(struct listener *listener); /* no new connections; joins the thread; removes Unix sockets */
void listen_free(struct listener *listener); /* NULL is fine */

#endif
