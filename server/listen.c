#include "server/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/access.h"
#include "server/body_rooms.h"
#include "server/diag.h"
#include "server/doors.h"
#include "server/gate.h"
#include "server/handshake.h"
#include "server/http.h"
#include "server/limits.h"
#include "server/refusal.h"
#include "server/step_back.h"
#include "server/text.h"
#include "server/ws.h"

#define DRAIN_MAX ((size_t)1 << 20) /* of what a client still sends after he was refused */
#define ACCEPTS_AT_ONCE 64
#define EVENTS_AT_ONCE 64
#define PAUSE_MS 100 /* without accepting, when descriptors or memory have run out */

/* What an epoll event is about. */
enum source { SOURCE_DOOR, SOURCE_PEEK, SOURCE_STOP };

struct entrance {
    enum source source;
    const struct door *door;
};

/* A connection whose head is not whole yet, or that was refused and is waited for to end. */
struct peek {
    enum source source;
    int fd;
    bool loopback;
    struct sockaddr_storage address;
    socklen_t address_len;
    int64_t deadline_ms;
    size_t seen; /* bytes of the head that were found good */
    bool bulk;   /* a large body follows the head */
    bool refused;
    size_t drained;
    struct peek *prev, *next; /* oldest first: all have the same time, so the first is due first */
};

struct listener {
    struct server *server;
    struct doors doors;
    struct entrance entrances[DOORS_MAX];
    struct entrance stop;
    struct http *http;
    struct ws *ws;
    pthread_t thread;
    bool started;
    int epoll_fd;
    int stop_fd;
    int64_t paused_until_ms; /* 0 = accepting */
    struct peek *first, *last;
    size_t head_max;
    char *head; /* head_max bytes: the one looked at */
};

/* ---- opening ---- */

/* Before anything listens on it for a moment: `spec` is bound, but not accepted from. */
static int door_guarded(const struct config *config, const struct doors *doors, size_t from, const char *spec)
{
    for (size_t i = from; i < doors->count; i++)
        if (!doors->list[i].loopback && config->token_file == NULL && !config->public_read)
            return err_set(
                ERR_PERM,
                "--listen %s: other machines could read everything: give --token-file FILE (a token is then needed "
                "for every request) or --public (anybody may read public messages, and nothing else)",
                spec);
    return OK;
}

static int doors_open(struct listener *listener, const struct config *config)
{
    if (config->listen_count == 0) return err_set(ERR_ARG, "--listen: an address to listen at is wanted");
    for (size_t i = 0; i < config->listen_count; i++) {
        size_t from = listener->doors.count;
        int err = doors_add(&listener->doors, config->listen[i]);
        if (err == OK) err = door_guarded(config, &listener->doors, from, config->listen[i]);
        if (err != OK) return err;
    }
    return OK;
}

static int watch(const struct listener *listener, int fd, uint32_t events, void *source)
{
    struct epoll_event event = { .events = events, .data.ptr = source };
    return epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int doors_watch(struct listener *listener)
{
    for (size_t i = 0; i < listener->doors.count; i++) {
        listener->entrances[i] = (struct entrance){ SOURCE_DOOR, &listener->doors.list[i] };
        if (watch(listener, listener->doors.list[i].fd, EPOLLIN, &listener->entrances[i]) != 0)
            return err_errno("epoll", "listening");
    }
    return OK;
}

int listen_open(struct server *server, struct listener **ret_listener)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) return err_set(ERR_NOMEM, "out of memory");
    listener->server = server;
    listener->stop.source = SOURCE_STOP;
    listener->head_max = LIMIT_HEAD_BYTES + (size_t)server->config->target_max;
    listener->head = malloc(listener->head_max);
    int err = listener->head == NULL ? err_set(ERR_NOMEM, "out of memory") : OK;
    listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->epoll_fd < 0 || listener->stop_fd < 0 ||
        watch(listener, listener->stop_fd, EPOLLIN, &listener->stop) != 0)
        err = err_errno("epoll", "listening");
    if (err == OK) err = doors_open(listener, server->config);
    if (err == OK) err = doors_watch(listener);
    if (err == OK) err = gate_open(server->config, &server->metrics, &server->gate);
    if (err != OK) {
        listen_free(listener);
        return err;
    }
    *ret_listener = listener;
    return OK;
}

int listen_port(const struct listener *listener)
{
    for (size_t i = 0; i < listener->doors.count; i++)
        if (listener->doors.list[i].port != 0) return listener->doors.list[i].port;
    return 0;
}

const char *listen_url(const struct listener *listener)
{
    return listener->doors.count > 0 ? listener->doors.list[0].url : "";
}

/* ---- one connection ---- */

/* Whoever is turned away here is told why, if his socket takes it at once. */
static void connection_refuse(int fd, const char *problem, const char *detail)
{
    refusal_send(fd, problem, detail);
    (void)shutdown(fd, SHUT_WR);
}

static void peek_unlink(struct listener *listener, struct peek *peek)
{
    (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, peek->fd, NULL);
    if (peek->prev != NULL)
        peek->prev->next = peek->next;
    else
        listener->first = peek->next;
    if (peek->next != NULL)
        peek->next->prev = peek->prev;
    else
        listener->last = peek->prev;
}

static void peek_close(struct listener *listener, struct peek *peek)
{
    peek_unlink(listener, peek);
    gate_leave(listener->server->gate, peek->fd);
    (void)close(peek->fd);
    free(peek);
}

/* A WebSocket that may not come in is handed to HTTP as well, which judges it by the same rule and has the words to
 * say so. */
static bool wants_socket(const struct listener *listener, const struct peek *peek, const struct handshake *handshake,
                         struct access_grant *ret_grant)
{
    if (listener->ws == NULL || !handshake_live(handshake)) return false;
    const struct access_request request = {
        .host = handshake->host,
        .origin = handshake->origin,
        .authorization = handshake->authorization,
        .protocols = handshake->socket_protocol,
        .target = handshake->target,
        .needs = API_SCOPE_READ,
        .loopback = peek->loopback,
    };
    access_check(listener->server->access, &request, ret_grant);
    return ret_grant->problem == NULL;
}

static void peek_hand_over(struct listener *listener, struct peek *peek, bool socket, const struct access_grant *grant)
{
    peek_unlink(listener, peek);
    const struct sockaddr *address = (const struct sockaddr *)&peek->address;
    int err = socket ? ws_adopt(listener->ws, peek->fd, grant)
                     : http_adopt(listener->http, peek->fd, address, peek->address_len, peek->bulk);
    /* closed by now; only this thread gives the number again */
    if (err != OK) gate_leave(listener->server->gate, peek->fd);
    free(peek);
}

/* Closing while bytes are unread would tear the answer away from the client: they are thrown away until he ends. */
static void peek_drain(struct listener *listener, struct peek *peek)
{
    ssize_t got;
    while ((got = recv(peek->fd, listener->head, listener->head_max, MSG_DONTWAIT)) > 0 && peek->drained < DRAIN_MAX)
        peek->drained += (size_t)got;
    if (got >= 0 || (errno != EAGAIN && errno != EINTR)) peek_close(listener, peek);
}

static void peek_refuse(struct listener *listener, struct peek *peek, const char *problem, const char *detail)
{
    listener->server->metrics.http_requests++;
    listener->server->metrics.http_errors++;
    connection_refuse(peek->fd, problem, detail);
    peek->refused = true;
    peek_drain(listener, peek);
}

/* Who knows the length of his body beforehand says so; a body in chunks may have any. */
static bool body_is_large(const struct handshake *handshake)
{
    int64_t length = 0;
    if (handshake->transfer_encoding.data != NULL) return true;
    return handshake->content_length.data != NULL && text_int(handshake->content_length, 0, INT64_MAX, &length) &&
           length > (int64_t)BODY_ROOM_FROM;
}

/* The head is whole: it is refused here, or its connection goes where it belongs. */
static void peek_judge(struct listener *listener, struct peek *peek, const char *head, size_t len)
{
    struct handshake handshake;
    struct access_grant grant = { .public_only = true };
    const struct handshake_fault *fault = handshake_judge(head, len, &handshake);
    if (fault != NULL) {
        peek_refuse(listener, peek, fault->problem, fault->detail);
    } else if (handshake.target.len > (size_t)listener->server->config->target_max) {
        peek_refuse(listener, peek, "target-too-long", "the request target has more bytes than --target-max allows");
    } else if (len + handshake.cookies > listener->head_max) {
        peek_refuse(listener, peek, "headers-too-large", HEAD_TOO_LARGE);
    } else {
        peek->bulk = body_is_large(&handshake);
        bool socket = head == listener->head && wants_socket(listener, peek, &handshake, &grant);
        if (socket) fault = handshake_live_judge(&handshake);
        if (fault != NULL)
            peek_refuse(listener, peek, fault->problem, fault->detail);
        else
            peek_hand_over(listener, peek, socket, &grant);
    }
}

/* The head is not whole yet. false = no more is wanted of it. */
static bool peek_glance(struct listener *listener, struct peek *peek, const char *head, size_t len, bool full)
{
    const struct handshake_fault *fault = handshake_glance(head, len, peek->seen);
    peek->seen = len;
    if (fault != NULL)
        peek_refuse(listener, peek, fault->problem, fault->detail);
    else if (full && memchr(head, '\n', len) == NULL)
        peek_refuse(listener, peek, "target-too-long", "the request line does not end");
    else if (full)
        peek_refuse(listener, peek, "headers-too-large", HEAD_TOO_LARGE);
    return fault == NULL && !full;
}

static void peek_look(struct listener *listener, struct peek *peek, uint32_t events)
{
    const char tls_handshake = 0x16;
    if (peek->refused) {
        peek_drain(listener, peek);
        return;
    }
    ssize_t got = recv(peek->fd, listener->head, listener->head_max, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    size_t len = got > 0 ? (size_t)got : 0, start = handshake_start(listener->head, len);
    const char *head = listener->head + start;
    size_t end = handshake_end(head, len - start);
    if (len > 0 && listener->head[0] == tls_handshake) {
        listener->server->metrics.connections_refused++;
        peek_close(listener, peek);
    } else if (end > 0) {
        peek_judge(listener, peek, head, end);
    } else if (len == 0 || (peek_glance(listener, peek, head, len - start, len == listener->head_max) &&
                            (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)) {
        peek_close(listener, peek);
    }
}

static void peek_late(struct listener *listener, struct peek *peek)
{
    /* what was sent is taken first: closing with unread bytes would tear the answer away from the client */
    if (!peek->refused && recv(peek->fd, listener->head, listener->head_max, MSG_DONTWAIT) > 0)
        connection_refuse(peek->fd, "timeout", "the request line and header fields have not arrived in time");
    peek_close(listener, peek);
}

/* ---- accepting ---- */

static void accepted(struct listener *listener, const struct door *door, int fd, const struct sockaddr_storage *address,
                     socklen_t address_len)
{
    const int one = 1;
    struct gate *gate = listener->server->gate;
    int err = gate_enter(gate, fd, (const struct sockaddr *)address, door->loopback);
    struct peek *peek = err == OK ? malloc(sizeof *peek) : NULL;
    if (peek == NULL) {
        connection_refuse(fd, err == ERR_LIMIT ? "too-many" : "overloaded",
                          err == OK ? "out of memory" : err_detail(err));
        gate_leave(gate, fd);
        (void)close(fd);
        return;
    }
    if (door->path == NULL) (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    *peek = (struct peek){
        .source = SOURCE_PEEK, .fd = fd, .loopback = door->loopback, .address = *address, .address_len = address_len
    };
    peek->deadline_ms = flume_now_ms() + listener->server->config->header_timeout * 1000;
    peek->prev = listener->last;
    if (listener->last != NULL)
        listener->last->next = peek;
    else
        listener->first = peek;
    listener->last = peek;
    /* Edge-triggered: bytes that were peeked at stay in the socket and would raise the same event for ever. */
    if (watch(listener, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, peek) != 0) peek_close(listener, peek);
}

/* Out of descriptors or memory: a door that stays readable would make the loop spin, so all of them rest. */
static void accepting_pause(struct listener *listener)
{
    diag_warn("accept_paused", "detail=\"%s\" for_ms=%d", strerrorname_np(errno), PAUSE_MS);
    for (size_t i = 0; i < listener->doors.count; i++)
        (void)epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->doors.list[i].fd, NULL);
    listener->paused_until_ms = flume_now_ms() + PAUSE_MS;
}

static void accepting_resume(struct listener *listener)
{
    listener->paused_until_ms = 0;
    if (doors_watch(listener) != OK) accepting_pause(listener);
}

static void door_accept(struct listener *listener, const struct door *door)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof address;
        int fd = accept4(door->fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            accepted(listener, door, fd, &address, len);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            accepting_pause(listener);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

/* ---- the thread ---- */

static int timeout_of(const struct listener *listener)
{
    int64_t at = listener->first != NULL ? listener->first->deadline_ms : INT64_MAX;
    if (listener->paused_until_ms != 0 && listener->paused_until_ms < at) at = listener->paused_until_ms;
    if (at == INT64_MAX) return -1;
    int64_t left = at - flume_now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left + 1;
}

/* false = stop. */
static bool handle(struct listener *listener, const struct epoll_event *event)
{
    const enum source *source = event->data.ptr;
    switch (*source) {
    case SOURCE_STOP: return false;
    case SOURCE_DOOR:
        /* events that were fetched together with the one that made the doors rest */
        if (listener->paused_until_ms == 0) door_accept(listener, ((const struct entrance *)event->data.ptr)->door);
        return true;
    case SOURCE_PEEK: peek_look(listener, event->data.ptr, event->events); return true;
    }
    return true;
}

static void *listen_run(void *cls)
{
    struct listener *listener = cls;
    struct epoll_event events[EVENTS_AT_ONCE];
    step_back();
    for (bool run = true; run;) {
        int n = epoll_wait(listener->epoll_fd, events, EVENTS_AT_ONCE, timeout_of(listener));
        for (int i = 0; i < n && run; i++)
            run = handle(listener, &events[i]);
        int64_t now = flume_now_ms();
        if (listener->paused_until_ms != 0 && now >= listener->paused_until_ms) accepting_resume(listener);
        while (listener->first != NULL && listener->first->deadline_ms <= now)
            peek_late(listener, listener->first);
    }
    while (listener->first != NULL)
        peek_close(listener, listener->first);
    return NULL;
}

int listen_start(struct listener *listener, struct http *http, struct ws *ws)
{
    listener->http = http;
    listener->ws = ws;
    if (pthread_create(&listener->thread, NULL, listen_run, listener) != 0)
        return err_set(ERR_NOMEM, "no thread can be started");
    listener->started = true;
    return OK;
}

void listen_stop(struct listener *listener)
{
    const uint64_t one = 1;
    if (listener == NULL) return;
    if (listener->started) {
        if (write(listener->stop_fd, &one, sizeof one) != (ssize_t)sizeof one)
            diag_error("listen_stop", "detail=eventfd");
        (void)pthread_join(listener->thread, NULL);
        listener->started = false;
    }
    doors_close(&listener->doors);
}

void listen_free(struct listener *listener)
{
    if (listener == NULL) return;
    listen_stop(listener);
    free(listener->head);
    if (listener->epoll_fd >= 0) (void)close(listener->epoll_fd);
    if (listener->stop_fd >= 0) (void)close(listener->stop_fd);
    gate_free(listener->server->gate);
    listener->server->gate = NULL;
    free(listener);
}
