#include "server/ws_head.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/api.h"
#include "server/handshake.h"

#define WS_HEAD_MAX ((size_t)64 << 10)

/* The same handshake in its plainest form: what the client offers beyond it (compression, subprotocols) is not taken up, and what
 * the library would trip over (lists, white space) is gone. */
static void head_rewrite(const struct handshake *handshake, struct buf *out)
{
    (void)buf_printf(out,
                     "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %.*s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     (int)handshake->socket_key.len, handshake->socket_key.data);
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
    if (err == OK &&
        (!handshake_parse(data, len, &handshake) || !handshake.upgrade || handshake.socket_key.data == NULL))
        err = err_set(ERR_FORMAT, "not a WebSocket handshake");
    if (err == OK) {
        head_rewrite(&handshake, ret_head);
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
