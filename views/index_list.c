#include "views/index_list.h"

#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_list_chunk.h"
#include "views/index_list_join.h"

int list_iter_open(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, bool reverse,
                   struct list_iter *ret_iter)
{
    struct kv_cursor *cursor;
    int err = kv_cursor_open(txn, table, &cursor);
    if (err != OK) return err;
    struct list_join join;
    int found = join_read(cursor, payload, &join);
    if (found < 0) {
        kv_cursor_close(cursor);
        return found;
    }
    ret_iter->runs = join.runs;
    ret_iter->run = 0;
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

/* Entries that are unpacked at a time on the way up: most readers want a page. */
#define ITER_STEP 64

/* Downwards the last entry comes first, which is known only after all others. */
static int iter_load(struct list_iter *iter, const struct chunk_head *head)
{
    struct chunk_reader *reader = &iter->reader;
    int err;
    if (iter->reverse || head->count <= ITER_STEP) {
        reader->last = head->last;
        reader->count = reader->done = head->count;
        err = chunk_unpack(head, iter->payload, iter->entries);
    } else {
        chunk_reader_start(head, reader);
        err = chunk_reader_go(reader, iter->payload, ITER_STEP, iter->entries);
    }
    if (err != OK) return err;
    iter->loaded = true;
    iter->count = head->count;
    iter->next = 0;
    return 1;
}

/* Takes the chunk that the cursor is on if it is one of the term: 1, 0, <0. */
static int iter_look(struct list_iter *iter, struct slice key, struct slice value, struct chunk_head *ret_head)
{
    int found = chunk_head_read(iter->payload, &iter->term, key, value, ret_head);
    if (found == 1) iter->run = chunk_key_run(iter->payload, key);
    return found;
}

/* The first chunk of the term in `run` or a later one: 1, 0, <0. */
static int iter_run_up(struct list_iter *iter, uint32_t run, struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    while (run != RUN_NONE) {
        size_t len = chunk_key(iter->payload, run, &iter->term, run_join(run, 0), 0, bytes);
        int found = kv_seek(iter->cursor, (struct slice){ (const char *)bytes, len }, &key, &value);
        if (found != 1) return found;
        found = iter_look(iter, key, value, ret_head);
        if (found != 0 || iter->payload) return found;
        uint32_t there = chunk_key_run(false, key);
        run = there > run ? there : run_after(run, iter->runs);
    }
    return 0;
}

/* The last chunk of the term whose key is below `limit`, which is one of `run`, or that begins at or before `at` in an earlier run: 1, 0, <0. */
static int iter_run_down(struct list_iter *iter, struct slice limit, uint32_t run, uint64_t at,
                         struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    for (;;) {
        int found = kv_before(iter->cursor, limit, &key, &value);
        if (found != 1) return found;
        struct chunk_head head;
        found = iter_look(iter, key, value, &head);
        if (found < 0) return found;
        /* An earlier run that ends with this term may hold what is behind `at`. */
        if (found == 1 && head.first <= at) {
            *ret_head = head;
            return 1;
        }
        if (iter->payload) return 0;
        uint32_t there = chunk_key_run(false, key);
        run = there < run ? there : run_before(run, iter->runs);
        if (run == RUN_NONE) return 0;
        size_t len = chunk_key(false, run, &iter->term, at, UINT32_MAX, bytes);
        limit = (struct slice){ (const char *)bytes, len };
    }
}

/* The chunk after (reverse: before) the one that was found last, which the cursor is on: 1, 0, <0. */
static int iter_step(struct list_iter *iter, struct chunk_head *ret_head)
{
    struct slice key, value;
    uint32_t run = iter->run;
    int found = iter->reverse ? kv_prev(iter->cursor, &key, &value) : kv_next(iter->cursor, &key, &value);
    if (found == 1) found = iter_look(iter, key, value, ret_head);
    if (found != 0 || iter->payload) return found;
    if (!iter->reverse) return iter_run_up(iter, run_after(run, iter->runs), ret_head);
    uint8_t bytes[CHUNK_KEY_MAX];
    uint64_t first = run_join(run, 0);
    const struct slice limit = { (const char *)bytes, chunk_key(false, run, &iter->term, first, 0, bytes) };
    return iter_run_down(iter, limit, run, first, ret_head);
}

/* The chunk of the term in one run that holds its first entry >= `at`: 1, 0, <0. */
static int iter_run_from(struct list_iter *iter, uint32_t run, uint64_t at, struct chunk_head *ret_head)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct slice key, value;
    struct chunk_head head;
    const struct slice from = { (const char *)bytes, chunk_key(iter->payload, run, &iter->term, at, 0, bytes) };
    int found = kv_before(iter->cursor, from, &key, &value);
    if (found == 1) found = iter_look(iter, key, value, &head);
    if (found < 0) return found;
    if (found == 0 || head.last < at) {
        /* kv_before leaves the cursor nowhere when there is nothing before: look for the place itself. */
        found = kv_seek(iter->cursor, from, &key, &value);
        if (found == 1) found = iter_look(iter, key, value, &head);
    }
    /* The next run may begin with the same term. */
    if (found != 1 || iter->run != run) return found < 0 ? found : 0;
    *ret_head = head;
    return 1;
}

/* Loads the chunk that holds the first entry >= `at`. */
static int iter_jump_up(struct list_iter *iter, uint64_t at)
{
    struct chunk_head head;
    uint32_t run = chunk_run(iter->payload, at, iter->runs);
    int found = 0;
    /* The term may have been moved already. */
    if (!iter->payload && run == iter->runs.joining) found = iter_run_from(iter, run_group(run), at, &head);
    if (found == 0) found = iter_run_from(iter, run, at, &head);
    if (found == 0 && !iter->payload) found = iter_run_up(iter, run_after(run, iter->runs), &head);
    return found == 1 ? iter_load(iter, &head) : found;
}

/* Loads the chunk that holds the last entry <= `at`. */
static int iter_jump_down(struct list_iter *iter, uint64_t at)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    struct chunk_head head;
    uint32_t run = chunk_run(iter->payload, at, iter->runs);
    const struct slice limit = { (const char *)bytes,
                                 chunk_key(iter->payload, run, &iter->term, at, UINT32_MAX, bytes) };
    int found = iter_run_down(iter, limit, run, at, &head);
    return found == 1 ? iter_load(iter, &head) : found;
}

/* Apart, so that taking an entry stays short. */
__attribute__((noinline)) static int iter_unpack_more(struct list_iter *iter)
{
    return chunk_reader_go(&iter->reader, iter->payload, iter->reader.done + ITER_STEP, iter->entries);
}

/* Unpacks on until an entry is >= `at`, or to the end of the chunk. */
static int iter_unpack_to(struct list_iter *iter, uint64_t at)
{
    const struct chunk_reader *reader = &iter->reader;
    int err = OK;
    while (err == OK && reader->done < reader->count && reader->entry.at < at)
        err = iter_unpack_more(iter);
    return err;
}

/* First entry >= `at` of the loaded chunk among those from `low` to `high`, which are unpacked. */
static size_t iter_lower(const struct list_iter *iter, size_t low, size_t high, uint64_t at)
{
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
static inline int iter_take(struct list_iter *iter, struct list_entry *ret_entry)
{
    size_t i = iter->reverse ? iter->count - 1 - iter->next : iter->next;
    if (i >= iter->reader.done) {
        int err = iter_unpack_more(iter);
        if (err != OK) return err;
    }
    iter->next++;
    *ret_entry = iter->entries[i];
    return 1;
}

/* First entry >= `at`, looked for from where the iterator stands: of lists that are walked in step the next entry is mostly a few steps away. */
static size_t iter_near(const struct list_iter *iter, uint64_t at)
{
    size_t low = 0, high = iter->reader.done, stands = iter->reverse ? high - iter->next : iter->next, step = 1;
    if (iter->reverse) {
        if (stands < high && iter->entries[stands].at < at) return iter_lower(iter, stands + 1, high, at);
        for (high = stands; step <= high && iter->entries[high - step].at >= at; step *= 2)
            high -= step;
        return iter_lower(iter, step <= high ? high - step + 1 : 0, high, at);
    }
    if (stands > 0 && iter->entries[stands - 1].at >= at) return iter_lower(iter, 0, stands, at);
    for (low = stands; step <= high - low && iter->entries[low + step - 1].at < at; step *= 2)
        low += step;
    return iter_lower(iter, low, step <= high - low ? low + step - 1 : high, at);
}

static int iter_place(struct list_iter *iter, uint64_t at, struct list_entry *ret_entry)
{
    if (iter->reverse) {
        size_t above = at == UINT64_MAX ? iter->count : iter_near(iter, at + 1);
        if (above == 0) return iter_end(iter);
        iter->next = iter->count - above;
    } else {
        int err = iter_unpack_to(iter, at);
        if (err != OK) return err;
        iter->next = iter_near(iter, at);
    }
    return iter_take(iter, ret_entry);
}

/* Is the answer certainly in the loaded chunk? At its edges equal entries may go on in the neighbour. */
static bool iter_holds(const struct list_iter *iter, uint64_t at)
{
    if (!iter->loaded || iter->count == 0) return false;
    uint64_t first = iter->entries[0].at, last = iter->reader.last;
    return iter->reverse ? first <= at && at < last : first < at && at <= last;
}

int list_seek(struct list_iter *iter, uint64_t at, struct list_entry *ret_entry)
{
    if (!iter->payload && at > LIST_AT_MAX) {
        if (!iter->reverse) return iter_end(iter);
        at = LIST_AT_MAX;
    }
    if (iter_holds(iter, at)) return iter_place(iter, at, ret_entry);
    /* The neighbour in the direction of travel is often the one. */
    if (iter->loaded && iter->count > 0) {
        struct chunk_head head;
        bool ahead = iter->reverse ? at < iter->entries[0].at : at > iter->reader.last;
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

/* Adds up the chunks of a term: OK, or an error. The counts stay as they are if it has none. */
static int list_sum(struct list_iter *iter, uint64_t *count, uint64_t *last)
{
    struct chunk_head head;
    int found = iter_run_up(iter, 0, &head);
    while (found == 1) {
        *count += head.count;
        *last = head.last;
        found = iter_step(iter, &head);
    }
    return found;
}

int list_count(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, uint64_t *ret_count)
{
    struct list_iter iter;
    uint64_t count = 0, last;
    int err = list_iter_open(txn, table, payload, term, false, &iter);
    if (err != OK) return err;
    err = list_sum(&iter, &count, &last);
    list_iter_close(&iter);
    if (err == OK) *ret_count = count;
    return err;
}

int list_newest(struct kv_txn *txn, kv_table table, const struct term *term, uint64_t *ret_last)
{
    struct list_iter iter;
    struct list_entry entry = { 0 };
    int found = list_iter_open(txn, table, false, term, true, &iter);
    if (found != OK) return found;
    found = list_next(&iter, &entry);
    list_iter_close(&iter);
    if (found == 1) *ret_last = entry.at;
    return found;
}

int list_count_upto(struct kv_txn *txn, kv_table table, bool payload, const struct term *term, uint64_t upto,
                    uint64_t *ret_count)
{
    struct list_iter iter;
    struct chunk_head head;
    uint64_t count = 0;
    int err = list_iter_open(txn, table, payload, term, false, &iter);
    if (err != OK) return err;
    int found = iter_run_up(&iter, 0, &head);
    for (; found == 1 && head.last <= upto; found = iter_step(&iter, &head))
        count += head.count;
    if (found == 1 && head.first <= upto) {
        found = iter_load(&iter, &head);
        if (found == 1) found = iter_unpack_to(&iter, upto + 1);
        if (found >= 0) count += iter_lower(&iter, 0, iter.reader.done, upto + 1);
    }
    list_iter_close(&iter);
    if (found < 0) return found;
    *ret_count = count;
    return OK;
}

static bool term_before(const struct term *a, const struct term *b)
{
    return memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len) < 0;
}

/* The first term of a run whose key is not below `from`: 1, 0, <0. *run becomes the next one to look into, or RUN_NONE. */
static int run_next_term(const struct list_iter *iter, struct slice from, uint32_t *run, struct term *ret_term)
{
    uint8_t bytes[4 + TERM_MAX + 13];
    size_t head = iter->payload ? 0 : 4;
    struct slice key, value;
    index_put_u32be(bytes, *run);
    if (from.len > 0) memcpy(bytes + head, from.data, from.len);
    uint32_t here = *run;
    *run = RUN_NONE;
    int found = kv_seek(iter->cursor, (struct slice){ (const char *)bytes, head + from.len }, &key, &value);
    if (found != 1) return found;
    uint32_t there = chunk_key_run(iter->payload, key);
    if (there > here) {
        *run = there;
        return 0;
    }
    if (!iter->payload) *run = run_after(here, iter->runs);
    int err = chunk_key_term(iter->payload, key, ret_term);
    return err == OK ? 1 : err;
}

/* The first term of the table that is not below `from`: 1, 0, <0. */
static int list_term_from(const struct list_iter *iter, struct slice from, struct term *ret_term)
{
    struct term term, best = { .len = 0 };
    uint32_t run = 0;
    do {
        int found = run_next_term(iter, from, &run, &term);
        if (found < 0) return found;
        if (found == 1 && (best.len == 0 || term_before(&term, &best))) best = term;
    } while (run != RUN_NONE);
    if (best.len > 0) *ret_term = best;
    return best.len > 0;
}

/* What stands behind every key of a term: they end in at most 12 bytes. */
static struct slice term_after(const struct term *term, uint8_t bytes[TERM_MAX + 13])
{
    memcpy(bytes, term->bytes, term->len);
    memset(bytes + term->len, 0xFF, 13);
    return (struct slice){ (const char *)bytes, (size_t)term->len + 13 };
}

int list_next_term(struct kv_txn *txn, kv_table table, bool payload, const struct term *after, struct term *ret_term,
                   uint64_t *ret_count, uint64_t *ret_last)
{
    struct list_iter iter;
    struct term term = { .len = 0 };
    uint8_t bytes[TERM_MAX + 13];
    uint64_t count = 0, last = 0;
    int err = list_iter_open(txn, table, payload, &term, false, &iter);
    if (err != OK) return err;
    int found = list_term_from(&iter, after == NULL ? (struct slice){ NULL, 0 } : term_after(after, bytes), &term);
    iter.term = term;
    if (found == 1) err = list_sum(&iter, &count, &last);
    list_iter_close(&iter);
    if (err != OK || found != 1) return err != OK ? err : found;
    *ret_term = term;
    *ret_count = count;
    *ret_last = last;
    return 1;
}

int list_terms(struct kv_txn *txn, kv_table table, bool payload, const struct term *prefix, struct term *terms,
               size_t max, size_t *ret_count)
{
    struct list_iter iter;
    uint8_t bytes[TERM_MAX + 13];
    size_t count = 0;
    struct slice from = { (const char *)prefix->bytes, prefix->len };
    int found = list_iter_open(txn, table, payload, prefix, false, &iter);
    if (found != OK) return found;
    while (count < max && (found = list_term_from(&iter, from, &terms[count])) == 1) {
        const struct term *term = &terms[count];
        if (term->len <= prefix->len || memcmp(term->bytes, prefix->bytes, prefix->len) != 0) break;
        from = term_after(term, bytes);
        count++;
    }
    list_iter_close(&iter);
    if (found < 0) return found;
    *ret_count = count;
    return OK;
}
