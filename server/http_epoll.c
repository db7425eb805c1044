/* Stands between libmicrohttpd and the system's epoll_wait, for the whole program. The library asks for 128 events; where it gets as many, it asks
 * again before it looks at any of them, and that call may sleep (MHD_epoll in 0.9.75): 128 requests that could be read at
 * once were answered when the next event came, up to an idle timeout later. Fewer than it asks for are never followed by a second call. */
#include <stddef.h>
#include <sys/epoll.h>

#define EVENTS_AT_ONCE 64

int epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms)
{
    return epoll_pwait(epoll_fd, events, max < EVENTS_AT_ONCE ? max : EVENTS_AT_ONCE, timeout_ms, NULL);
}
