/* What the libraries and the machine can do at most: the other side of a row.
 *
 *     bench_limits http PORT BYTES    libmicrohttpd, set up as the server does it, answering a constant body
 *     bench_limits record PORT LOG    libmicrohttpd, answering one of RECORDS records of a mapped log, copied from there
 *     bench_limits feed PORT LOG N    the same for the newest N of one of its authors
 *     bench_limits stream PORT FILE   libmicrohttpd, answering a file from a callback
 *     bench_limits broadcast PORT     epoll and nothing else: WebSocket clients get every line that is posted
 *     bench_limits broadcast PORT FILE   the same, but what is posted is written to FILE and on the disk before anybody gets it
 *     bench_limits verify FILE COUNT  libsodium checking signatures of COUNT texts like the lines of FILE on all cores
 *
 * Servers run until they are killed. */
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/bench/bench.h"
#include "tests/bench/net.h"
#include "views/view_record.h"

#define SERVER_THREADS 2
#define CONNECTION_MEMORY ((size_t)32 << 10)
#define STREAM_BLOCK ((size_t)64 << 10)
#define CORES_MAX 256

/* ---- libmicrohttpd ---- */

/* What is in an answer, made when it is asked for. */
struct body {
    struct slice *records;
    size_t count, len;
};

struct bodies {
    struct body *all;
    size_t count;
};

struct site {
    struct MHD_Response *constant;
    struct bench_file file;
    struct bodies bodies;
};

/* The answer is queued on the second call, as the server does it: on the first the library would close the connection. */
static bool first_call(void **state)
{
    static char seen;
    if (*state == &seen) return false;
    *state = &seen;
    return true;
}

static enum MHD_Result constant_answer(void *cls, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *data, size_t *size,
                                       void **state)
{
    const struct site *site = cls;
    (void)url, (void)method, (void)version, (void)data, (void)size;
    if (first_call(state)) return MHD_YES;
    *state = NULL;
    return MHD_queue_response(connection, MHD_HTTP_OK, site->constant);
}

#define RECORDS 20000 /* as many as are asked for of Sluice */
#define LINE 64       /* bytes that come from memory at once */
#define AUTHORS_MAX (1 << 17)

static struct body *body_add(struct bodies *bodies, size_t records)
{
    bodies->all = reallocarray(bodies->all, bodies->count + 1, sizeof *bodies->all);
    struct slice *room = calloc(records, sizeof *room);
    if (bodies->all == NULL || room == NULL) bench_die("out of memory");
    bodies->all[bodies->count] = (struct body){ .records = room };
    return &bodies->all[bodies->count++];
}

static void body_put(struct body *body, struct slice record)
{
    body->records[body->count++] = record;
    body->len += record.len + 1;
}

static void bodies_of_records(const struct bench_records *records, struct bodies *ret_bodies)
{
    uint64_t random = 3;
    for (size_t i = 0; i < RECORDS; i++)
        body_put(body_add(ret_bodies, 1), records->values[bench_random(&random) % records->count]);
}

/* Which body is the author's; a new one if there is none. */
static struct body *body_of_author(struct bodies *bodies, const struct ref *author, size_t records)
{
    static struct {
        uint8_t key[32];
        size_t body;
    } slots[2 * AUTHORS_MAX];
    uint64_t at;
    if (bodies->count == AUTHORS_MAX) bench_die("too many authors");
    memcpy(&at, author->id, sizeof at);
    for (;; at++) {
        size_t i = (size_t)(at % (sizeof slots / sizeof *slots));
        if (slots[i].body == 0) {
            memcpy(slots[i].key, author->id, sizeof slots[i].key);
            slots[i].body = bodies->count + 1;
            return body_add(bodies, records);
        }
        if (memcmp(slots[i].key, author->id, sizeof slots[i].key) == 0) return &bodies->all[slots[i].body - 1];
    }
}

static void bodies_of_feeds(const struct bench_records *records, size_t most, struct bodies *ret_bodies)
{
    for (size_t i = records->count; i-- > 0;) {
        struct ref author;
        if (record_author(records->values[i], &author) != OK) continue;
        struct body *body = body_of_author(ret_bodies, &author, most);
        if (body->count < most) body_put(body, records->values[i]);
    }
}

/* Nothing is looked for, nothing is waited for one by one, and the library has the least to do for a body that is not always the same. */
static struct MHD_Response *body_response(const struct body *body)
{
    char *text = malloc(body->len), *end = text;
    if (text == NULL) bench_die("out of memory");
    for (size_t i = 0; i < body->count; i++)
        for (size_t at = 0; at < body->records[i].len; at += LINE)
            __builtin_prefetch(body->records[i].data + at);
    for (size_t i = 0; i < body->count; i++) {
        memcpy(end, body->records[i].data, body->records[i].len);
        end += body->records[i].len;
        *end++ = '\n';
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(body->len, text, MHD_RESPMEM_MUST_FREE);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    return response;
}

static enum MHD_Result body_answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                   const char *version, const char *data, size_t *size, void **state)
{
    static _Atomic uint64_t threads;
    static _Thread_local uint64_t random;
    const struct bodies *bodies = &((const struct site *)cls)->bodies;
    (void)url, (void)method, (void)version, (void)data, (void)size;
    if (first_call(state)) return MHD_YES;
    *state = NULL;
    if (random == 0) random = ++threads;
    struct MHD_Response *response = body_response(&bodies->all[bench_random(&random) % bodies->count]);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static ssize_t stream_read(void *cls, uint64_t at, char *out, size_t max)
{
    const struct bench_file *file = cls;
    if (at >= file->len) return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = file->len - (size_t)at < max ? file->len - (size_t)at : max;
    memcpy(out, file->data + at, n);
    return (ssize_t)n;
}

static enum MHD_Result stream_answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *data, size_t *size, void **state)
{
    struct site *site = cls;
    (void)url, (void)method, (void)version, (void)data, (void)size;
    if (first_call(state)) return MHD_YES;
    *state = NULL;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, &site->file, NULL);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void serve(uint16_t port, MHD_AccessHandlerCallback answer, struct site *site)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, port, NULL, NULL, answer, site, MHD_OPTION_THREAD_POOL_SIZE, SERVER_THREADS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, 8192U,
                         MHD_OPTION_CONNECTION_TIMEOUT, 60U, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (daemon == NULL) bench_die("libmicrohttpd does not start on port %u", port);
    for (;;)
        (void)pause();
}

static void serve_constant(uint16_t port, size_t bytes)
{
    struct site site = { 0 };
    char *body = malloc(bytes);
    if (body == NULL) bench_die("out of memory");
    memset(body, 'x', bytes);
    site.constant = MHD_create_response_from_buffer(bytes, body, MHD_RESPMEM_PERSISTENT);
    (void)MHD_add_response_header(site.constant, "Content-Type", "application/json");
    serve(port, constant_answer, &site);
}

static void serve_stream(uint16_t port, const char *path)
{
    struct site site = { 0 };
    bench_map(path, &site.file);
    serve(port, stream_answer, &site);
}

/* `most` records of a feed; 0 = one record. */
static void serve_bodies(uint16_t port, const char *path, size_t most)
{
    struct site site = { 0 };
    struct bench_records records;
    struct log *log;
    bench_log_open(path, &log);
    bench_records_load(log, &records);
    if (most == 0)
        bodies_of_records(&records, &site.bodies);
    else
        bodies_of_feeds(&records, most, &site.bodies);
    serve(port, body_answer, &site);
}

/* ---- broadcast ---- */

struct peer {
    int fd;
    bool live;
    char *in; /* a request that is not complete yet */
    size_t in_len, in_cap;
    size_t sent; /* of the frames */
};

/* All frames ever broadcast: each client has its place in them. */
struct frames {
    char *data;
    size_t len, cap;
    struct peer **live;
    size_t live_count, live_cap;
    int epoll;
    int file; /* -1 = nothing is stored */
};

static void frames_add(struct frames *frames, const char *text, size_t len)
{
    uint8_t head[NET_FRAME_HEAD_MAX];
    size_t head_len = net_ws_head(len, head);
    if (frames->len + head_len + len > frames->cap) {
        frames->cap = 2 * (frames->cap + head_len + len);
        frames->data = realloc(frames->data, frames->cap);
        if (frames->data == NULL) bench_die("out of memory");
    }
    memcpy(frames->data + frames->len, head, head_len);
    memcpy(frames->data + frames->len + head_len, text, len);
    frames->len += head_len + len;
}

static void peer_flush(const struct frames *frames, struct peer *peer)
{
    while (peer->sent < frames->len) {
        ssize_t n = send(peer->fd, frames->data + peer->sent, frames->len - peer->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) return;
        peer->sent += (size_t)n;
    }
}

static void peer_upgrade(struct frames *frames, struct peer *peer)
{
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    static const char sync[] = "{\"sync\":true,\"since\":0}";
    uint8_t head[NET_FRAME_HEAD_MAX];
    net_send(peer->fd, answer, sizeof answer - 1);
    net_send(peer->fd, head, net_ws_head(sizeof sync - 1, head));
    net_send(peer->fd, sync, sizeof sync - 1);
    if (frames->live_count == frames->live_cap) {
        frames->live_cap = frames->live_cap == 0 ? 1024 : frames->live_cap * 2;
        frames->live = reallocarray(frames->live, frames->live_cap, sizeof(struct peer *));
        if (frames->live == NULL) bench_die("out of memory");
    }
    frames->live[frames->live_count++] = peer;
    peer->live = true;
    peer->sent = frames->len;
}

static void peer_posted(struct frames *frames, const struct peer *peer, const char *body, size_t len)
{
    static const char answer[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    for (const char *at = body, *end = body + len; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        if (stop > at) frames_add(frames, at, (size_t)(stop - at));
        at = stop + 1;
    }
    net_send(peer->fd, answer, sizeof answer - 1);
    if (frames->file >= 0 && (write(frames->file, body, len) != (ssize_t)len || fdatasync(frames->file) != 0))
        bench_die("the file cannot be written");
    for (size_t i = 0; i < frames->live_count; i++)
        peer_flush(frames, frames->live[i]);
}

/* One request out of what was received; false = more is needed. */
static bool peer_request(struct frames *frames, struct peer *peer)
{
    const char *stop = peer->in_len == 0 ? NULL : memmem(peer->in, peer->in_len, "\r\n\r\n", 4);
    if (stop == NULL) return false;
    size_t head = (size_t)(stop - peer->in) + 4;
    struct net_http http = { .head_len = head };
    if (head > NET_HEAD_MAX) bench_die("a head is too long");
    memcpy(http.head, peer->in, head);
    size_t body = net_http_length(&http);
    if (peer->in_len < head + body) return false;
    if (strcasestr(http.head, "\r\nupgrade:") != NULL)
        peer_upgrade(frames, peer);
    else
        peer_posted(frames, peer, peer->in + head, body);
    memmove(peer->in, peer->in + head + body, peer->in_len - head - body);
    peer->in_len -= head + body;
    return true;
}

/* false = the connection is over. */
static bool peer_read(struct frames *frames, struct peer *peer)
{
    for (;;) {
        if (peer->in_cap - peer->in_len < 65536) {
            peer->in_cap = peer->live ? 65536 + peer->in_len : 2 * peer->in_cap + 65536;
            peer->in = realloc(peer->in, peer->in_cap);
            if (peer->in == NULL) bench_die("out of memory");
        }
        ssize_t n = recv(peer->fd, peer->in + peer->in_len, peer->in_cap - peer->in_len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return true;
        if (n <= 0) return false;
        peer->in_len += (size_t)n;
        if (peer->live) peer->in_len = 0; /* nothing that it says matters */
        while (!peer->live && peer_request(frames, peer)) {
        }
    }
}

static void peer_close(struct frames *frames, struct peer *peer)
{
    for (size_t i = 0; i < frames->live_count; i++)
        if (frames->live[i] == peer) frames->live[i--] = frames->live[--frames->live_count];
    (void)close(peer->fd);
    free(peer->in);
    free(peer);
}

static void peer_accept(struct frames *frames, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct peer *peer = calloc(1, sizeof *peer);
        if (peer == NULL) bench_die("out of memory");
        peer->fd = fd;
        net_nodelay(fd);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer };
        (void)epoll_ctl(frames->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void broadcast(uint16_t port, const char *path)
{
    struct frames frames = { .epoll = epoll_create1(EPOLL_CLOEXEC), .file = -1 };
    struct epoll_event events[256], event = { .events = EPOLLIN };
    if (path != NULL) {
        frames.file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (frames.file < 0) bench_die("%s cannot be used", path);
    }
    int listener = net_listen(port);
    (void)epoll_ctl(frames.epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(frames.epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == NULL)
                peer_accept(&frames, listener);
            else if (!peer_read(&frames, peer))
                peer_close(&frames, peer);
            else if (peer->live)
                peer_flush(&frames, peer);
        }
    }
}

/* ---- verify ---- */

struct verify {
    struct slice *texts;
    uint8_t (*signatures)[crypto_sign_BYTES];
    uint8_t key[crypto_sign_PUBLICKEYBYTES];
    size_t from, to;
};

static void *verify_run(void *ctx)
{
    const struct verify *verify = ctx;
    for (size_t i = verify->from; i < verify->to; i++) {
        const unsigned char *text = (const unsigned char *)verify->texts[i].data;
        if (crypto_sign_verify_detached(verify->signatures[i], text, verify->texts[i].len, verify->key) != 0)
            bench_die("a signature is wrong");
    }
    return NULL;
}

/* Signed with a key of its own: what a check costs depends on the length alone. */
static void verify_prepare(struct verify *verify, size_t count)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    (void)crypto_sign_keypair(verify->key, secret);
    verify->signatures = calloc(count, sizeof *verify->signatures);
    if (verify->signatures == NULL) bench_die("out of memory");
    for (size_t i = 0; i < count; i++)
        (void)crypto_sign_detached(verify->signatures[i], NULL, (const unsigned char *)verify->texts[i].data,
                                   verify->texts[i].len, secret);
}

static void verify_all(const char *path, size_t count)
{
    static struct verify parts[CORES_MAX];
    static pthread_t threads[CORES_MAX];
    struct bench_file file;
    struct verify whole = { 0 };
    size_t lines, cores = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (sodium_init() < 0) bench_die("libsodium does not start");
    if (cores > CORES_MAX) cores = CORES_MAX;
    bench_map(path, &file);
    whole.texts = bench_lines(&file, &lines);
    if (count > lines) count = lines;
    verify_prepare(&whole, count);
    double began = bench_now();
    for (size_t i = 0; i < cores; i++) {
        parts[i] = whole;
        parts[i].from = count * i / cores;
        parts[i].to = count * (i + 1) / cores;
        if (pthread_create(&threads[i], NULL, verify_run, &parts[i]) != 0) bench_die("no thread");
    }
    for (size_t i = 0; i < cores; i++)
        (void)pthread_join(threads[i], NULL);
    double rate = (double)count / (bench_now() - began);
    bench_put("append-writers", "libsodium", rate);
    bench_put("append-import", "libsodium", rate);
    bench_put("append-post", "libsodium", rate);
    free(whole.texts);
    free(whole.signatures);
    bench_unmap(&file);
}

int main(int argc, char **argv)
{
    const char *mode = argc < 3 ? "" : argv[1];
    if (strcmp(mode, "broadcast") == 0)
        broadcast((uint16_t)bench_number(argv[2]), argv[3]);
    else if (strcmp(mode, "http") == 0 && argc == 4)
        serve_constant((uint16_t)bench_number(argv[2]), bench_number(argv[3]));
    else if (strcmp(mode, "record") == 0 && argc == 4)
        serve_bodies((uint16_t)bench_number(argv[2]), argv[3], 0);
    else if (strcmp(mode, "feed") == 0 && argc == 5)
        serve_bodies((uint16_t)bench_number(argv[2]), argv[3], bench_number(argv[4]));
    else if (strcmp(mode, "stream") == 0 && argc == 4)
        serve_stream((uint16_t)bench_number(argv[2]), argv[3]);
    else if (strcmp(mode, "verify") == 0 && argc == 4)
        verify_all(argv[2], bench_number(argv[3]));
    else
        bench_die("usage: see the head of tests/bench/limits.c");
    return 0;
}
