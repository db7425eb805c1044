#include "views/index_list_writer.h"

#include <stdlib.h>

#include "store/err.h"

int writer_open(struct kv_txn *txn, kv_table table, bool payload, struct list_writer **ret_writer)
{
    struct list_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return err_set(ERR_NOMEM, "no memory to write a list");
    *writer = (struct list_writer){ .txn = txn, .table = table, .payload = payload };
    int err = kv_cursor_open(txn, table, &writer->cursor);
    if (err == OK)
        *ret_writer = writer;
    else
        free(writer);
    return err;
}

void writer_close(struct list_writer *writer)
{
    kv_cursor_close(writer->cursor);
    free(writer);
}

static int writer_flush(struct list_writer *writer)
{
    if (!writer->open || !writer->dirty) return OK;
    uint8_t key[CHUNK_KEY_MAX], value[CHUNK_VALUE_MAX];
    const struct chunk *chunk = &writer->chunk;
    const struct slice k = { (const char *)key,
                             chunk_key(writer->payload, writer->run, writer->term, chunk->first, chunk->ordinal, key) };
    const struct slice v = { (const char *)value, chunk_value(chunk, value) };
    writer->dirty = false;
    return writer->behind ? kv_append(writer->txn, writer->table, k, v) : kv_put(writer->txn, writer->table, k, v);
}

static int writer_add(struct list_writer *writer, const struct list_entry *entry)
{
    if (writer->open && chunk_add(&writer->chunk, entry)) {
        writer->dirty = true;
        return OK;
    }
    int err = writer_flush(writer);
    if (err != OK) return err;
    bool same = writer->open && writer->chunk.first == entry->at;
    chunk_start(&writer->chunk, writer->payload, same ? writer->chunk.ordinal + 1 : 0, entry);
    writer->open = writer->dirty = true;
    return OK;
}

static int writer_add_all(struct list_writer *writer, const struct list_entry *entries, size_t n)
{
    int err = OK;
    for (size_t i = 0; i < n && err == OK; i++)
        err = writer_add(writer, &entries[i]);
    return err == OK ? writer_flush(writer) : err;
}

/* 1 = the chunk is one of the term in this run, 0, <0. */
static int writer_look(const struct list_writer *writer, struct slice key, struct slice value,
                       struct chunk_head *ret_head)
{
    struct chunk_head head;
    int found = chunk_head_read(writer->payload, writer->term, key, value, &head);
    if (found != 1) return found;
    if (chunk_key_run(writer->payload, key) != writer->run) return 0;
    *ret_head = head;
    return 1;
}

static uint64_t writer_first_at(const struct list_writer *writer)
{
    return writer->payload ? 0 : run_join(writer->run, 0);
}

static uint64_t writer_last_at(const struct list_writer *writer)
{
    if (writer->payload) return UINT64_MAX;
    uint32_t after = run_after(writer->run, writer->runs);
    return after == RUN_NONE ? LIST_AT_MAX : run_join(after, 0) - 1;
}

/* The last chunk of the term that begins at or before `at`: 1, 0, <0. */
static int writer_find(struct list_writer *writer, uint64_t at, struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    const struct slice limit = { (const char *)bytes,
                                 chunk_key(writer->payload, writer->run, writer->term, at, UINT32_MAX, bytes) };
    int found = kv_before(writer->cursor, limit, &key, &value);
    return found == 1 ? writer_look(writer, key, value, ret_head) : found;
}

int writer_take(struct list_writer *writer, uint64_t at, uint32_t ordinal, struct list_entry **ret_entries,
                size_t *ret_count)
{
    struct list_entry *entries = NULL;
    size_t count = 0, cap = 0;
    uint8_t bytes[CHUNK_KEY_MAX];
    int err = OK;
    for (;;) {
        size_t len = chunk_key(writer->payload, writer->run, writer->term, at, ordinal, bytes);
        const struct slice from = { (const char *)bytes, len };
        struct slice key, value;
        struct chunk_head head;
        int found = kv_seek(writer->cursor, from, &key, &value);
        if (found == 1) found = writer_look(writer, key, value, &head);
        if (found < 0) err = found;
        if (found != 1) break;
        while (err == OK && cap - count < head.count)
            err = index_grow(&entries, &cap, cap, sizeof *entries);
        if (err == OK) err = chunk_unpack(&head, writer->payload, entries + count);
        if (err != OK) break;
        count += head.count;
        const struct slice old = { (const char *)bytes, chunk_key(writer->payload, writer->run, writer->term,
                                                                  head.first, head.ordinal, bytes) };
        err = kv_del(writer->txn, writer->table, old);
        if (err < 0) break;
        err = OK;
        writer->taken++;
    }
    if (err != OK) {
        free(entries);
        return err;
    }
    *ret_entries = entries;
    *ret_count = count;
    return OK;
}

/* Entries that belong between those that are there: the list is laid out anew from the first place that changes. */
static int writer_insert(struct list_writer *writer, const struct list_entry *entries, size_t n)
{
    struct chunk_head head = { 0 };
    struct list_entry *old = NULL;
    size_t old_count = 0, i = 0, j = 0;
    int found = writer_find(writer, entries[0].at, &head);
    if (found < 0) return found;
    int err = writer_take(writer, found == 1 ? head.first : writer_first_at(writer), found == 1 ? head.ordinal : 0,
                          &old, &old_count);
    if (err != OK) return err;
    writer->open = found == 1 && head.ordinal > 0;
    if (writer->open) {
        /* The chunk before it begins with the same `at`: a full one, so that the ordinal goes on from there. */
        writer->chunk = (struct chunk){ .payload = writer->payload, .ordinal = head.ordinal - 1, .first = head.first };
        writer->chunk.last = head.first;
        writer->chunk.count = LIST_CHUNK_ENTRIES;
        writer->dirty = false;
    }
    while (err == OK && (i < old_count || j < n)) {
        bool take_old = i < old_count && (j == n || old[i].at <= entries[j].at);
        err = writer_add(writer, take_old ? &old[i++] : &entries[j++]);
    }
    if (err == OK) err = writer_flush(writer);
    free(old);
    return err;
}

int writer_term(struct list_writer *writer, const struct term *term, const struct list_entry *entries, size_t n)
{
    writer->term = term;
    writer->open = writer->dirty = false;
    if (writer->behind) return writer_add_all(writer, entries, n);
    struct chunk_head head;
    int found = writer_find(writer, writer_last_at(writer), &head);
    if (found < 0) return found;
    if (found == 1 && head.last > entries[0].at) return writer_insert(writer, entries, n);
    if (found == 1) {
        int err = chunk_reopen(&head, writer->payload, &writer->chunk);
        if (err != OK) return err;
        writer->open = true;
    }
    return writer_add_all(writer, entries, n);
}

int writer_begin(struct list_writer *writer, const struct term *term)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    const struct slice first = { (const char *)bytes,
                                 chunk_key(writer->payload, writer->run, term, writer_first_at(writer), 0, bytes) };
    int behind = kv_ends_before(writer->txn, writer->table, first);
    writer->behind = behind == 1;
    return behind < 0 ? behind : OK;
}

const struct list_entry *writer_part(const struct list_writer *writer, const struct list_entry *entries, size_t n,
                                     size_t *ret_count, uint64_t *next)
{
    size_t from = 0, to;
    while (from < n && entries[from].at < writer_first_at(writer))
        from++;
    uint64_t last = writer_last_at(writer);
    for (to = n; to > from && entries[to - 1].at > last;)
        to--;
    if (to < n && entries[to].at < *next) *next = entries[to].at;
    *ret_count = to - from;
    return entries + from;
}
