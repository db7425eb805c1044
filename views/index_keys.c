#include "views/index_keys.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/kv.h"

void index_put_u64be(uint8_t *out, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

uint64_t index_get_u64be(const uint8_t *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

void index_put_u64le(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        out[i] = (uint8_t)value;
}

uint64_t index_get_u64le(const uint8_t *in)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | in[i];
    return value;
}

int index_grow(void *ptr, size_t *cap, size_t used, size_t size)
{
    if (used < *cap) return OK;
    if (used >= INDEX_KEYS_MAX)
        return err_set(ERR_LIMIT, "more than %zu entries in one batch of a view", INDEX_KEYS_MAX);
    size_t more = *cap < 64 ? 64 : *cap * 2;
    void *old;
    memcpy(&old, ptr, sizeof old);
    void *grown = realloc(old, more * size);
    if (grown == NULL) return err_set(ERR_NOMEM, "no memory for %zu entries of a view", more);
    memcpy(ptr, &grown, sizeof grown);
    *cap = more;
    return OK;
}

void index_keys_init(struct index_keys *keys)
{
    *keys = (struct index_keys){ 0 };
    /* Where the set stands in memory differs from run to run, so nobody can choose keys that meet in one slot. */
    keys->seed = ((uint64_t)(uintptr_t)keys ^ (uint64_t)(uintptr_t)&index_keys_init << 16) | 1;
}

void index_keys_free(struct index_keys *keys)
{
    free(keys->keys);
    free(keys->slots);
    free(keys->bytes);
    *keys = (struct index_keys){ 0 };
}

void index_keys_reset(struct index_keys *keys)
{
    keys->count = keys->byte_count = 0;
    if (keys->slots != NULL) memset(keys->slots, 0, keys->slot_count * sizeof *keys->slots);
}

size_t index_keys_bytes(const struct index_keys *keys)
{
    return keys->cap * sizeof *keys->keys + keys->slot_count * sizeof *keys->slots + keys->byte_cap;
}

static uint64_t keys_mix(uint64_t hash, uint64_t word)
{
    __extension__ unsigned __int128 product = (unsigned __int128)(hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t keys_hash(const struct index_keys *keys, struct slice key)
{
    uint64_t hash = keys->seed ^ key.len, word;
    size_t at = 0;
    for (; key.len - at >= 8; at += 8) {
        memcpy(&word, key.data + at, 8);
        hash = keys_mix(hash, word) + keys->seed;
    }
    word = 0;
    if (at < key.len) memcpy(&word, key.data + at, key.len - at);
    hash = keys_mix(hash, word);
    return (uint32_t)(hash ^ hash >> 32);
}

static int keys_rehash(struct index_keys *keys)
{
    size_t count = keys->slot_count == 0 ? 128 : keys->slot_count * 2;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL) return err_set(ERR_NOMEM, "no memory for %zu keys of a view", count);
    for (size_t i = 0; i < keys->count; i++) {
        size_t slot = keys->keys[i].hash & (count - 1);
        while (slots[slot] != 0)
            slot = (slot + 1) & (count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    free(keys->slots);
    keys->slots = slots;
    keys->slot_count = count;
    return OK;
}

static int keys_store(struct index_keys *keys, struct slice key, uint32_t hash)
{
    int err = index_grow(&keys->keys, &keys->cap, keys->count, sizeof *keys->keys);
    if (err != OK) return err;
    while (keys->byte_cap - keys->byte_count < key.len) {
        err = index_grow(&keys->bytes, &keys->byte_cap, keys->byte_cap, 1);
        if (err != OK) return err;
    }
    if (key.len > 0) memcpy(keys->bytes + keys->byte_count, key.data, key.len);
    keys->keys[keys->count++] = (struct index_key){ hash, (uint32_t)key.len, keys->byte_count };
    keys->byte_count += key.len;
    return OK;
}

int index_keys_add(struct index_keys *keys, struct slice key, uint32_t *ret_id)
{
    if (key.len > KV_KEY_MAX) return err_set(ERR_LIMIT, "a key of %zu bytes is too long for a view", key.len);
    if (keys->count >= keys->slot_count / 2) {
        int err = keys_rehash(keys);
        if (err != OK) return err;
    }
    uint32_t hash = keys_hash(keys, key);
    size_t slot = hash & (keys->slot_count - 1);
    for (; keys->slots[slot] != 0; slot = (slot + 1) & (keys->slot_count - 1)) {
        uint32_t id = keys->slots[slot] - 1;
        const struct index_key *known = &keys->keys[id];
        if (known->hash != hash || known->len != key.len) continue;
        if (memcmp(keys->bytes + known->at, key.data, key.len) != 0) continue;
        *ret_id = id;
        return OK;
    }
    int err = keys_store(keys, key, hash);
    if (err != OK) return err;
    keys->slots[slot] = (uint32_t)keys->count;
    *ret_id = (uint32_t)keys->count - 1;
    return OK;
}

struct slice index_keys_get(const struct index_keys *keys, uint32_t id)
{
    const struct index_key *key = &keys->keys[id];
    return (struct slice){ keys->bytes + key->at, key->len };
}

uint64_t index_prefix(struct slice key)
{
    uint8_t bytes[8] = { 0 };
    memcpy(bytes, key.data, key.len < 8 ? key.len : 8);
    return index_get_u64be(bytes);
}

void index_radix_sort(struct index_sort *items, struct index_sort *spare, size_t n)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        size_t starts[256] = { 0 };
        for (size_t i = 0; i < n; i++)
            starts[items[i].prefix >> shift & 255]++;
        if (n == 0 || starts[items[0].prefix >> shift & 255] == n) continue;
        size_t at = 0;
        for (size_t i = 0; i < 256; i++) {
            size_t count = starts[i];
            starts[i] = at;
            at += count;
        }
        for (size_t i = 0; i < n; i++)
            spare[starts[items[i].prefix >> shift & 255]++] = items[i];
        memcpy(items, spare, n * sizeof *items);
    }
}

static int keys_compare(const void *a, const void *b, void *ctx)
{
    const struct index_keys *keys = *(const struct index_keys **)ctx;
    struct slice left = index_keys_get(keys, ((const struct index_sort *)a)->id);
    struct slice right = index_keys_get(keys, ((const struct index_sort *)b)->id);
    int order = memcmp(left.data, right.data, left.len < right.len ? left.len : right.len);
    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

int index_keys_sort(const struct index_keys *keys, struct index_sort **ret_order)
{
    size_t n = keys->count;
    struct index_sort *order = calloc(2 * n + 1, sizeof *order);
    if (order == NULL) return err_set(ERR_NOMEM, "no memory to sort %zu keys of a view", n);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct index_sort){ index_prefix(index_keys_get(keys, (uint32_t)i)), (uint32_t)i };
    index_radix_sort(order, order + n, n);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && order[to].prefix == order[from].prefix;)
            to++;
        if (to - from > 1) qsort_r(order + from, to - from, sizeof *order, keys_compare, &keys);
    }
    *ret_order = order;
    return OK;
}
