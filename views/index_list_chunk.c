#include "views/index_list_chunk.h"

#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"

static size_t varint_put(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

static bool varint_get(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1) return false;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static uint64_t zigzag(uint64_t from, uint64_t to)
{
    uint64_t diff = to - from;
    return diff << 1 ^ (diff >> 63 != 0 ? UINT64_MAX : 0);
}

static uint64_t unzigzag(uint64_t from, uint64_t coded)
{
    return from + (coded >> 1 ^ ((coded & 1) != 0 ? UINT64_MAX : 0));
}

static int chunk_damaged(void)
{
    return err_set(ERR_CORRUPT, "a list of the views holds a damaged chunk; rebuild the views");
}

void chunk_start(struct chunk *chunk, bool payload, uint32_t ordinal, const struct list_entry *entry)
{
    chunk->payload = payload;
    chunk->ordinal = ordinal;
    chunk->count = 1;
    chunk->first = chunk->last = entry->at;
    chunk->last_payload = entry->payload;
    chunk->len = payload ? varint_put(chunk->bytes, zigzag(0, entry->payload)) : 0;
}

bool chunk_add(struct chunk *chunk, const struct list_entry *entry)
{
    uint8_t coded[20];
    size_t n = varint_put(coded, entry->at - chunk->last);
    if (chunk->payload) n += varint_put(coded + n, zigzag(chunk->last_payload, entry->payload));
    if (chunk->count == LIST_CHUNK_ENTRIES || n > sizeof chunk->bytes - chunk->len) return false;
    memcpy(chunk->bytes + chunk->len, coded, n);
    chunk->len += n;
    chunk->count++;
    chunk->last = entry->at;
    chunk->last_payload = entry->payload;
    return true;
}

size_t chunk_key(bool payload, uint32_t run, const struct term *term, uint64_t at, uint32_t ordinal,
                 uint8_t key[CHUNK_KEY_MAX])
{
    uint8_t *out = key;
    if (!payload) {
        index_put_u32be(out, run);
        out += 4;
    }
    memcpy(out, term->bytes, term->len);
    out += term->len;
    if (payload)
        index_put_u64be(out, at);
    else
        index_put_u32be(out, run_rest(run, at));
    out += payload ? 8 : 4;
    if (ordinal == 0) return (size_t)(out - key);
    index_put_u32be(out, ordinal);
    return (size_t)(out - key) + 4;
}

size_t chunk_value(const struct chunk *chunk, uint8_t value[CHUNK_VALUE_MAX])
{
    size_t n = varint_put(value, chunk->count);
    n += varint_put(value + n, chunk->last - chunk->first);
    memcpy(value + n, chunk->bytes, chunk->len);
    return n + chunk->len;
}

int chunk_head_read(bool payload, const struct term *term, struct slice key, struct slice value,
                    struct chunk_head *ret_head)
{
    size_t before = payload ? 0 : 4, fixed = payload ? 8 : 4;
    if (key.len < before + term->len || memcmp(key.data + before, term->bytes, term->len) != 0) return 0;
    size_t rest = key.len - before - term->len;
    const uint8_t *tail = (const uint8_t *)key.data + before + term->len;
    if (rest != fixed && rest != fixed + 4) return chunk_damaged();
    struct chunk_head head = { .first = payload ? index_get_u64be(tail) : index_get_u32be(tail) };
    if (!payload) {
        if (head.first > RUN_REST_MAX) return chunk_damaged();
        head.first = run_join(chunk_key_run(payload, key), (uint32_t)head.first);
    }
    if (rest != fixed) head.ordinal = index_get_u32be(tail + fixed);
    const uint8_t *at = (const uint8_t *)value.data, *end = at + value.len;
    uint64_t count, span;
    if (!varint_get(&at, end, &count) || !varint_get(&at, end, &span)) return chunk_damaged();
    if (count == 0 || count > LIST_CHUNK_ENTRIES || span > UINT64_MAX - head.first) return chunk_damaged();
    if (!payload && span > RUN_REST_MAX) return chunk_damaged();
    head.count = (size_t)count;
    head.last = head.first + span;
    head.entries = (struct slice){ (const char *)at, (size_t)(end - at) };
    *ret_head = head;
    return 1;
}

int chunk_key_term(bool payload, struct slice key, struct term *ret_term)
{
    size_t before = payload ? 0 : 4;
    if (key.len < 9 || key.len - 8 > TERM_MAX)
        return err_set(ERR_CORRUPT, "a list of the views holds a damaged key; rebuild the views");
    ret_term->len = (uint8_t)(key.len - 8);
    memcpy(ret_term->bytes, key.data + before, ret_term->len);
    return OK;
}

/* Entries from the one behind `entry`, the `from`-th, up to `to` (not with it): false = damaged. */
static inline bool entries_unpack(const uint8_t **at, const uint8_t *end, bool payload, uint64_t last, size_t from,
                                  size_t to, struct list_entry *entry, struct list_entry *entries)
{
    for (size_t i = from; i < to; i++) {
        uint64_t coded;
        if (i > 0) {
            if (!varint_get(at, end, &coded) || coded > last - entry->at) return false;
            entry->at += coded;
        }
        if (payload) {
            if (!varint_get(at, end, &coded)) return false;
            entry->payload = unzigzag(entry->payload, coded);
        }
        entries[i] = *entry;
    }
    return true;
}

int chunk_unpack(const struct chunk_head *head, bool payload, struct list_entry *entries)
{
    const uint8_t *at = (const uint8_t *)head->entries.data, *end = at + head->entries.len;
    struct list_entry entry = { head->first, 0 };
    bool good = entries_unpack(&at, end, payload, head->last, 0, head->count, &entry, entries);
    return good && entry.at == head->last && at == end ? OK : chunk_damaged();
}

void chunk_reader_start(const struct chunk_head *head, struct chunk_reader *ret_reader)
{
    const uint8_t *at = (const uint8_t *)head->entries.data;
    *ret_reader = (struct chunk_reader){ at, at + head->entries.len, head->last, head->count, 0, { head->first, 0 } };
}

int chunk_reader_go(struct chunk_reader *reader, bool payload, size_t upto, struct list_entry *entries)
{
    const uint8_t *at = reader->at;
    struct list_entry entry = reader->entry;
    if (upto > reader->count) upto = reader->count;
    if (!entries_unpack(&at, reader->end, payload, reader->last, reader->done, upto, &entry, entries))
        return chunk_damaged();
    reader->at = at;
    reader->entry = entry;
    reader->done = upto;
    return upto < reader->count || (entry.at == reader->last && at == reader->end) ? OK : chunk_damaged();
}

/* The last payload is known only after reading all; a list without payload needs no look at its entries. */
static int chunk_last_payload(const struct chunk_head *head, uint64_t *ret_payload)
{
    const uint8_t *at = (const uint8_t *)head->entries.data, *end = at + head->entries.len;
    uint64_t payload = 0, coded;
    for (size_t i = 0; i < head->count; i++) {
        if (i > 0 && !varint_get(&at, end, &coded)) return chunk_damaged();
        if (!varint_get(&at, end, &coded)) return chunk_damaged();
        payload = unzigzag(payload, coded);
    }
    *ret_payload = payload;
    return OK;
}

int chunk_reopen(const struct chunk_head *head, bool payload, struct chunk *ret_chunk)
{
    uint64_t last_payload = 0;
    if (head->entries.len > sizeof ret_chunk->bytes) return chunk_damaged();
    int err = payload ? chunk_last_payload(head, &last_payload) : OK;
    if (err != OK) return err;
    ret_chunk->payload = payload;
    ret_chunk->ordinal = head->ordinal;
    ret_chunk->count = head->count;
    ret_chunk->first = head->first;
    ret_chunk->last = head->last;
    ret_chunk->last_payload = last_payload;
    ret_chunk->len = head->entries.len;
    if (head->entries.len > 0) memcpy(ret_chunk->bytes, head->entries.data, head->entries.len);
    return OK;
}
