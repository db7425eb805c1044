#include "server/ws_head.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/handshake.h"
#include "server/refusal.h"
#include "server/text.h"
#include "store/err.h"

#define WS_HEAD_MAX ((size_t)64 << 10)

/* Exactly: the names of subprotocols have a case, and the one chosen must be one offered. */
static bool protocol_offered(struct slice list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.data);
        if (text_is(text_trim((struct slice){ list.data, len }), "sluice")) return true;
        len += comma != NULL;
        list = (struct slice){ list.data + len, list.len - len };
    }
    return false;
}

/* The same handshake in its plainest form: what the client offers beyond it (compression, other subprotocols) is not taken up, and what
 * the library would trip over (lists, white space) is gone. A browser that offers subprotocols, as it must to send a token, wants one of
 * them chosen. */
static void head_rewrite(const struct handshake *handshake, struct buf *out)
{
    bool named = protocol_offered(handshake->socket_protocol);
    (void)buf_printf(out,
                     "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %.*s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                     (int)handshake->socket_key.len, handshake->socket_key.data,
                     named ? "Sec-WebSocket-Protocol: sluice\r\n" : "");
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
    /* A few hundred bytes into an empty socket buffer; if they do not fit, the client sees a closed connection. */
    refusal_send(fd, problem, detail);
}
