/* Heads of HTTP requests, byte by byte and at once: what is refused in part is refused as a whole, what is taken has one reading, and only our
 * own host names and origins are let in. A WebSocket handshake is handed on in its plainest form. The first byte is the size of the pieces.
 * Run with tests/fuzz/corpus/head. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/access.h"
#include "server/handshake.h"
#include "server/ws_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool right, const char *what, struct slice text)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_head: %s: %.*s\n", what, (int)text.len, text.data);
    abort();
}

/* ---- the head ---- */

/* As bytes arrive: is it refused before all of it is there? */
static bool glance_refuses(const char *data, size_t len, size_t piece)
{
    for (size_t seen = 0; seen < len;) {
        size_t now = len - seen < piece ? len : seen + piece;
        if (handshake_glance(data, now, seen) != NULL) return true;
        seen = now;
    }
    return false;
}

static void check_inside(struct slice part, struct slice head)
{
    if (part.data == NULL) return;
    must(part.data >= head.data && part.data + part.len <= head.data + head.len, "a field outside the head", head);
    must(handshake_value(part), "a control character in a field", head);
}

static void check_fields(const struct handshake *handshake, struct slice head)
{
    const struct slice fields[] = { handshake->method,         handshake->target,
                                    handshake->host,           handshake->origin,
                                    handshake->authorization,  handshake->content_type,
                                    handshake->content_length, handshake->transfer_encoding,
                                    handshake->socket_key,     handshake->socket_version };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        check_inside(fields[i], head);
    must(handshake->method.len > 0 && handshake->target.len > 0, "a request line without all of its parts", head);
    must(memchr(handshake->target.data, ' ', handshake->target.len) == NULL, "a space in a target", head);
    must(handshake->content_length.data == NULL || handshake->transfer_encoding.data == NULL, "two lengths", head);
    must(handshake->minor == 0 || handshake->host.data != NULL, "no host", head);
    must(!handshake_live(handshake) || handshake->upgrade, "a socket that did not ask to be one", head);
}

/* ---- who is let in ---- */

static struct access *access_made(void)
{
    static char door[] = "127.0.0.1:8990", name[] = "node.example", origin[] = "https://app.example";
    static struct config config = { .listen = { door },
                                    .listen_count = 1,
                                    .allow_host = { name },
                                    .allow_host_count = 1,
                                    .allow_origin = { origin },
                                    .allow_origin_count = 1 };
    static struct access *access_now;
    if (access_now == NULL && access_open(&config, &access_now) != OK) abort();
    return access_now;
}

/* The rule in other words: a name or an address of this machine, then perhaps a port. */
static bool host_is_ours(struct slice host)
{
    char text[300], *colon;
    struct in_addr v4;
    struct in6_addr v6;
    if (host.len >= sizeof text) return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    colon = strrchr(text, ':');
    if (colon != NULL && strchr(colon, ']') == NULL) *colon = '\0';
    size_t len = strlen(text);
    if (text[0] == '[' && len > 2 && text[len - 1] == ']') {
        text[len - 1] = '\0';
        return inet_pton(AF_INET6, text + 1, &v6) == 1 ? IN6_IS_ADDR_LOOPBACK(&v6)
                                                       : host_is_ours((struct slice){ text + 1, len - 2 });
    }
    if (len > 1 && text[len - 1] == '.') text[len - 1] = '\0';
    if (strcasecmp(text, "localhost") == 0 || strcasecmp(text, "node.example") == 0) return true;
    return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* "https://app.example" and the request's own host, without its last dot or with a standard port more or less. */
static bool origin_is_ours(struct slice origin, struct slice host)
{
    if (origin.len == 19 && strncasecmp(origin.data, "https://app.example", 19) == 0) return true;
    size_t scheme = origin.len > 8 && strncasecmp(origin.data, "https://", 8) == 0 ? 8 : 7;
    if (origin.len <= scheme || (scheme == 7 && strncasecmp(origin.data, "http://", 7) != 0)) return false;
    return host.data != NULL && host_is_ours((struct slice){ origin.data + scheme, origin.len - scheme });
}

static void check_access(const struct handshake *handshake, struct slice head)
{
    struct access_request request = { .host = handshake->host, .origin = handshake->origin, .loopback = true };
    struct access_grant grant;
    access_check(access_made(), &request, &grant);
    if (grant.problem != NULL) {
        must(!grant.may_append && !grant.may_private && !grant.may_publish && grant.public_only, "refused, but granted",
             head);
        return;
    }
    must(request.host.data == NULL || host_is_ours(request.host), "a foreign host was let in", head);
    must(request.origin.data == NULL || origin_is_ours(request.origin, request.host), "a foreign origin was let in",
         head);
}

/* ---- a WebSocket's ---- */

static void check_socket(const struct handshake *handshake, struct slice head)
{
    int ends[2];
    struct buf target, plain;
    buf_init(&target, 65536);
    buf_init(&plain, 65536);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
    if (send(ends[0], head.data, head.len, MSG_DONTWAIT) == (ssize_t)head.len) {
        int err = ws_head_take(ends[1], &target, &plain);
        must(err == OK, "a good handshake is not taken", head);
        must(target.len == handshake->target.len && memcmp(target.data, handshake->target.data, target.len) == 0,
             "another target", head);
        const char *end = memmem(plain.data, plain.len, "\r\n\r\n", 4);
        must(end == plain.data + plain.len - 4, "a plain head with two ends", head);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    buf_free(&target);
    buf_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    char *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data + 1, size - 1);
    size_t start = handshake_start(copy, size - 1), len = handshake_end(copy + start, size - 1 - start);
    struct slice head = { copy + start, len };
    struct handshake handshake, again;
    bool refused = glance_refuses(copy + start, len > 0 ? len : size - 1 - start, 1 + data[0]);
    if (len == 0) goto out;
    const struct handshake_fault *fault = handshake_judge(head.data, head.len, &handshake);
    must(!refused || fault != NULL, "refused in part, taken as a whole", head);
    must(handshake_parse(head.data, head.len, &again) == (fault == NULL && handshake.minor > 0), "parsed otherwise",
         head);
    if (fault != NULL) goto out;
    check_fields(&handshake, head);
    check_access(&handshake, head);
    if (handshake_live(&handshake) && handshake_live_judge(&handshake) == NULL) check_socket(&handshake, head);
out:
    free(copy);
    return 0;
}
