#include "views/index_list.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_list_batch.h"
#include "views/index_list_join.h"
#include "views/index_list_writer.h"

/* One run of all terms. ret_next: an `at` of the next one, UINT64_MAX = there is none. */
static int batch_write_run(struct list_sorter *sorter, struct list_writer *writer, uint64_t *ret_next)
{
    const struct index_keys *terms = &sorter->batch->terms;
    bool begun = false;
    uint64_t next = UINT64_MAX;
    int err = OK;
    sorter->count = 0;
    for (size_t i = 0, k = 0; i < terms->count && err == OK; i++, k++) {
        struct term term;
        size_t n;
        if (k == sorter->count) {
            err = sorter_take(sorter, i);
            k = 0;
        }
        if (err != OK) break;
        const struct list_entry *entries = writer_part(writer, sorter->entries + sorter->taken_ends[k],
                                                       sorter->taken_ends[k + 1] - sorter->taken_ends[k], &n, &next);
        if (n == 0) continue;
        struct slice bytes = index_keys_get(terms, (uint32_t)sorter->order[i].id);
        term.len = (uint8_t)bytes.len;
        memcpy(term.bytes, bytes.data, bytes.len);
        if (!begun) err = writer_begin(writer, &term);
        begun = true;
        if (err == OK) err = writer_term(writer, &term, entries, n);
    }
    *ret_next = next;
    return err;
}

static int batch_write_runs(const struct list_batch *batch, struct list_writer *writer)
{
    struct list_sorter sorter;
    int err = sorter_open(&sorter, batch);
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < batch->count && !batch->payload; i++)
        if (link_at(&batch->links[i]) < at) at = link_at(&batch->links[i]);
    while (err == OK) {
        writer->run = chunk_run(batch->payload, at, writer->runs);
        err = batch_write_run(&sorter, writer, &at);
        if (at == UINT64_MAX) break;
    }
    sorter_close(&sorter);
    return err;
}

/* Moves a run from the table into the batch. */
static int writer_take_run(struct list_writer *writer, uint32_t run, struct list_batch *batch)
{
    uint8_t bytes[4];
    const struct slice start = { (const char *)bytes, sizeof bytes };
    int err = OK;
    index_put_u32be(bytes, run);
    writer->run = run;
    while (err == OK) {
        struct slice key, value;
        struct term term;
        struct list_entry *entries = NULL;
        size_t count = 0;
        int found = kv_seek(writer->cursor, start, &key, &value);
        if (found < 0) return found;
        if (found == 0 || chunk_key_run(false, key) != run) break;
        err = chunk_key_term(false, key, &term);
        if (err != OK) break;
        writer->term = &term;
        err = writer_take(writer, run_join(run, 0), 0, &entries, &count);
        writer->term = NULL; /* it is of this turn alone */
        if (err == OK && count == 0)
            err = err_set(ERR_CORRUPT, "a run of the views holds a damaged list; rebuild the views");
        for (size_t i = 0; i < count && err == OK; i++)
            err = list_batch_add(batch, &term, entries[i].at, 0);
        free(entries);
    }
    return err == OK ? batch_settle(batch) : err;
}

/* Where the entries of a batch without payload lie, beside a table whose newest unit is known. */
struct batch_span {
    uint64_t newest; /* the largest `at` */
    bool grows;      /* it is in a newer unit */
    bool late;       /* there are some of older units */
    bool wide;       /* there are some of units that are newer, but not the newest */
};

static struct batch_span batch_span_of(const struct list_batch *batch, uint32_t newest)
{
    struct batch_span span = { 0 };
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t at = link_at(&batch->links[i]);
        if (at > span.newest) span.newest = at;
    }
    uint32_t last = run_unit(span.newest);
    span.grows = last > newest;
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t unit = run_unit(link_at(&batch->links[i]));
        span.late = span.late || unit < newest;
        span.wide = span.wide || (unit > newest && unit < last);
    }
    return span;
}

/* The newest unit will be another one than before, which joins the run in front of it: at once if the batch is a part of a long build, which
 * changes that run anyway. */
static int writer_grow(struct list_writer *writer, struct list_batch *batch, const struct batch_span *span,
                       struct list_join *join)
{
    uint32_t before = writer->runs.newest;
    writer->runs.newest = run_unit(span->newest);
    if (before == run_group(before)) return OK;
    if (span->late || span->wide) return writer_take_run(writer, before, batch);
    writer->runs.joining = before;
    return join_begin(writer, before, join);
}

/* Brings the runs into the form that the batch is written to. */
static int writer_prepare(struct list_writer *writer, struct list_batch *batch, struct list_join *ret_join,
                          uint64_t *ret_newest)
{
    int found = join_read(writer->cursor, batch->payload, ret_join);
    writer->runs = ret_join->runs;
    if (found < 0 || batch->payload) return found < 0 ? found : OK;
    struct batch_span span = batch_span_of(batch, writer->runs.newest);
    *ret_newest = span.newest;
    if (found == 0) {
        writer->runs.newest = run_unit(span.newest);
        return OK;
    }
    int err = span.grows || span.late ? join_finish(writer, ret_join) : OK;
    writer->runs = ret_join->runs;
    return err == OK && span.grows ? writer_grow(writer, batch, &span, ret_join) : err;
}

int list_batch_write(struct list_batch *batch, struct kv_txn *txn, kv_table table)
{
    struct list_writer *writer = NULL;
    struct list_join join;
    uint64_t newest = 0;
    int err = batch_settle(batch);
    if (err != OK || batch->count == 0) return err;
    err = writer_open(txn, table, batch->payload, &writer);
    if (err != OK) return err;
    err = writer_prepare(writer, batch, &join, &newest);
    if (err == OK) err = batch_write_runs(batch, writer);
    if (err == OK && writer->runs.joining != RUN_NONE) err = join_step(writer, &join, newest);
    writer_close(writer);
    if (err == OK) list_batch_reset(batch);
    return err;
}

int list_settle(struct kv_txn *txn, kv_table table)
{
    struct list_writer *writer = NULL;
    struct list_join join;
    int err = writer_open(txn, table, false, &writer);
    if (err != OK) return err;
    err = join_read(writer->cursor, false, &join);
    writer->runs = join.runs;
    if (err >= 0) err = join_finish(writer, &join);
    writer_close(writer);
    return err;
}
