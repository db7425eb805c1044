/* `sluice serve` whose start fails at one place, one place after the other: memory, threads, files. It ends with a sentence and gives back all that it
 * took; or it serves, and ends when it is told to.
 *
 * Usage: crash_start [EVERY]   EVERY: each so many-th place (1 = all; the first place is by the dice) */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli.h"
#include "store/buf.h"
#include "tests/crash/check.h"
#include "tests/crash/fault.h"
#include "tests/support/scratch.h"

#define LATE_MS 30000 /* far longer than a start takes */
#define PORT_MAX 15

static struct {
    struct dice dice;
    char *folder;
    char data[SCRATCH_PATH], views[SCRATCH_PATH], port[SCRATCH_PATH], tokens[SCRATCH_PATH], secret[SCRATCH_PATH];
    char where[160];
    _Atomic bool over;
    size_t left, kept; /* descriptors that are open after a start and its end, and how many may be */
    unsigned long served, failed;
} starts;

static size_t entries(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    check_that(dir != NULL, starts.where, "%s: %s", folder, strerror(errno));
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

/* ---- whoever asks it -------------------------------------------------------------------------------------------------- */

/* The port, or 0 while it is not told. */
static uint16_t port_told(void)
{
    char text[PORT_MAX + 1] = "";
    FILE *file = fopen(starts.port, "re");
    if (file == NULL) return 0;
    size_t len = fread(text, 1, PORT_MAX, file);
    (void)fclose(file);
    return len > 0 && text[len - 1] == '\n' ? (uint16_t)strtoul(text, NULL, 10) : 0;
}

/* Something is answered, or the connection ends: what failed may have been this. */
static void ask(uint16_t port)
{
    static const char request[] =
        "GET /log?limit=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n"
        "Connection: close\r\n\r\n";
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    char answer[4096];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check_that(fd >= 0, starts.where, "no socket");
    /* what failed behind that place ends it */
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        for (int waited = 0; !atomic_load(&starts.over); waited++) {
            check_that(waited < LATE_MS, starts.where, "nobody listens at the port that was told");
            (void)poll(NULL, 0, 1);
        }
        return;
    }
    (void)send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    for (ssize_t got = 1; got > 0; got = recv(fd, answer, sizeof answer, 0)) {
        struct pollfd end = { .fd = fd, .events = POLLIN };
        check_that(poll(&end, 1, LATE_MS) == 1, starts.where, "no answer, and no end");
    }
    (void)close(fd);
}

/* Waits until the server is there or over; ends one that is there. */
static void *visit(void *unused)
{
    (void)unused;
    for (int waited = 0; !atomic_load(&starts.over); waited++) {
        uint16_t port = port_told();
        if (port != 0) {
            ask(port);
            (void)kill(getpid(), SIGTERM);
            return NULL;
        }
        check_that(waited < LATE_MS, starts.where, "neither served nor ended");
        (void)poll(NULL, 0, 1);
    }
    return NULL;
}

/* ---- one start ---------------------------------------------------------------------------------------------------------- */

static int serve(void)
{
    char listen[] = "--listen", door[] = "127.0.0.1:0", data[] = "--data", views[] = "--views", port[] = "--port-file";
    char tokens[] = "--token-file", secret[] = "--secret", publish[] = "--publish", sole[] = "--sole-signer";
    char *words[] = { data,   starts.data,   views,  starts.views,  listen,  door, port, starts.port,
                      tokens, starts.tokens, secret, starts.secret, publish, sole, NULL };
    return cli_serve((int)(sizeof words / sizeof *words) - 1, words);
}

/* False when there is no such place any more. */
static bool run_place(const struct fault_plan *plan)
{
    pthread_t visitor;
    sigset_t end;
    (void)sigemptyset(&end);
    (void)sigaddset(&end, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &end, NULL);
    size_t descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    (void)unlink(starts.port);
    atomic_store(&starts.over, false);
    check_that(pthread_create(&visitor, NULL, visit, NULL) == 0, starts.where, "no thread for who asks");
    fault_arm(plan);
    int code = serve();
    fault_disarm();
    atomic_store(&starts.over, true);
    (void)pthread_join(visitor, NULL);
    /* Who had ended already took no notice, and the next one must not. */
    (void)sigtimedwait(&end, NULL, &(struct timespec){ 0 });
    bool fired = fault_fired() > 0;
    check_that(fired || code == 0, starts.where, "it ended with %d, and nothing had failed", code);
    starts.served += code == 0;
    starts.failed += code != 0;
    check_that(access(starts.port, F_OK) != 0, starts.where, "the port file is still there");
    starts.left = entries("/proc/self/fd") - descriptors;
    check_that(starts.left <= starts.kept, starts.where, "%zu descriptors are left open", starts.left);
    for (int waited = 0; entries("/proc/self/task") != threads;
         waited++) { /* a thread that was joined may still be listed for a moment */
        check_that(waited < LATE_MS, starts.where, "threads are left behind");
        (void)poll(NULL, 0, 1);
    }
    return fired;
}

/* libwebsockets 4.3 leaves an eventfd open for each context that there was; others open something once. One that nothing failed in says how many. */
static void measure_kept(void)
{
    const struct fault_plan nothing = { FAULT_ALLOC, 0, ENOMEM, FAULT_ONCE };
    starts.kept = 16;
    for (int i = 0; i < 2; i++)
        check_that(!run_place(&nothing), starts.where, "something did");
    starts.kept = starts.left;
    check_that(starts.kept <= 1, starts.where, "%zu descriptors are left open", starts.kept);
}

static void run_kind(enum fault_kind kind, int number, unsigned long every)
{
    struct fault_plan plan = { kind, 1 + dice_roll(&starts.dice, every), number, FAULT_ONCE };
    unsigned long places = 0;
    for (;; plan.k += every, places++) {
        (void)snprintf(starts.where, sizeof starts.where, "start: %s, place %lu, SLUICE_TEST_SEED=%llu",
                       fault_names[kind], plan.k, (unsigned long long)starts.dice.seed);
        if (!run_place(&plan)) break;
    }
    (void)printf("  start %-24s %5lu places\n", fault_names[kind], places);
}

/* ---- what it is started with -------------------------------------------------------------------------------------------- */

static void write_secret(void)
{
    uint8_t public_key[32], secret_key[64];
    char public_text[64], secret_text[128], text[1024];
    (void)crypto_sign_keypair(public_key, secret_key);
    (void)sodium_bin2base64(public_text, sizeof public_text, public_key, sizeof public_key,
                            sodium_base64_VARIANT_ORIGINAL);
    (void)sodium_bin2base64(secret_text, sizeof secret_text, secret_key, sizeof secret_key,
                            sodium_base64_VARIANT_ORIGINAL);
    int len =
        snprintf(text, sizeof text,
                 "{\"curve\":\"ed25519\",\"public\":\"%s.ed25519\",\"private\":\"%s.ed25519\",\"id\":\"@%s.ed25519\"}",
                 public_text, secret_text, public_text);
    scratch_write(starts.secret, text, (size_t)len);
    check_that(chmod(starts.secret, 0600) == 0, "start", "chmod");
}

static void prepare(void)
{
    static const char tokens[] = "0123456789abcdef read private publish\n";
    starts.folder = scratch_make();
    scratch_path(starts.folder, "data", starts.data);
    scratch_path(starts.folder, "views", starts.views);
    scratch_path(starts.folder, "port", starts.port);
    scratch_path(starts.folder, "tokens", starts.tokens);
    scratch_path(starts.folder, "secret", starts.secret);
    scratch_write(starts.tokens, tokens, sizeof tokens - 1);
    check_that(chmod(starts.tokens, 0600) == 0, "start", "chmod");
    write_secret();
}

int main(int argc, char **argv)
{
    unsigned long every = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    if (every == 0) every = 1;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (sodium_init() < 0) return 1;
    starts.dice = dice_make();
    prepare();
    (void)printf("start: SLUICE_TEST_SEED=%llu, each %lu-th place\n", (unsigned long long)starts.dice.seed, every);
    (void)snprintf(starts.where, sizeof starts.where, "start: nothing fails");
    measure_kept();
    run_kind(FAULT_THREAD, EAGAIN, 1);
    run_kind(FAULT_ALLOC, ENOMEM, every);
    run_kind(FAULT_OPEN, EMFILE, every > 4 ? 4 : every);
    check_that(starts.failed > 0 && starts.served > 0, "start", "%lu starts failed, %lu served", starts.failed,
               starts.served);
    (void)printf("start: %lu failed, %lu served\n", starts.failed, starts.served);
    check_empty(starts.folder);
    scratch_remove(starts.folder);
    return 0;
}
