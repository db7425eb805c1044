#include "views/index_list.h"

#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_list_chunk.h"

int list_iter_open(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, bool reverse,
                   struct list_iter *ret_iter)
{
    struct kv_cursor *cursor;
    int err = kv_cursor_open(txn, table, &cursor);
    if (err != OK) return err;
    ret_iter->cursor = cursor;
    ret_iter->term = *term;
    ret_iter->payload = payload;
    ret_iter->reverse = reverse;
    ret_iter->loaded = false;
    ret_iter->count = ret_iter->next = 0;
    return OK;
}

void list_iter_close(struct list_iter *iter)
{
    if (iter == NULL) return;
    kv_cursor_close(iter->cursor);
    iter->cursor = NULL;
}

/* A loaded chunk of no entries stands for the end: nothing more in the direction of travel. */
static int iter_end(struct list_iter *iter)
{
    iter->loaded = true;
    iter->count = iter->next = 0;
    return 0;
}

static int iter_load(struct list_iter *iter, const struct chunk_head *head)
{
    int err = chunk_unpack(head, iter->payload, iter->entries);
    if (err != OK) return err;
    iter->loaded = true;
    iter->count = head->count;
    iter->next = 0;
    return 1;
}

/* The chunk after (reverse: before) the one the cursor is on: 1, 0, <0. */
static int iter_step(struct list_iter *iter, struct chunk_head *ret_head)
{
    struct slice key, value;
    int found = iter->reverse ? kv_prev(iter->cursor, &key, &value) : kv_next(iter->cursor, &key, &value);
    return found == 1 ? chunk_head_read(&iter->term, key, value, ret_head) : found;
}

/* The last chunk that begins before `at`, or at it too if `with`: 1, 0, <0. */
static int iter_before(struct list_iter *iter, uint64_t at, bool with, struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    const struct slice limit = { (const char *)bytes, chunk_key(&iter->term, at, with ? UINT32_MAX : 0, bytes) };
    int found = kv_before(iter->cursor, limit, &key, &value);
    return found == 1 ? chunk_head_read(&iter->term, key, value, ret_head) : found;
}

/* Loads the chunk that holds the first entry >= `at`. */
static int iter_jump_up(struct list_iter *iter, uint64_t at)
{
    struct chunk_head head;
    int found = iter_before(iter, at, false, &head);
    if (found == 1 && head.last >= at) return iter_load(iter, &head);
    if (found < 0) return found;
    /* kv_before leaves the cursor nowhere when there is nothing before: look for the place itself. */
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    const struct slice from = { (const char *)bytes, chunk_key(&iter->term, at, 0, bytes) };
    found = kv_seek(iter->cursor, from, &key, &value);
    if (found == 1) found = chunk_head_read(&iter->term, key, value, &head);
    return found == 1 ? iter_load(iter, &head) : found;
}

static int iter_jump_down(struct list_iter *iter, uint64_t at)
{
    struct chunk_head head;
    int found = iter_before(iter, at, true, &head);
    return found == 1 ? iter_load(iter, &head) : found;
}

/* First entry >= `at` of the loaded chunk. */
static size_t iter_lower(const struct list_iter *iter, uint64_t at)
{
    size_t low = 0, high = iter->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (iter->entries[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* `next` counts from the end when the travel is downwards. */
static int iter_take(struct list_iter *iter, struct list_entry *ret_entry)
{
    size_t i = iter->reverse ? iter->count - 1 - iter->next : iter->next;
    iter->next++;
    *ret_entry = iter->entries[i];
    return 1;
}

static int iter_place(struct list_iter *iter, uint64_t at, struct list_entry *ret_entry)
{
    if (iter->reverse) {
        size_t above = at == UINT64_MAX ? iter->count : iter_lower(iter, at + 1);
        if (above == 0) return iter_end(iter);
        iter->next = iter->count - above;
    } else {
        iter->next = iter_lower(iter, at);
    }
    return iter_take(iter, ret_entry);
}

/* Is the answer certainly in the loaded chunk? At its edges equal entries may go on in the neighbour. */
static bool iter_holds(const struct list_iter *iter, uint64_t at)
{
    if (!iter->loaded || iter->count == 0) return false;
    uint64_t first = iter->entries[0].at, last = iter->entries[iter->count - 1].at;
    return iter->reverse ? first <= at && at < last : first < at && at <= last;
}

int list_seek(struct list_iter *iter, uint64_t at, struct list_entry *ret_entry)
{
    if (iter_holds(iter, at)) return iter_place(iter, at, ret_entry);
    /* The neighbour in the direction of travel is often the one. */
    if (iter->loaded && iter->count > 0) {
        struct chunk_head head;
        bool ahead = iter->reverse ? at < iter->entries[0].at : at > iter->entries[iter->count - 1].at;
        int found = ahead ? iter_step(iter, &head) : 0;
        if (ahead && found == 0) return iter_end(iter);
        if (found < 0) return found;
        if (ahead && (iter->reverse ? head.first <= at : head.last >= at)) {
            found = iter_load(iter, &head);
            return found == 1 ? iter_place(iter, at, ret_entry) : found;
        }
    }
    int found = iter->reverse ? iter_jump_down(iter, at) : iter_jump_up(iter, at);
    if (found == 0) return iter_end(iter);
    return found == 1 ? iter_place(iter, at, ret_entry) : found;
}

int list_next(struct list_iter *iter, struct list_entry *ret_entry)
{
    if (!iter->loaded) return list_seek(iter, iter->reverse ? UINT64_MAX : 0, ret_entry);
    if (iter->count == 0) return 0;
    if (iter->next < iter->count) return iter_take(iter, ret_entry);
    struct chunk_head head;
    int found = iter_step(iter, &head);
    if (found == 0) return iter_end(iter);
    if (found == 1) found = iter_load(iter, &head);
    return found == 1 ? iter_take(iter, ret_entry) : found;
}

/* Adds up the chunks of `term` from the one the cursor gave; 1, or an error. */
static int list_sum(struct kv_cursor *cursor, const struct term *term, struct slice key, struct slice value,
                    uint64_t *ret_count, uint64_t *ret_last)
{
    uint64_t count = 0, last = 0;
    int found = 1;
    struct chunk_head head;
    while (found == 1 && (found = chunk_head_read(term, key, value, &head)) == 1) {
        count += head.count;
        last = head.last;
        found = kv_next(cursor, &key, &value);
    }
    if (found < 0) return found;
    *ret_count = count;
    *ret_last = last;
    return 1;
}

int list_count(struct kv_txn *txn, kv_table table, const struct term *term, uint64_t *ret_count)
{
    struct kv_cursor *cursor;
    struct slice key, value, from = { (const char *)term->bytes, term->len };
    uint64_t count = 0, last;
    int err = kv_cursor_open(txn, table, &cursor);
    if (err != OK) return err;
    int found = kv_seek(cursor, from, &key, &value);
    if (found == 1) found = list_sum(cursor, term, key, value, &count, &last);
    kv_cursor_close(cursor);
    if (found < 0) return found;
    *ret_count = count;
    return OK;
}

int list_next_term(struct kv_txn *txn, kv_table table, const struct term *after, struct term *ret_term,
                   uint64_t *ret_count, uint64_t *ret_last)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    struct term term;
    int found, err = kv_cursor_open(txn, table, &cursor);
    if (err != OK) return err;
    if (after == NULL) {
        found = kv_first(cursor, &key, &value);
    } else {
        /* Behind every key of the term: they end in at most 12 bytes. */
        uint8_t bytes[CHUNK_KEY_MAX + 1];
        memcpy(bytes, after->bytes, after->len);
        memset(bytes + after->len, 0xFF, 13);
        found = kv_seek(cursor, (struct slice){ (const char *)bytes, (size_t)after->len + 13 }, &key, &value);
    }
    if (found == 1) {
        /* The first chunk of a list has no ordinal. */
        if (key.len < 9 || key.len - 8 > TERM_MAX) {
            found = err_set(ERR_CORRUPT, "a list of the views holds a damaged key; rebuild the views");
        } else {
            term.len = (uint8_t)(key.len - 8);
            memcpy(term.bytes, key.data, term.len);
            found = list_sum(cursor, &term, key, value, ret_count, ret_last);
        }
    }
    kv_cursor_close(cursor);
    if (found == 1) *ret_term = term;
    return found;
}
