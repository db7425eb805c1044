#include "store/message_keys.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"

#define KEYS_FEW 24 /* so many are compared pair by pair */

struct message_keys *message_keys_new(void)
{
    struct message_keys *keys = malloc(sizeof *keys);
    if (keys == NULL) return NULL;
    keys->keys = NULL;
    keys->count = keys->cap = keys->depth = 0;
    keys->struck = false;
    return keys;
}

void message_keys_free(struct message_keys *keys)
{
    if (keys == NULL) return;
    free(keys->keys);
    free(keys);
}

static uint64_t keys_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ (hash >> 29);
}

static uint64_t keys_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Equal texts have equal hashes; it need not be more, for what has an equal hash is compared. */
static uint32_t keys_hash(struct slice text, const char *end)
{
    const char *p = text.data;
    size_t len = text.len;
    uint64_t hash = len, word = 0;
    if (len >= 8) {
        for (; len > 8; len -= 8, p += 8)
            hash = keys_mix(hash, keys_word(p));
        word = keys_word(text.data + text.len - 8);
    } else if (end - p < 8) {
        for (size_t i = 0; i < len; i++)
            word |= (uint64_t)(unsigned char)p[i] << (8 * i);
    } else if (len > 0) {
        word = keys_word(p);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        word &= UINT64_MAX >> (64 - 8 * len);
    }
    return (uint32_t)(keys_mix(hash, word) >> 32);
}

static int keys_grow(struct message_keys *keys)
{
    size_t cap = keys->cap == 0 ? 64 : 2 * keys->cap;
    struct message_key *grown = realloc(keys->keys, cap * sizeof *grown);
    if (grown == NULL) return err_set(ERR_NOMEM, "scanning a record: no memory for %zu keys", cap);
    keys->keys = grown;
    keys->cap = cap;
    return OK;
}

int message_keys_push(struct message_keys *keys, struct slice text, const char *end, size_t ref_count)
{
    if (keys->count == keys->cap) {
        int err = keys_grow(keys);
        if (err != OK) return err;
    }
    keys->keys[keys->count++] =
        (struct message_key){ .text = text, .hash = keys_hash(text, end), .first_ref = (uint32_t)ref_count };
    return OK;
}

static bool keys_same(const struct message_key *a, const struct message_key *b)
{
    return a->hash == b->hash && a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
}

/* The references between a replaced member and its next sibling. */
static void keys_strike(struct message_keys *keys, const struct message_key *replaced, struct message *message)
{
    for (size_t i = replaced[0].first_ref; i < replaced[1].first_ref; i++) {
        message->refs[i].ref.kind = REF_NONE;
        keys->struck = true;
    }
}

static void keys_settle_few(struct message_keys *keys, size_t base, struct message *message)
{
    const struct message_key *all = keys->keys;
    for (size_t i = base; i + 1 < keys->count; i++) {
        bool replaced = false;
        uint32_t hash = all[i].hash;
        for (size_t j = i + 1; j < keys->count; j++)
            if (hash == all[j].hash) replaced = replaced || keys_same(&all[i], &all[j]);
        if (replaced) keys_strike(keys, &all[i], message);
    }
}

/* Same keys end up side by side, in text order. */
static int keys_order(const void *a, const void *b)
{
    const struct message_key *x = *(const struct message_key *const *)a, *y = *(const struct message_key *const *)b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->text.len != y->text.len) return x->text.len < y->text.len ? -1 : 1;
    int order = memcmp(x->text.data, y->text.data, x->text.len);
    return order != 0 ? order : x < y ? -1 : 1;
}

static int keys_settle_many(struct message_keys *keys, size_t base, struct message *message)
{
    size_t n = keys->count - base;
    const struct message_key **sorted = malloc(n * sizeof *sorted);
    if (sorted == NULL) return err_set(ERR_NOMEM, "scanning a record: no memory to compare %zu keys", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &keys->keys[base + i];
    qsort(sorted, n, sizeof *sorted, keys_order);
    for (size_t i = 0; i + 1 < n; i++)
        if (keys_same(sorted[i], sorted[i + 1])) keys_strike(keys, sorted[i], message);
    free(sorted);
    return OK;
}

int message_keys_settle(struct message_keys *keys, size_t base, struct message *message)
{
    int err = OK;
    size_t n = keys->count - base;
    bool any = n > 1 && message->ref_count > keys->keys[base].first_ref;
    if (any && n <= KEYS_FEW)
        keys_settle_few(keys, base, message);
    else if (any)
        err = keys_settle_many(keys, base, message);
    keys->count = base;
    return err;
}
