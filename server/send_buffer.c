#include "server/send_buffer.h"

#include <sys/socket.h>

#define SEND_BUFFER (256 << 10) /* the kernel doubles it */

void send_buffer_cap(int fd)
{
    const int bytes = SEND_BUFFER;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* Whoever sets a size has it for good, unless the lock is taken off: then the kernel finds the size itself. */
void send_buffer_free(int fd)
{
#ifdef SO_BUF_LOCK
    const int none = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &none, sizeof none);
#else
    (void)fd;
#endif
}
