#include "tests/support/flume_kit.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "views/view_batch.h"

static void must(bool ok, const char *what, int err)
{
    if (ok) return;
    (void)fprintf(stderr, "flume_kit: %s: %s (%s)\n", what, err_name(err), err_detail(err));
    abort();
}

/* ---- views ------------------------------------------------------------------------------------------------------ */

static atomic_int apply_err;
static atomic_uint apply_us, applied;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut, held;
    unsigned passes;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void gate_pass(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    while (gate.shut && gate.passes == 0) {
        gate.held = true;
        (void)pthread_cond_broadcast(&gate.changed);
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    }
    if (gate.passes > 0) gate.passes--;
    gate.held = false;
    (void)pthread_mutex_unlock(&gate.lock);
}

static void gate_set(bool shut, unsigned passes)
{
    (void)pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    gate.passes = passes;
    if (passes > 0 || !shut) gate.held = false;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.lock);
}

void kit_apply_hold(void)
{
    gate_set(true, 0);
}

void kit_apply_release(void)
{
    gate_set(false, 0);
}

void kit_apply_await(void)
{
    (void)pthread_mutex_lock(&gate.lock);
    while (!gate.held)
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    (void)pthread_mutex_unlock(&gate.lock);
}

void kit_apply_step(void)
{
    gate_set(true, 1);
    kit_apply_await();
}

static void key_of(int64_t seq, uint8_t key[8])
{
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)((uint64_t)seq >> (56 - 8 * i));
}

static int first_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct log_record item = { record->seq, record->message->record };
    return buf_append(&batch->own, &item, sizeof item);
}

static int first_write(const struct view *view, struct kv_txn *txn, struct view_batch *batch)
{
    int err = OK;
    for (size_t at = 0; err == OK && at < batch->own.len; at += sizeof(struct log_record)) {
        struct log_record item;
        uint8_t bytes[8];
        struct slice key = { (const char *)bytes, sizeof bytes }, there;
        memcpy(&item, batch->own.data + at, sizeof item);
        key_of(item.seq, bytes);
        if (kv_get(txn, view->tables[0], key, &there) != 0) return err_set(ERR_CORRUPT, "a record was applied twice");
        err = kv_append(txn, view->tables[0], key, item.value);
    }
    return err;
}

static int second_write(const struct view *view, struct kv_txn *txn, struct view_batch *batch)
{
    int err = atomic_load(&apply_err);
    if (err != OK) return err_set(err, "the view was told to fail");
    unsigned us = atomic_load(&apply_us);
    if (us > 0) usleep(us);
    gate_pass();
    (void)atomic_fetch_add(&applied, (unsigned)(batch->own.len / sizeof(struct log_record)));
    return first_write(view, txn, batch);
}

static const struct view_table kit_tables[] = { { .name = "records", .shape = TABLE_OWN }, { .name = NULL } };
static const struct view_ops first_ops = {
    .name = "first", .version = 1, .tables = kit_tables, .gather = first_gather, .write = first_write
};
static const struct view_ops second_ops = {
    .name = "second", .version = 1, .tables = kit_tables, .gather = first_gather, .write = second_write
};
static const struct view_ops newer_ops = {
    .name = "second", .version = 2, .tables = kit_tables, .gather = first_gather, .write = second_write
};

static const struct view_ops late_ops = {
    .name = "second", .version = 1, .tables = kit_tables, .late = true, .gather = first_gather, .write = second_write
};

const struct view_ops *const kit_views[] = { &first_ops, &second_ops, NULL };
const struct view_ops *const kit_views_newer[] = { &first_ops, &newer_ops, NULL };
const struct view_ops *const kit_views_late[] = { &first_ops, &late_ops, NULL };

void kit_apply_fails(int err)
{
    atomic_store(&apply_err, err);
}

void kit_apply_waits(unsigned us)
{
    atomic_store(&apply_us, us);
}

unsigned kit_applied(void)
{
    return atomic_load(&applied);
}

static bool same_record(struct kv_cursor *cursor, bool first, const struct log_record *record)
{
    uint8_t bytes[8];
    struct slice key, value;
    key_of(record->seq, bytes);
    if ((first ? kv_first(cursor, &key, &value) : kv_next(cursor, &key, &value)) != 1) return false;
    return key.len == 8 && memcmp(key.data, bytes, 8) == 0 && value.len == record->value.len &&
           memcmp(value.data, record->value.data, value.len) == 0;
}

bool kit_view_is_true(struct flume *flume, const char *name)
{
    struct flume_read read;
    struct kv_cursor *kv_cursor;
    struct log_cursor cursor;
    struct log_record record;
    struct slice key, value;
    const struct view *view = flume_view_named(flume, name);
    must(view != NULL && flume_read_begin(flume, &read) == OK, "reading", ERR_IO);
    int64_t since = flume_read_since(&read, view);
    struct log_range range = { 0, since, false };
    must(kv_cursor_open(read.txn, view->tables[0], &kv_cursor) == OK, "cursor", ERR_IO);
    must(log_cursor_open(read.log, &range, &cursor) == OK, "cursor", ERR_BOUNDARY);
    bool ok = true, first = true;
    for (; ok && log_next(&cursor, &record) == 1; first = false)
        ok = same_record(kv_cursor, first, &record);
    if (ok) ok = (first ? kv_first(kv_cursor, &key, &value) : kv_next(kv_cursor, &key, &value)) == 0;
    kv_cursor_close(kv_cursor);
    flume_read_end(&read);
    return ok;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

void kit_on_event(void *ctx, enum flume_event event)
{
    struct kit_events *events = ctx;
    switch (event) {
    case FLUME_HEAD: (void)atomic_fetch_add(&events->head, 1); break;
    case FLUME_INDEXED: (void)atomic_fetch_add(&events->indexed, 1); break;
    case FLUME_CHANGED: (void)atomic_fetch_add(&events->changed, 1); break;
    case FLUME_FAILED: (void)atomic_fetch_add(&events->failed, 1); break;
    }
}

struct flume_options kit_options(struct fake_disk *disk, const char *dir, struct kit_events *events)
{
    return (struct flume_options){
        .open_log = fake_disk_open,
        .open_ctx = disk,
        .views_dir = dir,
        .accept_any = true,
        .views = kit_views,
        .on_event = events != NULL ? kit_on_event : NULL,
        .event_ctx = events,
        .poll_ms = 20,
        .gather_max = 20000,
    };
}

struct flume *kit_open(const struct flume_options *options)
{
    struct flume *flume = NULL;
    int err = flume_open(options, &flume);
    must(err == OK, "flume_open", err);
    return flume;
}

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool done;
    int err;
};

static void bell_ring(struct bell *bell, int err)
{
    (void)pthread_mutex_lock(&bell->lock);
    bell->err = err;
    bell->done = true;
    (void)pthread_cond_signal(&bell->rung);
    (void)pthread_mutex_unlock(&bell->lock);
}

static int bell_wait(struct bell *bell)
{
    (void)pthread_mutex_lock(&bell->lock);
    while (!bell->done)
        (void)pthread_cond_wait(&bell->rung, &bell->lock);
    (void)pthread_mutex_unlock(&bell->lock);
    return bell->err;
}

static void wait_done(void *ctx, int err)
{
    bell_ring(ctx, err);
}

int kit_wait(struct flume *flume, uint32_t mask, int64_t seq, int64_t timeout_ms)
{
    struct bell bell = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
    uint64_t ticket;
    int err = flume_wait(flume, mask, seq, flume_now_ms() + timeout_ms, wait_done, &bell, &ticket);
    return err == 1 ? OK : err < 0 ? err : bell_wait(&bell);
}

int kit_wait_head(struct flume *flume, uint32_t mask)
{
    return kit_wait(flume, mask, flume_head(flume), KIT_WAIT_MS);
}

bool kit_until(bool (*test)(void *ctx), void *ctx)
{
    for (int i = 0; i < KIT_WAIT_MS / 5; i++) {
        if (test(ctx)) return true;
        usleep(5000);
    }
    return false;
}

/* ---- appending -------------------------------------------------------------------------------------------------- */

static void append_done(struct flume_append *job)
{
    bell_ring(job->ctx, job->err);
}

int kit_append(struct flume *flume, struct flume_append *job)
{
    struct bell bell = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
    job->done = append_done;
    job->ctx = &bell;
    int err = flume_append(flume, job);
    return err != OK ? err : bell_wait(&bell);
}

int kit_append_text(struct flume *flume, const char *text, bool relaxed, int64_t *ret_seq)
{
    struct slice value = { text, strlen(text) };
    int64_t seq = SEQ_EMPTY;
    struct flume_append job = { .values = &value, .count = 1, .relaxed = relaxed, .seqs = &seq };
    int err = kit_append(flume, &job);
    if (err == OK && ret_seq != NULL) *ret_seq = seq;
    return err;
}

int kit_append_messages(struct flume *flume, struct feed_message *messages, size_t n, int64_t *seqs,
                        struct flume_append *ret_job)
{
    struct flume_append job = {
        .messages = messages, .count = n, .seqs = seqs, .deadline_ms = flume_now_ms() + KIT_WAIT_MS
    };
    int err = kit_append(flume, &job);
    *ret_job = job;
    return err;
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

void kit_author_make(struct kit_author *author, uint8_t number)
{
    uint8_t seed[crypto_sign_SEEDBYTES] = { number };
    must(sodium_init() >= 0, "sodium_init", ERR_NOMEM);
    *author = (struct kit_author){ .id = { .kind = REF_FEED } };
    must(crypto_sign_seed_keypair(author->id.id, author->secret, seed) == 0, "keypair", ERR_ARG);
}

void kit_message(struct kit_author *author, const char *text, struct feed_message *ret_message)
{
    struct buf value, signed_value;
    char id[REF_TEXT_MAX], previous[REF_TEXT_MAX];
    buf_init(&value, 65536);
    buf_init(&signed_value, 65536);
    int id_len = (int)ref_print(&author->id, id);
    if (author->sequence == 0) {
        (void)buf_puts(&value, "{\"previous\":null");
    } else {
        int len = (int)ref_print(&author->last, previous);
        (void)buf_printf(&value, "{\"previous\":\"%.*s\"", len, previous);
    }
    (void)buf_printf(&value, ",\"author\":\"%.*s\",\"sequence\":%lld,\"timestamp\":%lld,\"hash\":\"sha256\"", id_len,
                     id, (long long)author->sequence + 1, 1500000000000LL + (long long)author->sequence);
    (void)buf_printf(&value, ",\"content\":{\"type\":\"post\",\"text\":\"%s\"}}", text);
    int err = feed_sign(value.data, value.len, author->secret, NULL, &signed_value);
    must(err == OK, "feed_sign", err);
    err = feed_check(signed_value.data, signed_value.len, NULL, ret_message);
    must(err == OK, "feed_check", err);
    author->last = ret_message->id;
    author->sequence++;
    buf_free(&value);
    buf_free(&signed_value);
}
