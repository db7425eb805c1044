#include "views/id_run.h"

#include <stdlib.h>

#include "store/err.h"

/* floor(log2(count / ID_RUN_BUCKET)) */
static unsigned run_bits(size_t count)
{
    size_t buckets = count / ID_RUN_BUCKET;
    unsigned bits = buckets == 0 ? 0 : 63 - (unsigned)__builtin_clzll(buckets);
    return bits < ID_RUN_BITS_MAX ? bits : ID_RUN_BITS_MAX;
}

static size_t run_ends_len(unsigned bits)
{
    return (size_t)4 << bits;
}

static size_t run_bucket_of(uint64_t prefix, unsigned bits)
{
    return bits == 0 ? 0 : (size_t)(prefix >> (64 - bits));
}

int id_run_make(const struct index_sort *items, size_t count, uint8_t **ret_bytes, size_t *ret_len)
{
    unsigned bits = run_bits(count);
    size_t len = run_ends_len(bits) + count * ID_BYTES, i = 0;
    uint8_t *bytes = malloc(len);
    if (bytes == NULL) return err_set(ERR_NOMEM, "no memory for %zu message ids", count);
    for (size_t bucket = 0; bucket < (size_t)1 << bits; bucket++) {
        while (i < count && run_bucket_of(items[i].prefix, bits) <= bucket)
            i++;
        index_put_u32be(bytes + 4 * bucket, (uint32_t)i);
    }
    uint8_t *out = bytes + run_ends_len(bits);
    for (i = 0; i < count; i++, out += ID_BYTES) {
        index_put_u64be(out, items[i].prefix);
        index_put_u32be(out + ID_PREFIX, (uint32_t)items[i].id);
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return OK;
}

static int run_damaged(void)
{
    return err_set(ERR_CORRUPT, "the view messages holds a damaged run of ids; rebuild the views");
}

/* The directory takes some of the bytes, so `bits` may be one less than if all of them were ids, and only one of the two fits. */
int id_run_open(struct slice value, struct id_run *ret_run)
{
    unsigned most = run_bits(value.len / ID_BYTES);
    for (unsigned bits = most == 0 ? 0 : most - 1; bits <= most; bits++) {
        size_t directory = run_ends_len(bits);
        if (value.len <= directory || (value.len - directory) % ID_BYTES != 0) continue;
        size_t count = (value.len - directory) / ID_BYTES;
        if (run_bits(count) != bits) continue;
        const uint8_t *bytes = (const uint8_t *)value.data;
        *ret_run = (struct id_run){ bytes, bytes + directory, count, bits };
        return OK;
    }
    return run_damaged();
}

void id_run_fetch(const struct id_run *run, uint64_t prefix)
{
    __builtin_prefetch(run->ends + 4 * run_bucket_of(prefix, run->bits));
}

int id_run_bucket(const struct id_run *run, uint64_t prefix, size_t *ret_from, size_t *ret_to)
{
    size_t bucket = run_bucket_of(prefix, run->bits);
    size_t from = bucket == 0 ? 0 : index_get_u32be(run->ends + 4 * (bucket - 1));
    size_t to = index_get_u32be(run->ends + 4 * bucket);
    if (from > to || to > run->count) return run_damaged();
    if (from < to) {
        __builtin_prefetch(run->ids + from * ID_BYTES);
        __builtin_prefetch(run->ids + to * ID_BYTES - 1);
    }
    *ret_from = from;
    *ret_to = to;
    return OK;
}

size_t id_run_lower(const struct id_run *run, uint64_t prefix, size_t from, size_t to)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (id_run_prefix(run, middle) < prefix)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}
