#include "server/import_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/parallel.h"
#include "server/sent.h"
#include "store/canonical.h"
#include "store/err.h"
#include "store/json.h"

struct import_batch *import_batch_new(bool any, bool trust)
{
    struct import_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    batch->any = any;
    batch->trust = trust;
    buf_init(&batch->text, IMPORT_BATCH_BYTES + LOG_RECORD_MAX);
    return batch;
}

static void batch_empty(struct import_batch *batch)
{
    for (size_t i = 0; i < IMPORT_BATCH_LINES; i++) {
        feed_message_free(&batch->messages[i]);
        batch->messages[i] = (struct feed_message){ 0 };
    }
    buf_reset(&batch->text);
    batch->count = 0;
    batch->stop_err = OK;
    batch->stop_line = 0;
}

void import_batch_free(struct import_batch *batch)
{
    if (batch == NULL) return;
    batch_empty(batch);
    buf_free(&batch->text);
    free(batch);
}

static void batch_stop(struct import_batch *batch, int err, int64_t line)
{
    (void)snprintf(batch->stop_detail, sizeof batch->stop_detail, "%s", err_detail(err));
    batch->stop_err = err;
    batch->stop_line = line;
}

int import_batch_read(struct import_batch *batch, struct line_reader *reader)
{
    batch_empty(batch);
    int got = 1;
    while (got == 1 && batch->count < IMPORT_BATCH_LINES && batch->text.len < IMPORT_BATCH_BYTES) {
        struct slice line;
        got = line_reader_next(reader, &line);
        if (got != 1) break;
        size_t at = batch->text.len;
        int err = buf_append(&batch->text, line.data, line.len);
        if (err != OK)
            got = err;
        else
            batch->lines[batch->count++] = (struct import_line){ .at = at, .len = line.len, .number = reader->line };
    }
    if (got < 0) batch_stop(batch, got, 0);
    return batch->count > 0 || got < 0 ? 1 : 0;
}

/* ---- checking one line ---- */

static int check_key(struct slice key, const struct feed_message *message)
{
    struct buf text;
    char id[REF_TEXT_MAX];
    size_t len = ref_print(&message->id, id);
    buf_init(&text, 1024);
    int err = json_is_string(key) ? json_unescape(key, &text) : ERR_JSON;
    bool same = err == OK && text.len == len && memcmp(text.data, id, len) == 0;
    buf_free(&text);
    if (same) return OK;
    return err_set(ERR_INVALID, "the key is %.*s but the message's id is %.*s", (int)(key.len < 100 ? key.len : 100),
                   key.data, (int)len, id);
}

static double clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1000 + (double)(now.tv_nsec / 1000) / 1000;
}

static int check_message(const struct import_batch *batch, struct slice line, struct feed_message *message)
{
    struct sent sent;
    double received = clock_ms();
    sent_read(line, &sent);
    int err = batch->trust ? feed_check_unsigned(sent.value.data, sent.value.len, message)
                           : feed_check(sent.value.data, sent.value.len, NULL, message);
    if (err == OK && sent.key.data != NULL) err = check_key(sent.key, message);
    if (err != OK) return err;
    if (sent.timestamp.data != NULL) (void)json_number(sent.timestamp, &received);
    return feed_record(message, received);
}

static int check_any(struct slice line)
{
    struct canonical *doc = NULL;
    int err = canonical_parse(line.data, line.len, &doc);
    canonical_free(doc);
    return err;
}

static int check_line(struct import_batch *batch, size_t i)
{
    struct slice text = { batch->text.data + batch->lines[i].at, batch->lines[i].len };
    batch->values[i] = text;
    return batch->any ? check_any(text) : check_message(batch, text, &batch->messages[i]);
}

/* ---- checking all of them ---- */

static void check_one(void *ctx, size_t i)
{
    struct import_batch *batch = ctx;
    batch->lines[i].err = check_line(batch, i);
}

void import_batch_check(struct import_batch *batch, unsigned threads)
{
    parallel_run(batch->count, threads, check_one, batch);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->lines[i].err == OK) continue;
        /* The reason was told to the thread that found it: find it again for this one. */
        feed_message_free(&batch->messages[i]);
        batch->messages[i] = (struct feed_message){ 0 };
        batch_stop(batch, check_line(batch, i), batch->lines[i].number);
        batch->count = i;
    }
}
