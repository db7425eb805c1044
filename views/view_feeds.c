#include "views/view_feeds.h"

#include <string.h>

#include "store/err.h"
#include "views/view_batch.h"
#include "views/view_record.h"

enum { FEEDS_SEQUENCES, FEEDS_LATEST };

/* ---- field -------------------------------------------------------------------------------------------------- */

static int author_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    struct ref ref;
    if (ref_parse_any(text, len, &ref) != OK || !ref_is_feed(&ref))
        return err_set(ERR_REF, "author: a feed id like @….ed25519 is wanted");
    term_of_ref(&ref, ret_term);
    *ret_negate = false;
    return OK;
}

static int author_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    if (message->author_ref.kind == REF_NONE) return 0;
    term_of_ref(&message->author_ref, &term);
    return fn(ctx, &term);
}

/* ---- tables ------------------------------------------------------------------------------------------------- */

/* The newest message: of a forked feed the one that came first. Sequences are below 2^53, which a double holds. */
static const enum register_rule latest_rules[] = { REGISTER_FIRST };

static int feeds_gather(struct view_batch *batch, const struct view_record *record)
{
    const struct message *message = record->message;
    struct term term;
    if (message->author_ref.kind == REF_NONE || !message->has_sequence) return OK;
    term_of_ref(&message->author_ref, &term);
    const struct slice author = { (const char *)term.bytes, term.len };
    int err = list_batch_add(batch->lists[FEEDS_SEQUENCES], &term, (uint64_t)message->sequence, (uint64_t)record->seq);
    if (err != OK) return err;
    return register_batch_offer(batch->registers[FEEDS_LATEST], author, 0, (double)message->sequence, record->seq);
}

static int latest_read(struct slice value, struct feed_entry *ret_entry)
{
    struct register_slot slot;
    int err = register_read(value, 1, &slot);
    if (err != OK) return err;
    if (!(slot.order >= 0 && slot.order <= (double)SEQ_MAX) || slot.seq < 0)
        return err_set(ERR_CORRUPT, "the view feeds holds a damaged entry; rebuild the views");
    *ret_entry = (struct feed_entry){ (int64_t)slot.order, slot.seq };
    return OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static const struct view *feeds_view(const struct flume_read *read)
{
    const struct view *view = flume_view(read->flume, VIEW_feeds);
    if (view == NULL) err_set(ERR_NOTFOUND, "there is no view feeds");
    return view;
}

static int latest_answer(struct slice key, struct slice value, struct feed_latest *ret_latest)
{
    struct feed_entry entry = { 0 };
    int err = latest_read(value, &entry);
    if (err != OK) return err;
    if (key.len != 33) return err_set(ERR_CORRUPT, "the view feeds holds a damaged key; rebuild the views");
    ret_latest->author.kind = (uint8_t)key.data[0];
    memcpy(ret_latest->author.id, key.data + 1, sizeof ret_latest->author.id);
    ret_latest->sequence = entry.sequence;
    ret_latest->seq = entry.seq;
    return OK;
}

int feeds_latest(const struct flume_read *read, const struct ref *author, struct feed_latest *ret_latest)
{
    const struct view *view = feeds_view(read);
    struct term term;
    struct slice value;
    if (view == NULL) return ERR_NOTFOUND;
    term_of_ref(author, &term);
    const struct slice key = { (const char *)term.bytes, term.len };
    int found = kv_get(read->txn, view->tables[FEEDS_LATEST], key, &value);
    if (found == 1) return latest_answer(key, value, ret_latest);
    return found < 0 ? found : err_set(ERR_NOTFOUND, "no message of that feed");
}

static int latest_move(struct kv_cursor *cursor, const struct ref *after, bool reverse, struct slice *ret_key,
                       struct slice *ret_value)
{
    struct term term;
    if (after == NULL) return reverse ? kv_last(cursor, ret_key, ret_value) : kv_first(cursor, ret_key, ret_value);
    term_of_ref(after, &term);
    const struct slice from = { (const char *)term.bytes, term.len };
    if (reverse) return kv_before(cursor, from, ret_key, ret_value);
    int found = kv_seek(cursor, from, ret_key, ret_value);
    return found == 1 && slice_equal(*ret_key, from) ? kv_next(cursor, ret_key, ret_value) : found;
}

int feeds_next(const struct flume_read *read, const struct ref *after, bool reverse, struct feed_latest *ret_latest)
{
    const struct view *view = feeds_view(read);
    struct kv_cursor *cursor;
    struct slice key, value;
    if (view == NULL) return ERR_NOTFOUND;
    int err = kv_cursor_open(read->txn, view->tables[FEEDS_LATEST], &cursor);
    if (err != OK) return err;
    int found = latest_move(cursor, after, reverse, &key, &value);
    if (found == 1) err = latest_answer(key, value, ret_latest);
    kv_cursor_close(cursor);
    return err != OK ? err : found;
}

static int feeds_iter(const struct flume_read *read, const struct ref *author, bool reverse, struct list_iter *ret_iter)
{
    const struct view *view = feeds_view(read);
    struct term term;
    if (view == NULL) return ERR_NOTFOUND;
    term_of_ref(author, &term);
    return list_iter_open(read->txn, view->tables[FEEDS_SEQUENCES], true, &term, reverse, ret_iter);
}

int feeds_get(const struct flume_read *read, const struct ref *author, int64_t sequence, struct log_record *ret_record)
{
    struct list_iter iter;
    struct list_entry entry;
    if (sequence < 0) return err_set(ERR_NOTFOUND, "no message %lld of that feed", (long long)sequence);
    int err = feeds_iter(read, author, false, &iter);
    if (err != OK) return err;
    int found = list_seek(&iter, (uint64_t)sequence, &entry);
    err = ERR_NOTFOUND;
    for (; found == 1 && entry.at == (uint64_t)sequence; found = list_next(&iter, &entry)) {
        err = log_get(read->log, (int64_t)entry.payload, ret_record);
        if (err != ERR_DELETED) break;
        err = ERR_NOTFOUND;
    }
    list_iter_close(&iter);
    if (found < 0) return found;
    if (err == ERR_NOTFOUND) return err_set(err, "no message %lld of that feed", (long long)sequence);
    return err;
}

int feeds_range(const struct flume_read *read, const struct ref *author, int64_t sequence, size_t skip, bool reverse,
                struct feed_entry *entries, size_t max)
{
    struct list_iter iter;
    struct list_entry entry;
    size_t count = 0;
    if (sequence < 0 && reverse) return 0;
    int err = feeds_iter(read, author, reverse, &iter);
    if (err != OK) return err;
    if (max > INT32_MAX) max = INT32_MAX;
    if (sequence < 0) skip = 0;
    uint64_t from = sequence < 0 ? 0 : (uint64_t)sequence;
    int found = max == 0 ? 0 : list_seek(&iter, from, &entry);
    for (; found == 1; found = count < max ? list_next(&iter, &entry) : 0) {
        if (entry.at == from && skip > 0) {
            skip--;
            continue;
        }
        entries[count++] = (struct feed_entry){ (int64_t)entry.at, (int64_t)entry.payload };
    }
    list_iter_close(&iter);
    return found < 0 ? found : (int)count;
}

const struct view_ops view_feeds_ops = {
    .name = "feeds",
    .version = 3,
    .fields = (const struct field[]){ { "author", author_parse, author_emit }, { NULL, NULL, NULL } },
    .tables =
        (const struct view_table[]){
            { .name = "sequences", .shape = TABLE_LIST },
            { .name = "latest", .shape = TABLE_REGISTERS, .slots = 1, .rules = latest_rules },
            { .name = NULL },
        },
    .gather = feeds_gather,
};
