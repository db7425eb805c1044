#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_list_join.h"

struct each {
    struct kv_cursor *cursor;
    uint32_t run;
    bool ended;              /* the run, or the table */
    struct slice key, value; /* what the cursor stands on; no data = nowhere yet */
    list_each_fn *fn;
    void *ctx;
    struct list_entry entries[LIST_CHUNK_ENTRIES];
};

static bool each_stands_behind(const struct each *each, struct slice key)
{
    if (each->key.data == NULL) return false;
    size_t len = key.len < each->key.len ? key.len : each->key.len;
    int order = memcmp(each->key.data, key.data, len);
    return order > 0 || (order == 0 && each->key.len >= key.len);
}

/* Notes what a move of the cursor answered: 1 = it is in the run, 0, <0. */
static int each_moved(struct each *each, int found)
{
    if (found == 1 && chunk_key_run(false, each->key) == each->run) return 1;
    each->ended = found >= 0;
    return found < 0 ? found : 0;
}

/* Where the chunks of a term begin in the run, or what stands behind. */
static int each_seek(struct each *each, const struct term *term)
{
    uint8_t bytes[CHUNK_KEY_MAX];
    size_t len = chunk_key(false, each->run, term, run_join(each->run, 0), 0, bytes);
    const struct slice from = { (const char *)bytes, len };
    if (each_stands_behind(each, from)) return 1;
    return each_moved(each, kv_seek(each->cursor, from, &each->key, &each->value));
}

static int each_term(struct each *each, size_t i, const struct term *term)
{
    struct chunk_head head;
    int found = each_seek(each, term);
    while (found == 1) {
        found = chunk_head_read(false, term, each->key, each->value, &head);
        if (found != 1) break;
        int err = chunk_unpack(&head, false, each->entries);
        if (err == OK) err = each->fn(each->ctx, i, each->entries, head.count);
        if (err != OK) return err;
        found = each_moved(each, kv_next(each->cursor, &each->key, &each->value));
    }
    return found < 0 ? found : OK;
}

static int each_run(struct each *each, const struct slice *terms, size_t count)
{
    int err = OK;
    each->ended = false;
    each->key.data = NULL;
    for (size_t i = 0; i < count && err == OK && !each->ended; i++) {
        struct term term = { .len = (uint8_t)terms[i].len };
        memcpy(term.bytes, terms[i].data, terms[i].len);
        err = each_term(each, i, &term);
    }
    return err;
}

int list_each(struct kv_txn *txn, kv_table table, const struct slice *terms, size_t count, list_each_fn *fn, void *ctx)
{
    struct each each = { .fn = fn, .ctx = ctx };
    struct list_join join;
    int err = kv_cursor_open(txn, table, &each.cursor);
    if (err != OK) return err;
    int found = join_read(each.cursor, false, &join);
    for (each.run = 0; found == 1 && err == OK && each.run != RUN_NONE; each.run = run_after(each.run, join.runs))
        err = each_run(&each, terms, count);
    kv_cursor_close(each.cursor);
    return found < 0 ? found : err;
}
