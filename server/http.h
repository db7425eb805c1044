/* The HTTP adapter over libmicrohttpd: turns connections into api_requests and api_replies into answers. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <sys/socket.h>

#include "server/api.h"

struct http;
int http_start(struct server *server, struct http **ret_http);

/* Takes over an accepted socket. Any thread. The descriptor is closed on failure. `bulk`: its first request has a large body, and it is read by threads of its
 * own. */
int http_adopt(struct http *http, int fd, const struct sockaddr *address, socklen_t address_len, bool bulk);

/* The head or a view moved: suspended live streams look again. Any thread. */
void http_wake(struct http *http);

/* Ends live streams after what they have, answers the requests under way, stops within about timeout_ms, frees. NULL is fine. false = something is
 * still at work, with all that a handler may use: nothing of that is freed, and the process has to end. */
bool http_stop(struct http *http, int64_t timeout_ms);

#endif
