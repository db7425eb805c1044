/* A set of byte strings that numbers them 0, 1, 2 … as they first come, and can tell their order by bytes. The index shapes gather a batch in
 * it: thousands of entries share few keys, and none of them costs an allocation of its own. */
#ifndef VIEWS_INDEX_KEYS_H
#define VIEWS_INDEX_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

/* For radix_sort: sorted by `prefix`, equal ones stay in their order. */
struct index_sort {
    uint64_t prefix;
    uint64_t id;
};

struct index_keys {
    size_t extra;  /* bytes kept with each key for the owner, zero at first; a multiple of 4 */
    uint32_t *ats; /* of each id: where its record stands in `bytes`, in words */
    size_t count, cap;
    struct index_slot {
        uint32_t hash;
        uint32_t at; /* + 1; 0 = free */
    } * slots;       /* hash table */
    size_t slot_count;
    char *bytes; /* records: id, length of the key, extra, key */
    size_t byte_count, byte_cap;
    uint64_t seed;
};

#define INDEX_KEYS_MAX ((size_t)1 << 30)

void index_keys_init(struct index_keys *keys, size_t extra);
void index_keys_free(struct index_keys *keys);
void index_keys_reset(struct index_keys *keys); /* empty, memory kept */

/* The number of `key`, which is added if it is new: its number is then the `count` from before. ERR_NOMEM, ERR_LIMIT. */
int index_keys_add(struct index_keys *keys, struct slice key, uint32_t *ret_id);

/* The same in two steps, between which a caller with several keys lets the processor fetch what all of them will need. */
uint32_t index_keys_hash(const struct index_keys *keys, struct slice key);
int index_keys_add_hashed(struct index_keys *keys, struct slice key, uint32_t hash, uint32_t *ret_id);
void index_keys_fetch_slot(const struct index_keys *keys, uint32_t hash);
void index_keys_fetch_record(const struct index_keys *keys, uint32_t hash); /* once the slot is there */

bool index_keys_find(const struct index_keys *keys, struct slice key, uint32_t *ret_id); /* false = it is not there */

/* Both borrowed until the next add. */
struct slice index_keys_get(const struct index_keys *keys, uint32_t id);
void *index_keys_extra(const struct index_keys *keys, uint32_t id);

/* The ids in the byte order of their keys; the caller frees. */
int index_keys_sort(const struct index_keys *keys, struct index_sort **ret_order);

/* Bytes of memory in use. */
size_t index_keys_bytes(const struct index_keys *keys);

/* Sorts `items` by prefix with the help of `spare`, which holds as many. */
void index_radix_sort(struct index_sort *items, struct index_sort *spare, size_t n);

/* The first 8 bytes as a number that sorts as they do; missing ones are zero. */
uint64_t index_prefix(struct slice key);

/* Doubles a growing array: `*ptr` holds `*cap` items of `size` bytes, and more than `used` of them afterwards. */
int index_grow(void *ptr, size_t *cap, size_t used, size_t size);

/* Postings are kept in runs: stretches of the log, so that what is new touches few pages, however large the log is. The log is cut into
 * units of 16 MiB, and those into groups of 32. The unit of the newest entry is a run of its own, and so is what stands before it in
 * its group, and each group before that. The unit before the newest one stays a run for a while: it is moved into the one in front of
 * it term by term, a few at each write (index_list_join.h). Otherwise the newest entry alone says which runs a table has. A run is named
 * by its first unit, which stands in front of the key; the place in the run stands behind it. Seqs are below 2^53, so both fit 32 bits. */
#define RUN_UNIT_BITS 24
#define RUN_GROUP_UNITS UINT32_C(32)
#define RUN_REST_MAX ((RUN_GROUP_UNITS << RUN_UNIT_BITS) - 1)
#define RUN_NONE UINT32_MAX
#define RUN_SEQ_MAX (((uint64_t)RUN_NONE << RUN_UNIT_BITS) - 1)

/* Which runs a table has. */
struct index_runs {
    uint32_t newest; /* unit of the newest entry */
    uint32_t
        joining; /* the unit that is being moved: a term is in it or in the run in front of it, never in both; or RUN_NONE */
};

static inline uint32_t run_unit(uint64_t seq)
{
    return (uint32_t)(seq >> RUN_UNIT_BITS);
}

static inline uint32_t run_group(uint32_t unit)
{
    return unit - unit % RUN_GROUP_UNITS;
}

/* The run that holds `seq`, or held it before its term was moved; what is behind the newest entry would be in the newest run. */
static inline uint32_t run_of(uint64_t seq, struct index_runs runs)
{
    uint32_t unit = run_unit(seq);
    if (unit >= runs.newest) return runs.newest;
    return unit >= runs.joining ? runs.joining : run_group(unit);
}

static inline uint64_t run_join(uint32_t run, uint32_t rest)
{
    return ((uint64_t)run << RUN_UNIT_BITS) + rest;
}

static inline uint32_t run_rest(uint32_t run, uint64_t seq)
{
    uint64_t rest = seq - run_join(run, 0);
    return rest < RUN_REST_MAX ? (uint32_t)rest : RUN_REST_MAX;
}

/* The runs after and before one; RUN_NONE. */
static inline uint32_t run_after(uint32_t run, struct index_runs runs)
{
    if (run >= runs.newest) return RUN_NONE;
    uint32_t after = run_group(run) == run_group(runs.newest) ? runs.newest : run_group(run) + RUN_GROUP_UNITS;
    return run < runs.joining && runs.joining < after ? runs.joining : after;
}

static inline uint32_t run_before(uint32_t run, struct index_runs runs)
{
    if (run == 0) return RUN_NONE;
    uint32_t before = run == run_group(run) ? run - RUN_GROUP_UNITS : run_group(run);
    return before < runs.joining && runs.joining < run ? runs.joining : before;
}

void index_put_u32be(uint8_t *out, uint32_t value);
void index_put_u64be(uint8_t *out, uint64_t value);
void index_put_u64le(uint8_t *out, uint64_t value);

/* In full, so that they become one load and one bswap. */
static inline uint32_t index_get_u32be(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static inline uint64_t index_get_u64be(const uint8_t *in)
{
    return (uint64_t)index_get_u32be(in) << 32 | index_get_u32be(in + 4);
}

static inline uint64_t index_get_u64le(const uint8_t *in)
{
    return __builtin_bswap64(index_get_u64be(in));
}

#endif
