/* A server with routes of its own, which the tests of HTTP ask: what is echoed, waited for, streamed. */
#ifndef TESTS_UNIT_SERVER_SITE_H
#define TESTS_UNIT_SERVER_SITE_H

#include <stdatomic.h>

#include "tests/support/http_kit.h"

#define HEAD(method, target) method " " target " HTTP/1.1\r\nHost: localhost\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define NDJSON "Accept: application/x-ndjson\r\n"
#define SSE "Accept: text/event-stream\r\n"

/* GET /hello and /open (which needs no scope), POST /echo, GET /names/{id}, /fields/{id}, /grant, /wait/before and /wait/after, and
 * /rows?live=&pad=&more=&fail=: rows 0 … site_tide - 1, live ones go on when it rises. */
extern const struct api_route site_routes[];
extern struct http_kit site;
extern _Atomic int64_t site_tide;
extern atomic_uint site_waiters; /* handlers that have begun to wait */

/* .init and .fini of a suite. */
void site_start(void);
void site_stop(void);

/* For kit_until. */
bool site_nobody_is_connected(void *ctx);

/* One request on a connection of its own. */
void site_expect_status(const char *request, int status);
void site_expect_part(const char *request, const char *part);

#endif
