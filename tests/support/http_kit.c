#include "tests/support/http_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

void http_kit_config(struct http_kit *kit)
{
    static char door[] = "127.0.0.1:0";
    *kit = (struct http_kit){ .stop_ms = HTTP_KIT_MS };
    kit->config = (struct config){
        .listen = { door },
        .listen_count = 1,
        .body_max = 64 << 10,
        .buffered_max = 256 << 20,
        .target_max = 8 << 10,
        .connections_max = 200,
        .connections_per_address = 100,
        .idle_timeout = 10,
        .header_timeout = 10,
        .wait_timeout = 10,
        .query_timeout = 10,
        .queries_max = 64,
        .queries_per_address = 64,
        .stall_timeout = 30,
        .limit_max = 1000,
        .heartbeat = 1,
        .streams_max = 8,
        .http_threads = 2,
    };
}

void http_kit_start(struct http_kit *kit, const struct api_route *routes)
{
    kit->server.config = &kit->config;
    kit->server.routes = routes;
    MUST(access_open(&kit->config, &kit->access) == OK);
    kit->server.access = kit->access;
    MUST(listen_open(&kit->server, &kit->listener) == OK);
    MUST(http_start(&kit->server, &kit->http) == OK);
    MUST(listen_start(kit->listener, kit->http, NULL) == OK);
    kit->port = listen_port(kit->listener);
}

void http_kit_stop(struct http_kit *kit)
{
    listen_stop(kit->listener);
    (void)http_stop(kit->http, kit->stop_ms);
    listen_free(kit->listener);
    access_free(kit->access);
}

int http_kit_connect(const struct http_kit *kit)
{
    return http_kit_connect_from(kit, 1);
}

int http_kit_connect_from(const struct http_kit *kit, unsigned host)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)kit->port) };
    struct sockaddr_in from = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0);
    from.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~UINT32_C(0xff)) | host);
    if (host != 1) MUST(bind(fd, (const struct sockaddr *)&from, sizeof from) == 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    (void)close(fd);
    return -1;
}

void http_kit_send(int fd, const char *text)
{
    size_t len = strlen(text);
    while (fd >= 0 && len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) return; /* a server that has had enough: the answer tells */
        text += sent;
        len -= (size_t)sent;
    }
}

char *http_kit_read(int fd, const char *until, int ms)
{
    size_t len = 0, cap = 4096;
    char *text = malloc(cap + 1);
    MUST(text != NULL);
    text[0] = '\0';
    int64_t deadline = flume_now_ms() + ms;
    while (fd >= 0) {
        if (until != NULL && memmem(text, len, until, strlen(until)) != NULL) break;
        int64_t left = deadline - flume_now_ms();
        struct pollfd poller = { .fd = fd, .events = POLLIN };
        if (left <= 0 || poll(&poller, 1, (int)left) <= 0) break;
        if (len == cap) MUST((text = realloc(text, (cap *= 2) + 1)) != NULL);
        ssize_t got = recv(fd, text + len, cap - len, 0);
        if (got <= 0) break;
        len += (size_t)got;
        text[len] = '\0';
    }
    return text;
}

char *http_kit_ask(const struct http_kit *kit, const char *text)
{
    int fd = http_kit_connect(kit);
    http_kit_send(fd, text);
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    (void)close(fd);
    return answer;
}

int http_kit_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.", 7) == 0 && strlen(answer) > 12 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

const char *http_kit_body(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end == NULL ? "" : end + 4;
}
