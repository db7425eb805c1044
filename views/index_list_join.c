#include "views/index_list_join.h"

#include <stdlib.h>

#include "store/err.h"
#include "views/index_list_writer.h"

#define JOIN_KEY 4
#define JOIN_BYTES 24

/* How far into the new unit the last term is moved. */
#define JOIN_END (UINT64_C(1) << (RUN_UNIT_BITS - 1))

static struct slice join_key(uint8_t bytes[JOIN_KEY], uint32_t run)
{
    index_put_u32be(bytes, run);
    return (struct slice){ (const char *)bytes, JOIN_KEY };
}

int join_read(struct kv_cursor *cursor, bool payload, struct list_join *ret_join)
{
    struct slice key, value;
    struct list_join join = { .runs = { 0, RUN_NONE } };
    int found = payload ? 1 : kv_last(cursor, &key, &value);
    if (found < 0) return found;
    if (found == 1 && !payload) join.runs.newest = chunk_key_run(false, key);
    if (join.runs.newest == RUN_NONE) {
        if (key.len != JOIN_KEY || value.len != JOIN_BYTES)
            return err_set(ERR_CORRUPT, "a list of the views does not say how far it is; rebuild the views");
        const uint8_t *bytes = (const uint8_t *)value.data;
        join.runs.newest = index_get_u32be(bytes);
        join.runs.joining = index_get_u32be(bytes + 4);
        join.left = index_get_u64be(bytes + 8);
        join.at = index_get_u64be(bytes + 16);
    }
    *ret_join = join;
    return found;
}

static int join_save(const struct list_writer *writer, const struct list_join *join)
{
    uint8_t key[JOIN_KEY], bytes[JOIN_BYTES];
    index_put_u32be(bytes, join->runs.newest);
    index_put_u32be(bytes + 4, join->runs.joining);
    index_put_u64be(bytes + 8, join->left);
    index_put_u64be(bytes + 16, join->at);
    return kv_put(writer->txn, writer->table, join_key(key, RUN_NONE),
                  (struct slice){ (const char *)bytes, JOIN_BYTES });
}

/* The first key of the run: 1, 0, <0. */
static int join_first(const struct list_writer *writer, uint32_t run, struct slice *ret_key)
{
    uint8_t bytes[JOIN_KEY];
    struct slice value;
    int found = kv_seek(writer->cursor, join_key(bytes, run), ret_key, &value);
    return found == 1 && chunk_key_run(false, *ret_key) != run ? 0 : found;
}

int join_begin(struct list_writer *writer, uint32_t joining, struct list_join *ret_join)
{
    struct list_join join = { .runs = { writer->runs.newest, joining }, .at = run_join(writer->runs.newest, 0) };
    struct slice key, value;
    int found = join_first(writer, joining, &key);
    for (; found == 1 && chunk_key_run(false, key) == joining; found = kv_next(writer->cursor, &key, &value))
        join.left++;
    if (found < 0) return found;
    *ret_join = join;
    return OK;
}

/* Moves the first term of the run that is joining: 1, 0 = there is none any more, <0. */
static int join_move(struct list_writer *writer, uint32_t joining)
{
    struct slice key;
    struct term term;
    struct list_entry *entries = NULL;
    size_t count = 0;
    int found = join_first(writer, joining, &key);
    if (found != 1) return found;
    int err = chunk_key_term(false, key, &term);
    if (err != OK) return err;
    writer->run = joining;
    writer->term = &term;
    err = writer_take(writer, run_join(joining, 0), 0, &entries, &count);
    if (err == OK && count == 0)
        err = err_set(ERR_CORRUPT, "a run of the views holds a damaged list; rebuild the views");
    writer->run = run_group(joining);
    writer->behind = false;
    if (err == OK) err = writer_term(writer, &term, entries, count);
    writer->term = NULL; /* it is of this turn alone */
    free(entries);
    return err == OK ? 1 : err;
}

/* Up to `chunks` of them. */
static int join_some(struct list_writer *writer, struct list_join *join, uint64_t chunks)
{
    uint64_t before = writer->taken;
    int found = 1;
    uint8_t key[JOIN_KEY];
    while (found == 1 && writer->taken - before < chunks)
        found = join_move(writer, join->runs.joining);
    if (found < 0) return found;
    uint64_t moved = writer->taken - before;
    join->left = join->left > moved ? join->left - moved : 0;
    if (found == 1) return join_save(writer, join);
    join->runs.joining = RUN_NONE;
    int err = kv_del(writer->txn, writer->table, join_key(key, RUN_NONE));
    return err < 0 ? err : OK;
}

int join_step(struct list_writer *writer, struct list_join *join, uint64_t at)
{
    uint64_t end = run_join(join->runs.newest, 0) + JOIN_END, chunks = UINT64_MAX;
    if (at > join->at && at < end) {
        /* the same share of what is left as of the way to the end */
        uint64_t way = at - join->at, all = end - join->at;
        chunks = join->left / all * way + (join->left % all * way + all - 1) / all;
        if (chunks == 0) chunks = 1;
    } else if (at <= join->at) {
        chunks = 0;
    }
    if (at > join->at) join->at = at;
    return join_some(writer, join, chunks);
}

int join_finish(struct list_writer *writer, struct list_join *join)
{
    return join->runs.joining == RUN_NONE ? OK : join_some(writer, join, UINT64_MAX);
}
