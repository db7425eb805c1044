/* Any bytes as a record with a box in it, as a box, and as what is in a box: opening survives, and what is shown of an opened record is JSON whose content is what was in the
 * box. Run with tests/fuzz/corpus/private. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/text.h"
#include "store/err.h"
#include "store/message.h"
#include "store/private_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX ((size_t)8 << 20)

static struct box1_key key;
static struct ref reader;

static void must(bool fine)
{
    if (!fine) abort();
}

static void fuzz_ready(void)
{
    static const uint8_t seed[32] = { 9 };
    uint8_t secret[64];
    if (reader.kind == REF_FEED) return;
    must(sodium_init() >= 0);
    (void)crypto_sign_seed_keypair(reader.id, secret, seed);
    reader.kind = REF_FEED;
    must(box1_key_of(secret, &key) == OK);
}

/* What is shown of an opened record. */
static void fuzz_shown(struct slice shown)
{
    struct message message;
    message_init(&message);
    must(message_scan(&message, shown.data, shown.len) == OK);
    if (json_valid(shown)) must(message.is_opened && !message.is_private);
    message_free(&message);
}

static void fuzz_record(struct slice record, struct buf *out)
{
    struct slice format;
    buf_reset(out);
    if (private_record_format(record, &format)) must(format.len > 0 && format.len <= PRIVATE_FORMAT_MAX);
    if (private_record_open(&key, record, out) == 1) fuzz_shown((struct slice){ out->data, out->len });
    buf_reset(out);
    (void)box1_open(&key, record, out);
}

/* The bytes in a box, and that in a record. */
static void fuzz_plain(struct slice plain, struct buf *record, struct buf *out)
{
    static const char before[] = "{\"key\":\"%\",\"value\":{\"content\":\"";
    struct slice content;
    buf_reset(record);
    buf_reset(out);
    must(buf_puts(record, before) == OK && box1_seal(plain, &reader, 1, record) == OK);
    const struct slice box = { record->data + sizeof before - 1, record->len - (sizeof before - 1) };
    must(box1_open(&key, box, out) == 1 && out->len == plain.len &&
         (plain.len == 0 || memcmp(out->data, plain.data, plain.len) == 0));
    must(buf_puts(record, "\"}}") == OK);
    buf_reset(out);
    if (private_record_open(&key, (struct slice){ record->data, record->len }, out) != 1) return;
    const struct slice shown = { out->data, out->len };
    must(json_valid(shown));
    fuzz_shown(shown);
    content = (struct slice){ shown.data + sizeof before - 2, plain.len };
    must(memcmp(content.data, plain.data, plain.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf record, out;
    if (size > TEXT_MAX / 8) return 0;
    fuzz_ready();
    /* a copy of its own, so that the sanitizer sees every byte read past the end */
    char *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    buf_init(&record, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    fuzz_record((struct slice){ copy, size }, &out);
    fuzz_plain((struct slice){ copy, size }, &record, &out);
    buf_free(&record);
    buf_free(&out);
    free(copy);
    return 0;
}
