#include "server/ws_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/api.h"
#include "server/handshake.h"

#define WS_HEAD_MAX ((size_t)64 << 10)

static bool head_wanted(const char *line, size_t len)
{
    static const char *const names[] = { "Host", "Upgrade", "Connection", "Sec-WebSocket-Key",
                                         "Sec-WebSocket-Version" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t name = strlen(names[i]);
        if (len > name && line[name] == ':' && strncasecmp(line, names[i], name) == 0) return true;
    }
    return false;
}

/* The lines after the first that libwebsockets needs; what the client offers beyond them (compression, subprotocols) is not taken up. */
static void head_rewrite(const char *head, size_t len, struct buf *out)
{
    (void)buf_puts(out, "GET /live HTTP/1.1\r\n");
    const char *end = head + len;
    for (const char *line = memchr(head, '\n', len); line != NULL && ++line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t size = next == NULL ? (size_t)(end - line) : (size_t)(next - line);
        if (size > 0 && line[size - 1] == '\r') size--;
        if (head_wanted(line, size)) {
            (void)buf_append(out, line, size);
            (void)buf_puts(out, "\r\n");
        }
        line = next;
    }
    (void)buf_puts(out, "\r\n");
}

static int head_read(int fd, char *data, size_t *ret_len)
{
    ssize_t got = recv(fd, data, WS_HEAD_MAX, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0) return err_set(ERR_IO, "the handshake could not be read: %s", strerror(errno));
    size_t len = handshake_end(data, (size_t)got);
    if (len == 0) return err_set(ERR_FORMAT, "the handshake is not whole");
    if (recv(fd, data, len, MSG_DONTWAIT) != (ssize_t)len)
        return err_set(ERR_IO, "the handshake could not be read: %s", strerror(errno));
    *ret_len = len;
    return OK;
}

int ws_head_take(int fd, struct buf *ret_target, struct buf *ret_head)
{
    struct handshake handshake;
    size_t len = 0;
    char *data = malloc(WS_HEAD_MAX);
    if (data == NULL) return err_set(ERR_NOMEM, "no memory for a handshake");
    int err = head_read(fd, data, &len);
    if (err == OK && (!handshake_parse(data, len, &handshake) || !handshake.upgrade))
        err = err_set(ERR_FORMAT, "not a WebSocket handshake");
    if (err == OK) {
        head_rewrite(data, len, ret_head);
        (void)buf_append(ret_target, handshake.target.data, handshake.target.len);
        err = ret_head->err != OK ? ret_head->err : ret_target->err;
    }
    free(data);
    return err;
}

void ws_head_refuse(int fd, const char *problem, const char *detail)
{
    struct api_reply reply;
    struct buf answer;
    api_reply_init(&reply);
    buf_init(&answer, 64 << 10);
    (void)api_problem(&reply, problem, NULL, "%s", detail);
    (void)buf_printf(&answer,
                     "HTTP/1.1 %d Refused\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
                     "Retry-After: 5\r\nConnection: close\r\n\r\n",
                     reply.status, reply.body.len);
    (void)buf_append(&answer, reply.body.data, reply.body.len);
    /* A few hundred bytes into an empty socket buffer; if they do not fit, the client sees a closed connection. */
    if (answer.err == OK) (void)!send(fd, answer.data, answer.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_free(&answer);
    api_reply_free(&reply);
}
