/* A set of byte strings that numbers them 0, 1, 2 … as they first come, and can tell their order by bytes. The index shapes gather a batch in
 * it: thousands of entries share few keys, and none of them costs an allocation of its own. */
#ifndef VIEWS_INDEX_KEYS_H
#define VIEWS_INDEX_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

struct index_key {
    uint32_t hash;
    uint32_t len;
    size_t at; /* in `bytes` */
};

/* For radix_sort: sorted by `prefix`, equal ones stay in their order. */
struct index_sort {
    uint64_t prefix;
    uint32_t id;
};

struct index_keys {
    struct index_key *keys;
    size_t count, cap;
    uint32_t *slots; /* hash table of id + 1; 0 = free */
    size_t slot_count;
    char *bytes;
    size_t byte_count, byte_cap;
    uint64_t seed;
};

#define INDEX_KEYS_MAX ((size_t)1 << 30)

void index_keys_init(struct index_keys *keys);
void index_keys_free(struct index_keys *keys);
void index_keys_reset(struct index_keys *keys); /* empty, memory kept */

/* The number of `key`, which is added if it is new: its number is then the `count` from before. ERR_NOMEM, ERR_LIMIT. */
int index_keys_add(struct index_keys *keys, struct slice key, uint32_t *ret_id);

/* Borrowed until the next add. */
struct slice index_keys_get(const struct index_keys *keys, uint32_t id);

/* The ids in the byte order of their keys; the caller frees. */
int index_keys_sort(const struct index_keys *keys, struct index_sort **ret_order);

/* Bytes of memory held. */
size_t index_keys_bytes(const struct index_keys *keys);

/* Sorts `items` by prefix with the help of `spare`, which holds as many. */
void index_radix_sort(struct index_sort *items, struct index_sort *spare, size_t n);

/* The first 8 bytes as a number that sorts as they do; missing ones are zero. */
uint64_t index_prefix(struct slice key);

/* Doubles a growing array: `*ptr` holds `*cap` items of `size` bytes, and more than `used` of them afterwards. */
int index_grow(void *ptr, size_t *cap, size_t used, size_t size);

void index_put_u64be(uint8_t *out, uint64_t value);
uint64_t index_get_u64be(const uint8_t *in);
void index_put_u64le(uint8_t *out, uint64_t value);
uint64_t index_get_u64le(const uint8_t *in);

#endif
