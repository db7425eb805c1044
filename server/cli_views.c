#include "server/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "server/cli_common.h"
#include "server/progress.h"
#include "store/err.h"
#include "views/view_store.h"

#define LOOK_NS 50000000L

/* ---- status: from the saved state, beside a server or without one ---- */

struct view_line {
    const char *state; /* static text */
    int percent;
    struct view_state saved; /* if `built` */
    bool built;
};

static void judge(const struct view_ops *ops, struct log *log, struct view_line *line)
{
    int64_t head = log_since(log), bytes = log_bytes(log);
    const struct view_state *saved = &line->saved;
    line->percent = 0;
    if (!line->built)
        line->state = "not built";
    else if (saved->version != ops->version)
        line->state = "other version";
    else if (saved->log_identity != log_identity(log) || saved->since > head)
        line->state = "of another log";
    else if (saved->since == head)
        line->state = "ready";
    else
        line->state = "behind";
    if (strcmp(line->state, "ready") == 0)
        line->percent = 100;
    else if (strcmp(line->state, "behind") == 0 && saved->since > 0 && bytes > 0)
        line->percent = (int)((double)saved->since / (double)bytes * 100);
}

static int load_line(struct kv_txn *txn, const struct view_ops *ops, struct log *log, struct view_line *ret_line)
{
    struct view view;
    struct view_line line = { 0 };
    if (txn != NULL) {
        int err = view_store_open(txn, ops, &view);
        if (err != OK && err != ERR_NOTFOUND) return err; /* not found: a view that is newer than the folder */
        int found = err == OK ? view_store_load(txn, &view, &line.saved) : 0;
        if (found < 0) return found;
        line.built = found == 1;
    }
    judge(ops, log, &line);
    *ret_line = line;
    return OK;
}

static void print_line(const struct view_ops *ops, const struct view_line *line)
{
    char since[24] = "-";
    if (line->built) (void)snprintf(since, sizeof since, "%" PRId64, line->saved.since);
    printf("%-12s %7u  %-14s %4d %%  %14s\n", ops->name, (unsigned)ops->version, line->state, line->percent, since);
}

static int print_views(struct kv_txn *txn, struct log *log, const char *folder)
{
    printf("views in %s\nhead of the log %" PRId64 ", %" PRId64 " bytes\n\n%-12s %7s  %-14s %6s  %14s\n", folder,
           log_since(log), log_bytes(log), "NAME", "VERSION", "STATE", "DONE", "SINCE");
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        struct view_line line;
        int err = load_line(txn, view_list[i], log, &line);
        if (err != OK) return err;
        print_line(view_list[i], &line);
    }
    return OK;
}

static int show_views(const struct config *config, const struct cli_source *source)
{
    struct log *log = NULL;
    struct kv *kv = NULL;
    struct kv_txn *txn = NULL;
    int err = cli_open_log(config, &log);
    if (err != OK) return err;
    err = kv_open(source->views_path, false, NULL, &kv);
    if (err == OK) err = kv_begin_read(kv, &txn);
    if (err == ERR_NOFILE) err = OK; /* no views yet: all of them are shown as not built */
    /* The folder may have grown since the log was opened. */
    if (err == OK) err = log_refresh(log) < 0 ? ERR_CHANGED : OK;
    if (err == OK) err = print_views(txn, log, source->views_path);
    kv_abort(txn);
    kv_close(kv);
    log_close(log);
    return err;
}

/* ---- rebuild ---- */

static bool is_wanted(const char *wanted, const char *name)
{
    return strcmp(wanted, "all") == 0 || strcmp(wanted, name) == 0;
}

/* Bytes that the wanted views have done and have to do; true when all of them were built anew. */
static bool rebuild_progress(const struct flume_status *status, const char *wanted, int64_t *ret_done,
                             int64_t *ret_total)
{
    bool over = true;
    int64_t done = 0, total = 0;
    for (size_t i = 0; i < status->view_count; i++) {
        const struct flume_view_status *view = &status->views[i];
        if (!is_wanted(wanted, view->name)) continue;
        bool begun = view->why != NULL && strcmp(view->why, "asked") == 0;
        over = over && begun && view->ready;
        done += begun ? view->done : 0;
        total += view->total;
    }
    *ret_done = done;
    *ret_total = total;
    return over;
}

static int rebuild_wait(struct flume *flume, const char *wanted)
{
    struct progress progress;
    char label[64];
    (void)snprintf(label, sizeof label, "rebuild %.40s", wanted);
    progress_start(&progress, label, NULL);
    int err = OK;
    for (;;) {
        struct flume_status status;
        int64_t done = 0, total = 0;
        flume_status(flume, &status);
        if (rebuild_progress(&status, wanted, &done, &total)) break;
        err = flume_failure(flume);
        if (err != OK) break;
        progress_show(&progress, done, total, 0);
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        (void)nanosleep(&pause, NULL);
    }
    progress_end(&progress);
    return err;
}

static int rebuild(struct cli_source *source, const char *wanted)
{
    /* The log is only looked at, so a log whose owner is another program can be given as well. */
    source->owned = false;
    const struct flume_options options = {
        .open_log = cli_source_open,
        .open_ctx = source,
        .follow_path = source->log_path,
        .views_dir = source->views_path,
    };
    struct flume *flume = NULL;
    int64_t began = flume_now_ms();
    int err = flume_open(&options, &flume);
    if (err != OK) return err;
    err = flume_rebuild(flume, strcmp(wanted, "all") == 0 ? NULL : wanted);
    if (err == OK) err = rebuild_wait(flume, wanted);
    flume_close(flume);
    if (err == OK) printf("rebuilt %s in %.1f s\n", wanted, (double)(flume_now_ms() - began) / 1000);
    return err;
}

static int views_fail(int err)
{
    if (err != ERR_BUSY) return cli_fail("views", err);
    fprintf(stderr, "sluice views: refused while a server holds the views: %s; POST /views/NAME/rebuild asks it\n",
            err_detail(err));
    return EX_TEMPFAIL;
}

static bool known_view(const char *name)
{
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        if (is_wanted(name, view_list[i]->name)) return true;
    }
    return false;
}

int cli_views(int argc, char **argv)
{
    struct config config;
    struct cli_source source = { 0 };
    int code = EX_OK;
    if (!cli_begin(CONFIG_VIEWS, argc, argv, 0, &config, &code)) goto out;
    if (config.rebuild != NULL && !known_view(config.rebuild)) {
        code = cli_usage("views", "there is no view %.100s; `sluice views` lists them", config.rebuild);
        goto out;
    }
    int err = cli_source_init(&config, false, &source);
    if (err == OK) err = config.rebuild != NULL ? rebuild(&source, config.rebuild) : show_views(&config, &source);
    if (err != OK) code = views_fail(err);
out:
    cli_source_free(&source);
    config_free(&config);
    return code;
}
