#include "server/cli.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "server/cli_common.h"
#include "server/import_batch.h"
#include "server/progress.h"
#include "store/err.h"

#define SYNC_BYTES ((size_t)8 << 20)          /* text between two appends that wait for the disk */
#define APPEND_WAIT_MS (INT64_C(3600) * 1000) /* views that the chain rule needs may have to be built first */

/* Nobody reads meanwhile, so the views go on in large steps, which cost less. Those that cost most (late, view.h) leave what is more than a moment's
 * work to the server that is started next: it builds them in one go while it answers. */
#define REST_MS 3600000
#define REST_BYTES (INT64_C(1) << 50)
#define LAG_LINGER_MS 500 /* where lines come slowly, the views do not wait for more of them */
#define LAG_ENTRIES 100000
#define LAG_BYTES ((int64_t)64 << 20)

struct import {
    struct flume *flume;
    struct line_reader reader;
    struct progress progress;
    unsigned threads;
    size_t unsynced; /* bytes of text appended without waiting for the disk */
    int64_t imported, duplicates;

    pthread_mutex_t lock;
    pthread_cond_t over;
    bool in_flight; /* one append at a time, so that the next batch is checked meanwhile; or the views are waited for */
};

static void flight_over(struct import *import)
{
    (void)pthread_mutex_lock(&import->lock);
    import->in_flight = false;
    (void)pthread_cond_signal(&import->over);
    (void)pthread_mutex_unlock(&import->lock);
}

static void flight_wait(struct import *import)
{
    (void)pthread_mutex_lock(&import->lock);
    while (import->in_flight)
        (void)pthread_cond_wait(&import->over, &import->lock);
    (void)pthread_mutex_unlock(&import->lock);
}

static void on_done(struct flume_append *job)
{
    flight_over(job->ctx);
}

static int append_start(struct import *import, struct import_batch *batch, size_t count, bool strong)
{
    batch->job = (struct flume_append){
        .messages = batch->any ? NULL : batch->messages,
        .values = batch->any ? batch->values : NULL,
        .count = count,
        .relaxed = !strong,
        .deadline_ms = flume_now_ms() + APPEND_WAIT_MS,
        .done = on_done,
        .ctx = import,
        .seqs = batch->seqs,
    };
    import->in_flight = true;
    int err = flume_append(import->flume, &batch->job);
    if (err != OK) import->in_flight = false;
    return err;
}

static int append_wait(struct import *import, struct import_batch *batch)
{
    flight_wait(import);
    if (batch->job.err == OK) {
        import->imported += (int64_t)(batch->job.count - batch->job.duplicates);
        import->duplicates += (int64_t)batch->job.duplicates;
        return OK;
    }
    return err_set(batch->job.err, "%s", batch->job.detail);
}

/* Waits for the append of `batch`. When one value is to blame, those before it are appended all the same. */
static int append_end(struct import *import, struct import_batch *batch)
{
    int err = append_wait(import, batch);
    if (err != ERR_FORK && err != ERR_INVALID) return err;
    size_t good = batch->job.index;
    if (good >= batch->count) return err;
    char detail[sizeof batch->job.detail];
    memcpy(detail, batch->job.detail, sizeof detail);
    batch->stop_line = batch->lines[good].number;
    if (good > 0) {
        int again = append_start(import, batch, good, true);
        if (again == OK) again = append_wait(import, batch);
        if (again != OK) return again;
    }
    return err_set(err, "%s", detail);
}

static int append_begin(struct import *import, struct import_batch *batch)
{
    import->unsynced += batch->text.len;
    bool strong = import->unsynced >= SYNC_BYTES || batch->stop_err != OK || import->reader.ended;
    if (strong) import->unsynced = 0;
    return append_start(import, batch, batch->count, strong);
}

/* Two batches take turns: one is read and checked while the other is appended. *ret_line is the line to blame for an error, 0 = none. */
static int import_all(struct import *import, struct import_batch *const batches[2], int64_t *ret_line)
{
    struct import_batch *before = NULL;
    int err = OK;
    int64_t lines = 0;
    for (int turn = 0; err == OK; turn ^= 1) {
        struct import_batch *batch = batches[turn];
        int got = import_batch_read(batch, &import->reader);
        if (got == 1) import_batch_check(batch, import->threads);
        if (before != NULL) err = append_end(import, before);
        if (err != OK && before != NULL) *ret_line = before->stop_line;
        if (err != OK || got != 1) break;

        lines += (int64_t)batch->count;
        progress_show(&import->progress, import->reader.bytes, import->reader.size, lines);
        before = NULL;
        if (batch->count > 0) {
            err = append_begin(import, batch);
            before = batch;
        }
        if (err != OK || batch->stop_err == OK) continue;
        if (before != NULL) err = append_end(import, before);
        *ret_line = err == OK ? batch->stop_line : before->stop_line;
        if (err == OK) err = err_set(batch->stop_err, "%s", batch->stop_detail);
    }
    return err;
}

static void on_views(void *ctx, int err)
{
    (void)err; /* what they miss they catch up with at the next start */
    flight_over(ctx);
}

/* So that the server that is started next has them at once. */
static void views_wait(struct import *import)
{
    uint32_t views = 0;
    for (uint32_t id = 0; id < VIEW_COUNT; id++)
        if (!flume_view(import->flume, (enum view_id)id)->ops->late) views |= UINT32_C(1) << id;
    import->in_flight = true;
    int64_t deadline = flume_now_ms() + APPEND_WAIT_MS;
    if (flume_wait(import->flume, views, flume_head(import->flume), deadline, on_views, import, NULL) == 0)
        flight_wait(import);
}

static int import_report(const struct import *import, int err, int64_t line)
{
    if (err == OK) {
        printf("imported %" PRId64 " messages (%" PRId64 " already there)\n", import->imported, import->duplicates);
        return EX_OK;
    }
    char where[48] = "";
    if (line > 0) (void)snprintf(where, sizeof where, "line %" PRId64 ": ", line);
    fprintf(stderr, "sluice import: %s%s; %" PRId64 " messages before it were imported (%" PRId64 " already there)\n",
            where, err_detail(err), import->imported, import->duplicates);
    return cli_exit_code(err);
}

static int import_run(const struct config *config, struct import *import)
{
    bool any = strcmp(config->accept, "any") == 0;
    struct import_batch *batches[2] = { import_batch_new(any, config->trust), import_batch_new(any, config->trust) };
    int64_t line = 0;
    int err = batches[0] == NULL || batches[1] == NULL ? err_set(ERR_NOMEM, "out of memory") : OK;
    progress_start(&import->progress, "import", "messages");
    if (err == OK) err = import_all(import, batches, &line);
    progress_end(&import->progress);
    if (err == OK) views_wait(import);
    /* Also ends an append that is under way still: the batches must live as long. */
    flume_close(import->flume);
    import->flume = NULL;
    import_batch_free(batches[0]);
    import_batch_free(batches[1]);
    return import_report(import, err, line);
}

static int import_open(const struct config *config, struct cli_source *source, struct flume **ret_flume)
{
    int err = cli_source_init(config, true, source);
    if (err != OK) return err;
    const struct flume_options options = {
        .open_log = cli_source_open,
        .open_ctx = source,
        .views_dir = source->views_path,
        .accept_any = strcmp(config->accept, "any") == 0,
        .late = { .pause_ms = REST_MS, .ms = REST_MS, .bytes = REST_BYTES },
        .lag = { .linger_ms = LAG_LINGER_MS, .ms = REST_MS, .entries = LAG_ENTRIES, .bytes = LAG_BYTES },
    };
    return flume_open(&options, ret_flume);
}

int cli_import(int argc, char **argv)
{
    struct config config;
    struct cli_source source = { 0 };
    int code = EX_OK;
    struct import import = { .reader.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    import.threads = cores < 1 ? 1 : (unsigned)cores;
    if (!cli_begin(CONFIG_IMPORT, argc, argv, 1, &config, &code)) goto out;
    if (config.data == NULL) {
        code = cli_usage("import", "where to? give --data DIR");
        goto out;
    }
    int err = line_reader_open(&import.reader, config.arguments[0], LOG_RECORD_MAX);
    if (err == OK) err = import_open(&config, &source, &import.flume);
    code = err == OK ? import_run(&config, &import) : cli_fail("import", err);
out:
    line_reader_close(&import.reader);
    cli_source_free(&source);
    config_free(&config);
    return code;
}
