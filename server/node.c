#include "server/node.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/muxrpc.h"
#include "store/err.h"
#include "views/flume.h"

#define LINKS_MAX 16
#define CALL_NUMBER 1
#define READ_BYTES ((size_t)16 << 10)
#define HEARD_MAX ((size_t)1 << 20) /* bytes that a node may say before it answers */
#define RETRY_MS 20                 /* a node whose queue of connections is full is tried again */

/* One call on its way. */
struct link {
    struct node_call *call; /* NULL = free */
    int fd;                 /* -1: not connected yet */
    struct buf out, in;
    size_t sent, heard;
};

struct node {
    struct sockaddr_un address;
    pthread_t thread;
    int bell; /* eventfd */
    pthread_mutex_t lock;
    struct node_call *queue, **queue_tail;
    size_t count; /* calls that wait or are under way */
    bool stopping, joined;
    struct link links[LINKS_MAX]; /* the thread's */
};

/* ---- ends of calls ---------------------------------------------------------------------------------------------- */

static void node_done(struct node *node, struct node_call *call)
{
    (void)pthread_mutex_lock(&node->lock);
    node->count--;
    (void)pthread_mutex_unlock(&node->lock);
    call->done(call);
}

static void link_close(struct node *node, struct link *link)
{
    struct node_call *call = link->call;
    if (link->fd >= 0) (void)close(link->fd);
    buf_free(&link->out);
    buf_free(&link->in);
    *link = (struct link){ .fd = -1 };
    node_done(node, call);
}

static void __attribute__((format(printf, 4, 5)))
link_end(struct node *node, struct link *link, enum node_outcome outcome, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(link->call->detail, sizeof link->call->detail, fmt, args);
    va_end(args);
    link->call->outcome = outcome;
    link_close(node, link);
}

#define PERHAPS "; whether it was published is not known: look at the feed before it is sent again"

/* ---- one call --------------------------------------------------------------------------------------------------- */

/* The socket is local: either somebody takes the connection at once, or nobody is there, or his queue is full. */
static void link_connect(struct node *node, struct link *link)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        link_end(node, link, NODE_ABSENT, "no socket to talk to the node with: %s", strerror(errno));
        return;
    }
    if (connect(fd, (const struct sockaddr *)&node->address, sizeof node->address) == 0) {
        link->fd = fd;
        return;
    }
    int cause = errno;
    (void)close(fd);
    if (cause != EAGAIN && cause != EINTR)
        link_end(node, link, NODE_ABSENT, "the node does not answer at %s (%s): is it running?", node->address.sun_path,
                 strerror(cause));
}

static void link_send(struct node *node, struct link *link)
{
    while (link->sent < link->out.len) {
        ssize_t n = send(link->fd, link->out.data + link->sent, link->out.len - link->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (n < 0) {
            link_end(node, link, NODE_LOST, "the node hung up (%s)" PERHAPS, strerror(errno));
            return;
        }
        link->sent += (size_t)n;
    }
}

static void link_goodbye(struct link *link)
{
    struct buf out;
    buf_init(&out, MUXRPC_HEAD);
    if (muxrpc_put_goodbye(&out) == OK) (void)send(link->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_free(&out);
}

static void link_answered(struct node *node, struct link *link, const struct muxrpc_frame *frame)
{
    int err = muxrpc_published(frame, &link->call->id);
    link_goodbye(link);
    if (err == OK)
        link_end(node, link, NODE_PUBLISHED, "%s", "");
    else if (err == ERR_INVALID)
        link_end(node, link, NODE_REFUSED, "the node refused it: %s", err_detail(err));
    else
        link_end(node, link, NODE_LOST, "the node answered something else than was asked: %s" PERHAPS, err_detail(err));
}

/* Frames that are not the answer are calls of the node's own: nothing here can be called. */
static void link_frames(struct node *node, struct link *link)
{
    size_t at = 0, used;
    struct muxrpc_frame frame;
    int got;
    while ((got = muxrpc_read((struct slice){ link->in.data + at, link->in.len - at }, &frame, &used)) == 1) {
        at += used;
        if (frame.goodbye) {
            link_end(node, link, NODE_LOST, "the node said goodbye before it answered" PERHAPS);
            return;
        }
        if (frame.number == -CALL_NUMBER) {
            link_answered(node, link, &frame);
            return;
        }
    }
    if (got < 0) {
        link_end(node, link, NODE_LOST, "the node talks no muxrpc: %s" PERHAPS, err_detail(got));
        return;
    }
    memmove(link->in.data, link->in.data + at, link->in.len - at);
    link->in.len -= at;
}

static void link_hear(struct node *node, struct link *link)
{
    if (buf_reserve(&link->in, READ_BYTES) != OK || link->heard > HEARD_MAX) {
        link_end(node, link, NODE_LOST, "the node says much and answers nothing" PERHAPS);
        return;
    }
    ssize_t n = recv(link->fd, link->in.data + link->in.len, READ_BYTES, 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n <= 0) {
        link_end(node, link, NODE_LOST, "the node hung up before it answered" PERHAPS);
        return;
    }
    link->in.len += (size_t)n;
    link->heard += (size_t)n;
    link_frames(node, link);
}

static void link_step(struct node *node, struct link *link, short events)
{
    if (link->fd < 0) link_connect(node, link);
    if (link->call != NULL && link->fd >= 0) link_send(node, link);
    if (link->call != NULL && link->fd >= 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) link_hear(node, link);
    if (link->call == NULL || flume_now_ms() < link->call->deadline_ms) return;
    if (link->fd < 0)
        link_end(node, link, NODE_ABSENT, "the node takes no connection at %s", node->address.sun_path);
    else
        link_end(node, link, NODE_LATE, "the node did not answer in time" PERHAPS);
}

static void link_open(struct node *node, struct link *link)
{
    buf_init(&link->out, MUXRPC_HEAD + MUXRPC_BODY_MAX);
    buf_init(&link->in, MUXRPC_HEAD + MUXRPC_BODY_MAX + READ_BYTES);
    if (muxrpc_put_publish(CALL_NUMBER, link->call->content, &link->out) != OK)
        link_end(node, link, NODE_REFUSED, "no room to hand it to the node");
    else
        link_step(node, link, 0);
}

/* ---- the thread ------------------------------------------------------------------------------------------------- */

static bool node_stopping(struct node *node)
{
    (void)pthread_mutex_lock(&node->lock);
    bool stopping = node->stopping;
    (void)pthread_mutex_unlock(&node->lock);
    return stopping;
}

static struct node_call *queue_take(struct node *node)
{
    (void)pthread_mutex_lock(&node->lock);
    struct node_call *call = node->queue;
    if (call != NULL) node->queue = call->next;
    if (node->queue == NULL) node->queue_tail = &node->queue;
    (void)pthread_mutex_unlock(&node->lock);
    return call;
}

static struct link *link_free(struct node *node)
{
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (node->links[i].call == NULL) return &node->links[i];
    return NULL;
}

/* false = the node stops, and nothing is under way any more. */
static bool node_take(struct node *node)
{
    bool stopping = node_stopping(node);
    struct link *link;
    struct node_call *call;
    for (size_t i = 0; stopping && i < LINKS_MAX; i++)
        if (node->links[i].call != NULL) link_end(node, &node->links[i], NODE_CLOSING, "the server is closing" PERHAPS);
    while ((link = link_free(node)) != NULL && (call = queue_take(node)) != NULL) {
        *link = (struct link){ .call = call, .fd = -1 };
        if (stopping)
            link_end(node, link, NODE_CLOSING, "the server is closing; nothing was published");
        else if (call->deadline_ms <= flume_now_ms())
            link_end(node, link, NODE_ABSENT, "the node is busy with other messages; this one was not handed to it");
        else
            link_open(node, link);
    }
    return !stopping;
}

static int until_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - flume_now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void node_poll(struct node *node)
{
    struct pollfd fds[1 + LINKS_MAX] = { { .fd = node->bell, .events = POLLIN } };
    int wait = -1;
    for (size_t i = 0; i < LINKS_MAX; i++) {
        const struct link *link = &node->links[i];
        fds[1 + i] = (struct pollfd){ .fd = -1 };
        if (link->call == NULL) continue;
        int left = until_ms(link->call->deadline_ms);
        if (link->fd < 0 && left > RETRY_MS) left = RETRY_MS;
        if (wait < 0 || left < wait) wait = left;
        fds[1 + i] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
        if (link->sent < link->out.len) fds[1 + i].events = POLLIN | POLLOUT;
    }
    if (poll(fds, 1 + LINKS_MAX, wait) < 0) return;
    uint64_t rung;
    if (fds[0].revents != 0) (void)!read(node->bell, &rung, sizeof rung);
    for (size_t i = 0; i < LINKS_MAX; i++)
        if (node->links[i].call != NULL) link_step(node, &node->links[i], fds[1 + i].revents);
}

static void *node_run(void *ctx)
{
    struct node *node = ctx;
    while (node_take(node))
        node_poll(node);
    return NULL;
}

/* ---- from outside ----------------------------------------------------------------------------------------------- */

static void node_ring(struct node *node)
{
    uint64_t one = 1;
    (void)!write(node->bell, &one, sizeof one);
}

int node_start(const char *socket_path, struct node **ret_node)
{
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL) return err_set(ERR_NOMEM, "out of memory");
    node->address.sun_family = AF_UNIX;
    node->queue_tail = &node->queue;
    for (size_t i = 0; i < LINKS_MAX; i++)
        node->links[i].fd = -1;
    size_t len = strlen(socket_path);
    if (len == 0 || len >= sizeof node->address.sun_path) {
        free(node);
        return err_set(ERR_ARG, "%s: the path of a socket has 1 to %zu bytes", socket_path,
                       sizeof node->address.sun_path - 1);
    }
    memcpy(node->address.sun_path, socket_path, len);
    node->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&node->lock, NULL);
    if (node->bell < 0 || pthread_create(&node->thread, NULL, node_run, node) != 0) {
        if (node->bell >= 0) (void)close(node->bell);
        free(node);
        return err_set(ERR_NOMEM, "no thread to talk to the node with");
    }
    *ret_node = node;
    return OK;
}

int node_publish(struct node *node, struct node_call *call)
{
    int err = OK;
    (void)pthread_mutex_lock(&node->lock);
    if (node->stopping)
        err = err_set(ERR_CLOSED, "the server is closing");
    else if (node->count >= NODE_CALLS_MAX)
        err = err_set(ERR_QUEUE, "%d messages wait for the node; try again later", NODE_CALLS_MAX);
    if (err == OK) {
        call->next = NULL;
        *node->queue_tail = call;
        node->queue_tail = &call->next;
        node->count++;
    }
    (void)pthread_mutex_unlock(&node->lock);
    if (err == OK) node_ring(node);
    return err;
}

void node_stop(struct node *node)
{
    if (node == NULL || node->joined) return;
    (void)pthread_mutex_lock(&node->lock);
    node->stopping = true;
    (void)pthread_mutex_unlock(&node->lock);
    node_ring(node);
    (void)pthread_join(node->thread, NULL);
    node->joined = true;
}

void node_free(struct node *node)
{
    if (node == NULL) return;
    node_stop(node);
    (void)close(node->bell);
    (void)pthread_mutex_destroy(&node->lock);
    free(node);
}

char *node_socket_of(const char *log_path)
{
    static const char tail[] = "/flume/log.offset", name[] = "/socket";
    size_t len = strlen(log_path), tail_len = sizeof tail - 1;
    if (len <= tail_len || strcmp(log_path + len - tail_len, tail) != 0) return NULL;
    char *path = malloc(len - tail_len + sizeof name);
    if (path == NULL) return NULL;
    memcpy(path, log_path, len - tail_len);
    memcpy(path + len - tail_len, name, sizeof name);
    return path;
}
