/* A run of message ids as one value, which is read where it lies: sorted, and in front of them a directory that says where the ids with the
 * same first bits end. Ids are hashes, so a search touches two places of it, however long it is; ids that somebody made up cost the
 * steps of a binary search.
 *
 * Bytes: 2^bits times u32 BE, the number of ids whose first `bits` bits are not above that; then for each id its first 8 bytes and the place of
 * its record in the run (u32 BE), ascending. `bits` follows from the number of ids: about ID_RUN_BUCKET of them between two entries. */
#ifndef VIEWS_ID_RUN_H
#define VIEWS_ID_RUN_H

#include "store/buf.h"
#include "views/index_keys.h"

#define ID_PREFIX 8
#define ID_BYTES (ID_PREFIX + 4)
#define ID_RUN_BUCKET 8
#define ID_RUN_BITS_MAX 26

struct id_run {
    const uint8_t *ends; /* the directory */
    const uint8_t *ids;
    size_t count;
    unsigned bits;
};

/* Of at least one item (prefix: the first 8 bytes of an id; id: the place of its record), sorted by both. The caller frees *ret_bytes. */
int id_run_make(const struct index_sort *items, size_t count, uint8_t **ret_bytes, size_t *ret_len);

/* A view of `value`, which must stay. ERR_CORRUPT if its length is that of no run. */
int id_run_open(struct slice value, struct id_run *ret_run);

/* Has the processor fetch what id_run_find reads first. */
void id_run_fetch(const struct id_run *run, uint64_t prefix);

/* The ids from *ret_from up to *ret_to (not with it) are all that can have the prefix, and the processor is told to fetch them. ERR_CORRUPT. */
int id_run_bucket(const struct id_run *run, uint64_t prefix, size_t *ret_from, size_t *ret_to);

/* The first of them whose prefix is not below. */
size_t id_run_lower(const struct id_run *run, uint64_t prefix, size_t from, size_t to);

static inline uint64_t id_run_prefix(const struct id_run *run, size_t i)
{
    return index_get_u64be(run->ids + i * ID_BYTES);
}
static inline uint32_t id_run_place(const struct id_run *run, size_t i)
{
    return index_get_u32be(run->ids + i * ID_BYTES + ID_PREFIX);
}

#endif
