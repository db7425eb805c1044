/* What a server of messages over HTTP costs at least, whatever log it keeps: the steps of a ladder from libsodium alone to Sluice.
 *
 *     bench_posts PORT          libmicrohttpd, set up as the server does it, checks a signature for every body and answers 201
 *     bench_posts PORT FILE     the same, but bodies are written to FILE, and answered when they are on the disk: all that came while
 *                               the disk was busy with one write and one sync
 *
 * The signature fits no body. That is found out by the last comparison of a check, so it costs as much as one that does. Runs until it is killed. */
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/buf.h"
#include "tests/bench/bench.h"
#include "tests/bench/net.h"

#define SERVER_THREADS 2
#define CONNECTION_MEMORY ((size_t)32 << 10)
#define BODY_MAX ((size_t)16 << 20)

static const char answer_text[] =
    "{\"seq\":12345678,\"key\":\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"}\n";

struct post {
    struct MHD_Connection *connection;
    struct buf body;
    bool stored;
    struct post *next;
};

static struct MHD_Response *answer;
static uint8_t public_key[crypto_sign_PUBLICKEYBYTES], signature[crypto_sign_BYTES];

static struct {
    int fd; /* -1 = nothing is stored */
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct post *first, **tail;
} store = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER };

/* ---- the disk ---- */

static struct post *store_take(void)
{
    (void)pthread_mutex_lock(&store.lock);
    while (store.first == NULL)
        (void)pthread_cond_wait(&store.filled, &store.lock);
    struct post *posts = store.first;
    store.first = NULL;
    store.tail = &store.first;
    (void)pthread_mutex_unlock(&store.lock);
    return posts;
}

static void *store_run(void *ctx)
{
    struct buf all;
    (void)ctx;
    buf_init(&all, (size_t)1 << 30);
    for (;;) {
        struct post *posts = store_take();
        buf_reset(&all);
        for (const struct post *post = posts; post != NULL; post = post->next)
            bench_must(buf_append(&all, post->body.data, post->body.len), "a batch");
        if (write(store.fd, all.data, all.len) != (ssize_t)all.len || fdatasync(store.fd) != 0)
            bench_die("the file cannot be written");
        for (struct post *post = posts, *next; post != NULL; post = next) {
            next = post->next;
            post->stored = true;
            MHD_resume_connection(post->connection);
        }
    }
    return NULL;
}

static void store_add(struct post *post)
{
    MHD_suspend_connection(post->connection);
    (void)pthread_mutex_lock(&store.lock);
    post->next = NULL;
    *store.tail = post;
    store.tail = &post->next;
    (void)pthread_cond_signal(&store.filled);
    (void)pthread_mutex_unlock(&store.lock);
}

static void store_open(const char *path)
{
    pthread_t thread;
    store.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    store.tail = &store.first;
    if (store.fd < 0 || pthread_create(&thread, NULL, store_run, NULL) != 0) bench_die("%s cannot be used", path);
}

/* ---- libmicrohttpd ---- */

/* The answer is queued on a call behind the last byte of the body, as the server does it. */
static enum MHD_Result post_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **state)
{
    struct post *post = *state;
    (void)cls, (void)url, (void)method, (void)version;
    if (post == NULL) {
        *state = post = calloc(1, sizeof *post);
        if (post == NULL) bench_die("out of memory");
        post->connection = connection;
        buf_init(&post->body, BODY_MAX);
        return MHD_YES;
    }
    if (*size > 0) {
        bench_must(buf_append(&post->body, data, *size), "a body");
        *size = 0;
        return MHD_YES;
    }
    if (!post->stored) {
        const unsigned char *text = (const unsigned char *)post->body.data;
        if (crypto_sign_verify_detached(signature, text, post->body.len, public_key) == 0)
            bench_die("a signature fits that was made for something else");
        if (store.fd >= 0) {
            store_add(post);
            return MHD_YES;
        }
    }
    return MHD_queue_response(connection, MHD_HTTP_CREATED, answer);
}

static void post_over(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    struct post *post = *state;
    (void)cls, (void)connection, (void)why;
    if (post == NULL) return;
    buf_free(&post->body);
    free(post);
    *state = NULL;
}

/* Connections are dealt out evenly, as the server does it: the library's threads would take them from each other. */
static void serve(uint16_t port)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG;
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, post_step, NULL, MHD_OPTION_THREAD_POOL_SIZE, SERVER_THREADS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, post_over,
                         NULL, MHD_OPTION_CONNECTION_TIMEOUT, 60U, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (daemon == NULL) bench_die("libmicrohttpd does not start");
    struct pollfd listener = { .fd = net_listen(port), .events = POLLIN };
    for (;;) {
        struct sockaddr_in address;
        socklen_t len = sizeof address;
        (void)poll(&listener, 1, -1);
        int fd = accept4(listener.fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) continue;
        net_nodelay(fd);
        (void)MHD_add_connection(daemon, fd, (struct sockaddr *)&address, len);
    }
}

int main(int argc, char **argv)
{
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];
    if (argc != 2 && argc != 3) bench_die("usage: bench_posts PORT [FILE]");
    if (sodium_init() < 0) bench_die("libsodium does not start");
    (void)crypto_sign_keypair(public_key, secret_key);
    (void)crypto_sign_detached(signature, NULL, (const unsigned char *)"another text", 12, secret_key);
    answer =
        MHD_create_response_from_buffer(sizeof answer_text - 1, (void *)(uintptr_t)answer_text, MHD_RESPMEM_PERSISTENT);
    (void)MHD_add_response_header(answer, "Content-Type", "application/json");
    if (argc == 3) store_open(argv[2]);
    serve((uint16_t)bench_number(argv[1]));
    return 0;
}
