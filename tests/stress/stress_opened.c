/* One appender, and threads that read its log as the reader of a secret sees it: each record is opened by whoever comes first, and is the same for all. For ThreadSanitizer. */
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/log_opened.h"
#include "tests/support/scratch.h"

#define RECORDS 6000
#define BOXES 64
#define READERS 5
#define TEXT_MAX ((size_t)4096)

struct stress {
    struct log *below;
    struct log *opened;
    struct buf texts[BOXES]; /* of records; those of even numbers are encrypted for the reader */
    atomic_int failed;
};

static void fail(struct stress *stress, const char *what, int code)
{
    (void)fprintf(stderr, "stress: %s: %s\n", what, code < 0 ? err_detail(code) : "wrong answer");
    atomic_store(&stress->failed, 1);
}

static struct log *give_below(void *ctx)
{
    return ((struct stress *)ctx)->below;
}

static int64_t give_head(void *ctx)
{
    return log_durable(((struct stress *)ctx)->below);
}

static void check(struct stress *stress, const struct log_record *record, int n)
{
    static const char mark[] = "\"private\":true}}";
    struct log_record again;
    bool opened = record->value.len > sizeof mark - 1 &&
                  memcmp(record->value.data + record->value.len - (sizeof mark - 1), mark, sizeof mark - 1) == 0;
    if (opened != (n % BOXES % 2 == 0)) fail(stress, "a record", 0);
    if (log_get(stress->opened, record->seq, &again) != OK || again.value.data != record->value.data)
        fail(stress, "get", 0);
}

static void *read_all(void *arg)
{
    struct stress *stress = arg;
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record records[7];
    int n = 0, got = log_cursor_open(stress->opened, &range, &cursor);
    while (got >= 0 && n < RECORDS && atomic_load(&stress->failed) == 0) {
        got = n % 2 == 0 ? log_next_many(&cursor, records, 7) : log_next(&cursor, records);
        for (int i = 0; i < got; i++)
            check(stress, &records[i], n++);
        if (log_refresh(stress->opened) < 0) fail(stress, "refresh", 0);
    }
    if (got < 0) fail(stress, "next", got);
    return NULL;
}

static void append_all(struct stress *stress)
{
    for (int n = 0; n < RECORDS; n++) {
        const struct buf *text = &stress->texts[n % BOXES];
        struct slice value = { text->data, text->len };
        int err = log_append(stress->below, &value, 1, NULL);
        if (err == OK && n % 500 == 0) err = log_sync(stress->below);
        if (err != OK) fail(stress, "append", err);
    }
}

/* The texts of the records, and the log as its reader sees it. */
static int stress_open(struct stress *stress, const char *folder, struct box1_key *key)
{
    static const uint8_t seed[32] = { 3 };
    struct ref reader = { .kind = REF_FEED };
    uint8_t secret[64];
    if (sodium_init() < 0) return ERR_IO;
    (void)crypto_sign_seed_keypair(reader.id, secret, seed);
    int err = box1_key_of(secret, key);
    for (int i = 0; i < BOXES && err == OK; i++) {
        struct buf *text = &stress->texts[i];
        buf_init(text, TEXT_MAX);
        (void)buf_puts(text, "{\"key\":\"%\",\"value\":{\"content\":");
        if (i % 2 == 0) {
            (void)buf_putc(text, '"');
            err = box1_seal(SLICE_LITERAL("{\"type\":\"post\"}"), &reader, 1, text);
            (void)buf_putc(text, '"');
        } else {
            (void)buf_puts(text, "{\"text\":\"ends in .box\"}");
        }
        (void)buf_puts(text, "}}");
        if (err == OK) err = text->err;
    }
    const struct log_opened_options options = {
        .below = give_below, .look = give_head, .ctx = stress, .key = key, .reader = &reader, .folder = folder
    };
    return err == OK ? log_opened_open(&options, &stress->opened) : err;
}

int main(void)
{
    char *folder = scratch_make();
    char path[SCRATCH_PATH];
    struct stress stress = { .below = NULL };
    struct box1_key key;
    pthread_t threads[READERS];
    scratch_path(folder, "log.offset", path);
    const struct log_offset_options options = { .path = path };
    if (log_offset_open(&options, NULL, &stress.below) != OK || stress_open(&stress, folder, &key) != OK) return 1;
    for (size_t i = 0; i < READERS; i++)
        if (pthread_create(&threads[i], NULL, read_all, &stress) != 0) return 1;
    append_all(&stress);
    for (size_t i = 0; i < READERS; i++)
        (void)pthread_join(threads[i], NULL);
    log_close(stress.opened);
    log_close(stress.below);
    for (size_t i = 0; i < BOXES; i++)
        buf_free(&stress.texts[i]);
    scratch_remove(folder);
    return atomic_load(&stress.failed);
}
