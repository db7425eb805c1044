#include "server/refusal.h"

#include <sys/socket.h>

#include "server/api.h"

void refusal_send(int fd, const char *problem, const char *detail)
{
    struct api_reply reply;
    struct buf out;
    api_reply_init(&reply);
    buf_init(&out, 64 << 10);
    (void)api_problem(&reply, problem, NULL, "%s", detail);
    (void)buf_printf(&out,
                     "HTTP/1.1 %d Refused\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                     "Content-Security-Policy: " REFUSAL_POLICY "\r\nX-Content-Type-Options: nosniff\r\n"
                     "Cross-Origin-Resource-Policy: same-origin\r\nServer: Sluice\r\n%sConnection: close\r\n\r\n",
                     reply.status, reply.content_type, reply.body.len,
                     reply.status == 429 || reply.status == 503 ? "Retry-After: 5\r\n" : "");
    (void)buf_append(&out, reply.body.data, reply.body.len);
    if (out.err == OK) (void)!send(fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_free(&out);
    api_reply_free(&reply);
}
