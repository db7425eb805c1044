/* Batches of several clients that come at once, are given up in the middle, or hold a message that is refused: to be run under ThreadSanitizer. */
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "server/ahead.h"
#include "store/err.h"

#define CLIENTS 4
#define BATCHES 40
#define LINES 60
#define STEP 3000

static struct ahead_pool *pool;
static struct buf good, bad; /* `bad` has one in the middle that is refused */
static atomic_int failed;

static int message_sign(struct buf *out)
{
    uint8_t public_key[32], secret_key[64];
    char author[REF_TEXT_MAX], text[600];
    struct ref id = { .kind = REF_FEED };
    (void)crypto_sign_keypair(public_key, secret_key);
    memcpy(id.id, public_key, sizeof public_key);
    int len = snprintf(text, sizeof text,
                       "{\"previous\":null,\"author\":\"%.*s\",\"sequence\":1,\"timestamp\":1,\"hash\":\"sha256\","
                       "\"content\":{\"type\":\"post\",\"text\":\"%300s\"}}",
                       (int)ref_print(&id, author), author, "");
    return feed_sign(text, (size_t)len, secret_key, NULL, out);
}

static void bodies_make(const struct buf *message)
{
    buf_init(&good, 1 << 20);
    buf_init(&bad, 1 << 20);
    for (int i = 0; i < LINES; i++) {
        (void)buf_append(&good, message->data, message->len);
        (void)buf_append(&bad, message->data, message->len - (i == LINES / 2));
        (void)buf_putc(&good, '\n');
        (void)buf_putc(&bad, '\n');
    }
}

/* One batch from its first byte to its end, or to `upto`. */
static bool batch_come(const struct buf *body, size_t upto, size_t expected)
{
    struct feed_message messages[LINES] = { { .sequence = 0 } };
    size_t refused = 0;
    struct ahead *batch = ahead_new(pool, LINES);
    if (batch == NULL) return false;
    for (size_t len = STEP; len < upto; len += STEP)
        ahead_more(batch, (struct slice){ body->data, len });
    bool right = true;
    if (upto == body->len)
        right = ahead_end(batch, (struct slice){ body->data, body->len }, LINES, messages, &refused) == OK &&
                refused == expected;
    ahead_free(batch);
    for (int i = 0; i < LINES; i++)
        feed_message_free(&messages[i]);
    return right;
}

static void *client(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < BATCHES; i++) {
        bool right = batch_come(&good, good.len, LINES) && batch_come(&bad, bad.len, LINES / 2) &&
                     batch_come(&good, good.len / 2, 0);
        if (!right) atomic_store(&failed, 1);
    }
    return NULL;
}

int main(void)
{
    struct buf message;
    pthread_t threads[CLIENTS];
    buf_init(&message, 4096);
    if (sodium_init() < 0 || message_sign(&message) != OK || ahead_pool_start(2, &pool) != OK) return 1;
    bodies_make(&message);
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&threads[i], NULL, client, NULL) != 0) return 1;
    for (int i = 0; i < CLIENTS; i++)
        (void)pthread_join(threads[i], NULL);
    if (ahead_pool_bytes(pool) != 0) atomic_store(&failed, 1);
    ahead_pool_stop(pool);
    buf_free(&message);
    buf_free(&good);
    buf_free(&bad);
    return atomic_load(&failed);
}
