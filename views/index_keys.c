#include "views/index_keys.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/kv.h"

void index_put_u32be(uint8_t *out, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

void index_put_u64be(uint8_t *out, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

void index_put_u64le(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        out[i] = (uint8_t)value;
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
    /* cppcheck-suppress memleak; it went out by the memcpy */
    return OK;
}

void index_keys_init(struct index_keys *keys, size_t extra)
{
    *keys = (struct index_keys){ .extra = extra };
    /* Where the set stands in memory differs from run to run, so nobody can choose keys that meet in one slot. */
    keys->seed = ((uint64_t)(uintptr_t)keys ^ (uint64_t)(uintptr_t)&index_keys_init << 16) | 1;
}

void index_keys_free(struct index_keys *keys)
{
    free(keys->ats);
    free(keys->slots);
    free(keys->bytes);
    index_keys_init(keys, keys->extra);
}

void index_keys_reset(struct index_keys *keys)
{
    /* A table that is far too large would cost more to clear than it saves. */
    if (keys->slot_count > 1024 && keys->count < keys->slot_count / 16) {
        free(keys->slots);
        keys->slots = NULL;
        keys->slot_count = 0;
    }
    if (keys->slots != NULL && keys->count > 0) memset(keys->slots, 0, keys->slot_count * sizeof *keys->slots);
    keys->count = keys->byte_count = 0;
}

size_t index_keys_bytes(const struct index_keys *keys)
{
    return keys->count * sizeof *keys->ats + keys->slot_count * sizeof *keys->slots + keys->byte_count;
}

static uint64_t keys_mix(uint64_t hash, uint64_t word)
{
    __extension__ unsigned __int128 product = (unsigned __int128)(hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t index_keys_hash(const struct index_keys *keys, struct slice key)
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

/* What stands in front of the key in its record. */
struct keys_head {
    uint32_t id, len;
};

static size_t keys_words(const struct index_keys *keys, size_t len)
{
    return (sizeof(struct keys_head) + keys->extra + len + 3) / 4;
}

static struct keys_head keys_head(const struct index_keys *keys, uint32_t at)
{
    struct keys_head head;
    memcpy(&head, keys->bytes + (size_t)at * 4, sizeof head);
    return head;
}

static const char *keys_text(const struct index_keys *keys, uint32_t at)
{
    return keys->bytes + (size_t)at * 4 + sizeof(struct keys_head) + keys->extra;
}

static int keys_rehash(struct index_keys *keys)
{
    size_t count = keys->slot_count == 0 ? 128 : keys->slot_count * 2;
    struct index_slot *slots = calloc(count, sizeof *slots);
    if (slots == NULL) return err_set(ERR_NOMEM, "no memory for %zu keys of a view", count);
    for (size_t i = 0; i < keys->slot_count; i++) {
        if (keys->slots[i].at == 0) continue;
        size_t slot = keys->slots[i].hash & (count - 1);
        while (slots[slot].at != 0)
            slot = (slot + 1) & (count - 1);
        slots[slot] = keys->slots[i];
    }
    free(keys->slots);
    keys->slots = slots;
    keys->slot_count = count;
    return OK;
}

/* Adds a record; its place becomes the newest of `ats`. */
static int keys_store(struct index_keys *keys, struct slice key)
{
    size_t bytes = 4 * keys_words(keys, key.len);
    int err = index_grow(&keys->ats, &keys->cap, keys->count, sizeof *keys->ats);
    while (err == OK && keys->byte_cap - keys->byte_count < bytes)
        err = index_grow(&keys->bytes, &keys->byte_cap, keys->byte_cap, 1);
    if (err != OK) return err;
    const struct keys_head head = { (uint32_t)keys->count, (uint32_t)key.len };
    char *out = keys->bytes + keys->byte_count;
    memcpy(out, &head, sizeof head);
    memset(out + sizeof head, 0, keys->extra);
    if (key.len > 0) memcpy(out + sizeof head + keys->extra, key.data, key.len);
    keys->ats[keys->count++] = (uint32_t)(keys->byte_count / 4);
    keys->byte_count += bytes;
    return OK;
}

int index_keys_add(struct index_keys *keys, struct slice key, uint32_t *ret_id)
{
    return index_keys_add_hashed(keys, key, index_keys_hash(keys, key), ret_id);
}

int index_keys_add_hashed(struct index_keys *keys, struct slice key, uint32_t hash, uint32_t *ret_id)
{
    if (key.len > KV_KEY_MAX) return err_set(ERR_LIMIT, "a key of %zu bytes is too long for a view", key.len);
    if (keys->count >= keys->slot_count / 2) {
        int err = keys_rehash(keys);
        if (err != OK) return err;
    }
    size_t slot = hash & (keys->slot_count - 1);
    for (; keys->slots[slot].at != 0; slot = (slot + 1) & (keys->slot_count - 1)) {
        if (keys->slots[slot].hash != hash) continue;
        uint32_t at = keys->slots[slot].at - 1;
        const struct keys_head head = keys_head(keys, at);
        if (head.len != key.len || memcmp(keys_text(keys, at), key.data, key.len) != 0) continue;
        *ret_id = head.id;
        return OK;
    }
    int err = keys_store(keys, key);
    if (err != OK) return err;
    keys->slots[slot] = (struct index_slot){ hash, keys->ats[keys->count - 1] + 1 };
    *ret_id = (uint32_t)keys->count - 1;
    return OK;
}

bool index_keys_find(const struct index_keys *keys, struct slice key, uint32_t *ret_id)
{
    if (keys->slot_count == 0) return false;
    uint32_t hash = index_keys_hash(keys, key);
    for (size_t slot = hash & (keys->slot_count - 1); keys->slots[slot].at != 0;
         slot = (slot + 1) & (keys->slot_count - 1)) {
        if (keys->slots[slot].hash != hash) continue;
        uint32_t at = keys->slots[slot].at - 1;
        const struct keys_head head = keys_head(keys, at);
        if (head.len != key.len || memcmp(keys_text(keys, at), key.data, key.len) != 0) continue;
        *ret_id = head.id;
        return true;
    }
    return false;
}

void index_keys_fetch_slot(const struct index_keys *keys, uint32_t hash)
{
    if (keys->slot_count > 0) __builtin_prefetch(&keys->slots[hash & (keys->slot_count - 1)]);
}

void index_keys_fetch_record(const struct index_keys *keys, uint32_t hash)
{
    if (keys->slot_count == 0) return;
    struct index_slot slot = keys->slots[hash & (keys->slot_count - 1)];
    if (slot.at != 0) __builtin_prefetch(keys->bytes + (size_t)(slot.at - 1) * 4);
}

struct slice index_keys_get(const struct index_keys *keys, uint32_t id)
{
    uint32_t at = keys->ats[id];
    return (struct slice){ keys_text(keys, at), keys_head(keys, at).len };
}

void *index_keys_extra(const struct index_keys *keys, uint32_t id)
{
    return keys->bytes + (size_t)keys->ats[id] * 4 + sizeof(struct keys_head);
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
    struct slice left = index_keys_get(keys, (uint32_t)((const struct index_sort *)a)->id);
    struct slice right = index_keys_get(keys, (uint32_t)((const struct index_sort *)b)->id);
    int order = memcmp(left.data, right.data, left.len < right.len ? left.len : right.len);
    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

int index_keys_sort(const struct index_keys *keys, struct index_sort **ret_order)
{
    size_t n = keys->count;
    struct index_sort *order = calloc(2 * n + 1, sizeof *order);
    if (order == NULL) return err_set(ERR_NOMEM, "no memory to sort %zu keys of a view", n);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct index_sort){ index_prefix(index_keys_get(keys, (uint32_t)i)), i };
    index_radix_sort(order, order + n, n);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && order[to].prefix == order[from].prefix;)
            to++;
        if (to - from > 1) qsort_r(order + from, to - from, sizeof *order, keys_compare, &keys);
    }
    *ret_order = order;
    return OK;
}
