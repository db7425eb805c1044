#include "server/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sysexits.h>
#include <unistd.h>

#include "server/cli_common.h"
#include "server/rows.h"
#include "store/err.h"

#define FLUSH_BYTES ((size_t)256 << 10)
#define OUT_MAX (FLUSH_BYTES + 8 * LOG_RECORD_MAX) /* a record can grow when it is printed */
#define POLL_MS 500                                /* inotify is not delivered on every mount */

struct cat {
    struct log *log;
    struct log_range range;
    int64_t above, below; /* both left out */
    int64_t limit;        /* records still wanted; -1 = all */
    bool live;
    int notify_fd; /* -1 = none */
    struct buf out;
};

/* ---- output ---- */

/* 0, or 1 when the reader has gone (a pipe into head), which is no error. */
static int cat_flush(struct cat *cat)
{
    size_t at = 0;
    while (at < cat->out.len) {
        ssize_t put = write(STDOUT_FILENO, cat->out.data + at, cat->out.len - at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno == EPIPE ? 1 : err_errno("standard output", "writing");
        at += (size_t)put;
    }
    buf_reset(&cat->out);
    return OK;
}

static int cat_put(struct cat *cat, const struct log_record *record)
{
    int err = record_print(record, &cat->out);
    if (err == OK) err = buf_putc(&cat->out, '\n');
    if (err != OK) return err;
    return cat->out.len >= FLUSH_BYTES ? cat_flush(cat) : OK;
}

/* ---- waiting for more ---- */

static void cat_watch(struct cat *cat, const char *path)
{
    cat->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (cat->notify_fd >= 0) (void)inotify_add_watch(cat->notify_fd, path, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF);
}

/* 0 = look again, 1 = nobody reads any more, <0 error. */
static int cat_wait(struct cat *cat)
{
    int err = cat_flush(cat);
    while (err == OK) {
        struct pollfd fds[2] = {
            { .fd = STDOUT_FILENO }, /* no events asked for: only that the reader has gone is told */
            { .fd = cat->notify_fd, .events = POLLIN },
        };
        (void)poll(fds, 2, POLL_MS);
        if ((fds[0].revents & (POLLERR | POLLHUP)) != 0) return 1;
        char events[4096];
        while (cat->notify_fd >= 0 && read(cat->notify_fd, events, sizeof events) > 0)
            continue;
        int moved = log_refresh(cat->log);
        if (moved != 0) return moved < 0 ? moved : OK;
    }
    return err;
}

/* ---- the range ---- */

static int read_bound(const char *name, const char *text, int64_t *bound)
{
    return text == NULL ? OK : cli_number(name, text, SEQ_EMPTY, bound);
}

/* The ends that are left out are skipped while reading: a range must begin where a record begins. */
static int cat_range(const struct config *config, struct cat *cat)
{
    if (config->gt != NULL && config->gte != NULL) return err_set(ERR_ARG, "give --gt or --gte, not both");
    if (config->lt != NULL && config->lte != NULL) return err_set(ERR_ARG, "give --lt or --lte, not both");
    if (config->live && config->reverse) return err_set(ERR_ARG, "--live goes forward only: leave out --reverse");
    cat->range = LOG_RANGE_ALL;
    cat->range.reverse = config->reverse;
    cat->above = SEQ_EMPTY;
    cat->below = SEQ_MAX;
    cat->limit = -1;
    cat->live = config->live;
    int err = read_bound("--gt", config->gt, &cat->above);
    if (err == OK) err = read_bound("--gte", config->gte, &cat->range.min);
    if (err == OK) err = read_bound("--lt", config->lt, &cat->below);
    if (err == OK) err = read_bound("--lte", config->lte, &cat->range.max);
    if (err == OK && config->limit != NULL) err = cli_number("--limit", config->limit, 0, &cat->limit);
    if (err != OK) return err;
    if (config->gt != NULL) cat->range.min = cat->above;
    if (config->lt != NULL) cat->range.max = cat->below;
    return OK;
}

/* ---- */

static int cat_run(struct cat *cat)
{
    struct log_cursor cursor;
    int err = log_cursor_open(cat->log, &cat->range, &cursor);
    while (err == OK && cat->limit != 0) {
        struct log_record record;
        int got = log_next(&cursor, &record);
        if (got < 0) err = got;
        if (got == 0 && (!cat->live || cursor.ended)) break;
        if (got == 0) err = cat_wait(cat);
        if (got != 1 || record.seq <= cat->above || record.seq >= cat->below) continue;
        if (cat->limit > 0) cat->limit--;
        err = cat_put(cat, &record);
    }
    if (err == 1) return OK;
    int late = cat_flush(cat);
    return err != OK ? err : late == 1 ? OK : late;
}

static int cat_open(const struct config *config, struct cat *cat)
{
    int err = cat_range(config, cat);
    if (err == OK) err = cli_open_log(config, &cat->log);
    if (err != OK || !cat->live) return err;
    char *path = NULL;
    err = cli_log_path(config, &path);
    if (err == OK) cat_watch(cat, path);
    free(path);
    return err;
}

int cli_cat(int argc, char **argv)
{
    struct config config;
    struct cat cat = { .notify_fd = -1 };
    int code = EX_OK;
    buf_init(&cat.out, OUT_MAX);
    if (!cli_begin(CONFIG_CAT, argc, argv, 0, &config, &code)) goto out;
    (void)signal(SIGPIPE, SIG_IGN);
    int err = cat_open(&config, &cat);
    if (err == OK) err = cat_run(&cat);
    if (err != OK) code = cli_fail("cat", err);
out:
    if (cat.notify_fd >= 0) (void)close(cat.notify_fd);
    buf_free(&cat.out);
    log_close(cat.log);
    config_free(&config);
    return code;
}
