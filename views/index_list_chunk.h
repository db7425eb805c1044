/* The bytes of one chunk of a list; the layout is told in index_list.h. For index_list*.c alone. */
#ifndef VIEWS_INDEX_LIST_CHUNK_H
#define VIEWS_INDEX_LIST_CHUNK_H

#include "views/index_list.h"

/* Small enough that LMDB keeps two or more in a page: a longer value would take pages of its own. */
#define CHUNK_BYTES_MAX 1000
#define CHUNK_VALUE_MAX (CHUNK_BYTES_MAX + 20)
#define CHUNK_KEY_MAX (TERM_MAX + 12)

/* A chunk that is being filled. */
struct chunk {
    bool payload;
    uint32_t ordinal;
    size_t count;
    uint64_t first, last, last_payload;
    size_t len;
    uint8_t bytes[CHUNK_BYTES_MAX];
};

void chunk_start(struct chunk *chunk, bool payload, uint32_t ordinal, const struct list_entry *entry);

/* false = the chunk is full and stays as it is. `entry->at` must not be below chunk->last. */
bool chunk_add(struct chunk *chunk, const struct list_entry *entry);

/* Key and value as stored; answer their lengths. */
size_t chunk_key(bool payload, uint32_t run, const struct term *term, uint64_t at, uint32_t ordinal,
                 uint8_t key[CHUNK_KEY_MAX]);
size_t chunk_value(const struct chunk *chunk, uint8_t value[CHUNK_VALUE_MAX]);

/* The run that an `at` or a key belongs to; all of a list with payload is in run 0. */
static inline uint32_t chunk_run(bool payload, uint64_t at, struct index_runs runs)
{
    return payload ? 0 : run_of(at, runs);
}
static inline uint32_t chunk_key_run(bool payload, struct slice key)
{
    return payload || key.len < 4 ? 0 : index_get_u32be((const uint8_t *)key.data);
}

/* The term of a list's first chunk in a run, which has no ordinal. */
int chunk_key_term(bool payload, struct slice key, struct term *ret_term);

/* What a stored chunk says without being unpacked. */
struct chunk_head {
    uint64_t first, last;
    uint32_t ordinal;
    size_t count;
    struct slice entries;
};

/* 1 = a chunk of this term, 0 = of another one, ERR_CORRUPT. */
int chunk_head_read(bool payload, const struct term *term, struct slice key, struct slice value,
                    struct chunk_head *ret_head);

/* Unpacks a chunk a part at a time, from its beginning; reads the stored bytes, which must stay. */
void chunk_reader_start(const struct chunk_head *head, struct chunk_reader *ret_reader);

/* Goes on up to entry `upto` (not with it) of the chunk, or to its end; entries[i] gets the i-th one. */
int chunk_reader_go(struct chunk_reader *reader, bool payload, size_t upto, struct list_entry *entries);

/* head->count entries. */
int chunk_unpack(const struct chunk_head *head, bool payload, struct list_entry *entries);

/* Makes a chunk of a stored one, to go on filling it. */
int chunk_reopen(const struct chunk_head *head, bool payload, struct chunk *ret_chunk);

#endif
