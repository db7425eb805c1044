#include "server/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "server/access.h"
#include "server/api.h"
#include "server/blob_jobs.h"
#include "server/cli_common.h"
#include "server/diag.h"
#include "server/http.h"
#include "server/limits.h"
#include "server/listen.h"
#include "server/owner.h"
#include "server/node.h"
#include "server/plain.h"
#include "server/publish.h"
#include "server/version.h"
#include "server/wake.h"
#include "server/ws.h"
#include "store/err.h"
#include "store/keys.h"

/* All of the drain fits in DRAIN_S: sockets and requests get their shares, the rest is for flushing. */
#define DRAIN_S 5
#define DRAIN_WS_MS 1000
#define DRAIN_HTTP_MS 2000

#define SPARE_DESCRIPTORS 128 /* besides those of connections */
#define TELL_EVERY_MS 5000    /* how often views that are being built are told of */

struct serve {
    struct config config;
    struct cli_source source;
    struct wake wake;
    struct server server;
    struct keys *keys;
    struct owner *owner; /* NULL without a secret */
    struct access *access;
    struct listener *listener;
    struct http *http;
    struct ws *ws;
    sigset_t signals;
    bool accepting;
    bool port_file_written;
};

/* ---- process ---- */

/* Before the first thread, so that all inherit the mask and only the main thread, which asks for them, gets signals. */
static void take_signals(sigset_t *ret_signals)
{
    (void)sigemptyset(ret_signals);
    (void)sigaddset(ret_signals, SIGTERM);
    (void)sigaddset(ret_signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, ret_signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files (ulimit -f) is an error of the write, not the end */
}

/* As many descriptors as there may be connections. If the system has not so many, there are fewer connections: one too
 * many is then told so, instead of waiting in the kernel for a descriptor that does not come. */
static void raise_descriptor_limit(struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t wanted = (rlim_t)config->connections_max + SPARE_DESCRIPTORS;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return;
    config->connections_max = limit.rlim_cur > SPARE_DESCRIPTORS ? (int64_t)(limit.rlim_cur - SPARE_DESCRIPTORS) : 1;
    diag_warn("few_descriptors",
              "limit=%llu wanted=%llu connections_max=%lld hint=\"raise ulimit -n or lower --connections-max\"",
              (unsigned long long)limit.rlim_cur, (unsigned long long)wanted, (long long)config->connections_max);
}

static void on_late(int number)
{
    (void)number;
    static const char text[] = "sluice serve: not everything could be ended in time\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(EX_SOFTWARE);
}

/* From here on a second signal kills as it does any program, and so does the time. */
static void begin_drain(const struct serve *serve)
{
    struct sigaction late = { .sa_handler = on_late };
    (void)sigaction(SIGALRM, &late, NULL);
    (void)alarm(DRAIN_S);
    (void)pthread_sigmask(SIG_UNBLOCK, &serve->signals, NULL);
}

/* ---- port file and banner ---- */

static int write_port_file(const char *path, int port)
{
    char *temp = NULL;
    if (asprintf(&temp, "%s.%ld.tmp", path, (long)getpid()) < 0) return err_set(ERR_NOMEM, "out of memory");
    int err = OK;
    FILE *file = fopen(temp, "we");
    if (file == NULL) {
        err = err_errno(temp, "writing the port file");
        goto out;
    }
    bool written = fprintf(file, "%d\n", port) > 0;
    if (fclose(file) != 0 || !written || rename(temp, path) != 0) {
        err = err_errno(path, "writing the port file");
        (void)unlink(temp);
    }
out:
    free(temp);
    return err;
}

/* `text` for a shell, in single quotes where it needs them. */
static void put_shell(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+,:@%=";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        fputs(text, stdout);
        return;
    }
    putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
    putchar('\'');
}

static void put_curl(const struct serve *serve, const char *base, const char *target)
{
    const struct config *config = &serve->config;
    const char *socket_path = strncmp(config->listen[0], "unix:", 5) == 0 ? config->listen[0] + 5 : NULL;
    fputs("  curl ", stdout);
    if (socket_path != NULL) {
        fputs("--unix-socket ", stdout);
        put_shell(socket_path);
        putchar(' ');
    }
    if (config->token_file != NULL && !config->public_read) {
        fputs("-H \"Authorization: Bearer $(awk '$1 ~ /^[^#]/ {print $1; exit}' ", stdout);
        put_shell(config->token_file);
        fputs(")\" ", stdout);
    }
    printf("'%s%s'\n", base, target);
}

static void print_banner(const struct serve *serve)
{
    bool local = strncmp(serve->config.listen[0], "unix:", 5) == 0;
    const char *base = local ? "http://localhost" : listen_url(serve->listener);
    printf("Sluice %s serves %s (%s)\n\n", SLUICE_VERSION, serve->source.log_path,
           serve->source.owned ? "its own" : "followed, read-only");
    if (local)
        printf("  %s\n\nTry:\n", serve->config.listen[0]);
    else
        printf("  %s/\n\nTry:\n", base);
    put_curl(serve, base, "/log?limit=3&reverse=true");
    put_curl(serve, base, "/feeds?limit=5");
    put_curl(serve, base, "/links?limit=3");
    if (strncmp(base, "http://", 7) == 0 && !local)
        printf("\nFollow what is new by WebSocket: ws://%s/live\n", base + 7);
    (void)fflush(stdout);
}

/* ---- start and stop ---- */

static int check_where(const struct config *config)
{
    if (config->follow != NULL || config->data != NULL) return OK;
    return err_set(ERR_ARG, "which log? give --follow FILE (as in --follow ~/.ssb/flume/log.offset) for the log of an "
                            "SSB node, or --data DIR for one of Sluice's own; see `sluice serve --help`");
}

/* Where a core goes, and who may read it there, is not ours to say. */
static void forbid_core_files(void)
{
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* Whose server this is, and who signs for him. */
static int open_identity(struct serve *serve)
{
    const struct config *config = &serve->config;
    int err = check_where(config);
    if (err == OK) err = publish_check(config);
    if (err == OK && config->secret != NULL) err = keys_open(config->secret, &serve->keys);
    if (err == OK) err = publish_open(config, &serve->server.node);
    serve->server.keys = serve->keys;
    if (serve->keys != NULL) forbid_core_files();
    return err;
}

static int open_flume(struct serve *serve)
{
    int err = cli_source_init(&serve->config, serve->config.data != NULL, &serve->source);
    if (err != OK) return err;
    const struct flume_options options = {
        .open_log = cli_source_open,
        .open_ctx = &serve->source,
        .follow_path = serve->source.owned ? NULL : serve->source.log_path,
        .views_dir = serve->source.views_path,
        .accept_any = strcmp(serve->config.accept, "any") == 0,
        .append_queue_max = LIMIT_APPENDS_WAITING,
        .on_event = wake_event,
        .event_ctx = &serve->wake,
    };
    return flume_open(&options, &serve->server.flume);
}

/* Nothing is opened that nobody may see, and what was opened once is not kept. */
static int open_owner(struct serve *serve)
{
    if (serve->keys == NULL || !access_names(serve->access, API_SCOPE_PRIVATE))
        return owner_forget(serve->source.views_path);
    int err = owner_open(&serve->server, serve->source.views_path, &serve->owner);
    if (err == OK) serve->server.opened = owner_server(serve->owner);
    return err;
}

static int open_blobs(struct serve *serve)
{
    char *path = NULL;
    int err = cli_blobs_path(&serve->config, &path);
    if (err == OK) err = blob_dir_open(path, serve->source.owned, &serve->server.blobs);
    if (err == OK) err = blob_jobs_start(serve->server.blobs, serve->config.blob_waits_max, &serve->server.blob_jobs);
    free(path);
    return err;
}

static int open_doors(struct serve *serve)
{
    serve->server.config = &serve->config;
    serve->server.owned = serve->source.owned;
    serve->server.started_ms = flume_now_ms();
    serve->server.tag_seed = api_tag_seed();
    int err = access_open(&serve->config, &serve->access);
    if (err != OK) return err;
    serve->server.access = serve->access;
    err = plain_open(&serve->server.plain);
    if (err == OK) err = open_blobs(serve);
    if (err != OK) return err;
    err = open_owner(serve);
    if (err == OK) err = listen_open(&serve->server, &serve->listener);
    if (err == OK) err = http_start(&serve->server, &serve->http);
    if (err == OK) err = ws_start(&serve->server, &serve->ws);
    if (err != OK) return err;
    wake_attach(&serve->wake, serve->server.flume, serve->http, serve->ws);
    if (serve->owner != NULL) wake_above(&serve->wake, serve->server.opened->flume);
    owner_attach(serve->owner, serve->http, serve->ws);
    err = listen_start(serve->listener, serve->http, serve->ws);
    serve->accepting = err == OK;
    if (err == OK && serve->config.port_file != NULL) {
        err = write_port_file(serve->config.port_file, listen_port(serve->listener));
        serve->port_file_written = err == OK;
    }
    return err;
}

/* Somebody is still at work with what would be freed next, for a client that has waited for long enough: what was taken is made durable, and the
 * process ends under him. */
static void stop_short(const struct serve *serve)
{
    flume_end(serve->server.flume);
    (void)fflush(NULL);
    _exit(EXIT_SUCCESS);
}

/* Doors first, so that nothing new comes; then the sockets; the log last, because requests under way may wait for it. */
static void stop_all(struct serve *serve)
{
    atomic_store(&serve->server.stopping, true);
    if (serve->port_file_written) (void)unlink(serve->config.port_file);
    if (serve->accepting) listen_stop(serve->listener);
    node_stop(serve->server.node); /* requests that wait for it get their answers */
    wake_detach(&serve->wake);
    owner_detach(serve->owner);
    ws_stop(serve->ws, DRAIN_WS_MS);
    if (!http_stop(serve->http, DRAIN_HTTP_MS)) stop_short(serve);
    owner_close(serve->owner);
    blob_jobs_stop(serve->server.blob_jobs);
    blob_dir_free(serve->server.blobs);
    flume_close(serve->server.flume);
    plain_free(serve->server.plain);
    listen_free(serve->listener);
    access_free(serve->access);
    node_free(serve->server.node);
    keys_free(serve->keys);
    cli_source_free(&serve->source);
}

/* ---- running ---- */

/* What is being built, on one line; true when every view is ready. */
static bool tell_views(const struct serve *serve, bool say)
{
    struct flume_status status;
    flume_status(serve->server.flume, &status);
    bool all = true;
    for (size_t i = 0; i < status.view_count; i++) {
        const struct flume_view_status *view = &status.views[i];
        if (view->ready || view->resting) continue;
        all = false;
        if (!say) continue;
        diag_info("view_behind", "view=%s percent=%.0f eta_s=%.0f", view->name,
                  view->total > 0 ? 100 * (double)view->done / (double)view->total : 0, view->eta);
    }
    return all;
}

/* Until a signal comes; answers its number. Tells meanwhile how the views get on that are built at the start. */
static int run(const struct serve *serve)
{
    bool ready = false;
    int64_t started = flume_now_ms(), told = started;
    for (;;) {
        const struct timespec pause = { .tv_sec = ready ? 3600 : 0, .tv_nsec = ready ? 0 : 250000000 };
        int number = sigtimedwait(&serve->signals, NULL, &pause);
        if (number > 0) return number;
        if (ready) continue;
        int64_t now = flume_now_ms();
        bool say = now - told >= TELL_EVERY_MS;
        if (say) told = now;
        ready = tell_views(serve, say);
        if (ready) diag_info("views_ready", "after_ms=%" PRId64, now - started);
    }
}

static int start(struct serve *serve)
{
    raise_descriptor_limit(&serve->config);
    int err = open_identity(serve);
    if (err == OK) err = open_flume(serve);
    if (err != OK) return err;
    err = open_doors(serve);
    if (err != OK) return err;
    char path[DIAG_QUOTE_MAX];
    diag_info("started", "version=" SLUICE_VERSION " pid=%ld log=%s owned=%s url=%s port=%d", (long)getpid(),
              diag_quote(serve->source.log_path, path), serve->source.owned ? "true" : "false",
              listen_url(serve->listener), listen_port(serve->listener));
    print_banner(serve);
    return OK;
}

int cli_serve(int argc, char **argv)
{
    struct serve serve = { 0 };
    int code = EX_OK;
    if (!cli_begin(CONFIG_SERVE, argc, argv, 0, &serve.config, &code)) goto out;
    wake_init(&serve.wake);
    take_signals(&serve.signals);
    int err = start(&serve);
    if (err != OK) {
        code = cli_fail("serve", err);
    } else {
        int number = run(&serve);
        diag_info("stopping", "signal=%s", number == SIGTERM ? "TERM" : "INT");
    }
    begin_drain(&serve);
    int64_t began = flume_now_ms();
    stop_all(&serve);
    (void)alarm(0);
    if (err == OK) diag_info("stopped", "after_ms=%" PRId64, flume_now_ms() - began);
out:
    config_free(&serve.config);
    return code;
}
