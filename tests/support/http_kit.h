/* A server of doors and HTTP in the test's own process, on a port of its own, with routes of the test's; and a client
 * that sends raw bytes. */
#ifndef TESTS_HTTP_KIT_H
#define TESTS_HTTP_KIT_H

#include "server/access.h"
#include "server/api.h"
#include "server/http.h"
#include "server/listen.h"

struct http_kit {
    struct config config; /* filled by http_kit_config; a test may change it before http_kit_start */
    struct server server;
    struct access *access;
    struct listener *listener;
    struct http *http;
    int port;
    int64_t stop_ms; /* what http_kit_stop gives those who are under way */
};

void http_kit_config(struct http_kit *kit);
void http_kit_start(struct http_kit *kit, const struct api_route *routes);
void http_kit_stop(struct http_kit *kit);

#define HTTP_KIT_MS 30000 /* for what comes for certain: far longer than it takes */

/* -1 if nobody listens any more; sending to it and reading from it does nothing. */
int http_kit_connect(const struct http_kit *kit);
int http_kit_connect_from(const struct http_kit *kit, unsigned host); /* from 127.0.0.`host` */
void http_kit_send(int fd, const char *text);

/* Reads until `until` was seen, the connection ends, or `ms` have passed. Terminated; the caller frees. */
char *http_kit_read(int fd, const char *until, int ms);

/* One request on a connection of its own, the answer up to its end. `text` has to ask for Connection: close. The
 * caller frees. */
char *http_kit_ask(const struct http_kit *kit, const char *text);

/* The status of an answer, 0 if it is none. */
int http_kit_status(const char *answer);

/* What stands after the head. */
const char *http_kit_body(const char *answer);

#endif
