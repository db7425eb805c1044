#include "views/view_links.h"

#include "store/err.h"
#include "views/index_list.h"
#include "views/view_record.h"

enum { LINKS_DEST, LINKS_REL, LINKS_ROOT };

#define LINKS_BATCH 256 /* seqs at a time while counting */

/* ---- fields ------------------------------------------------------------------------------------------------- */

static int dest_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    struct ref ref;
    if (ref_parse_any(text, len, &ref) != OK)
        return err_set(ERR_REF, "dest: the id of a message, feed or blob is wanted");
    term_of_ref(&ref, ret_term);
    *ret_negate = false;
    return OK;
}

static int dest_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    int err = 0;
    for (size_t i = 0; i < message->ref_count && err == 0; i++) {
        term_of_ref(&message->refs[i].ref, &term);
        err = fn(ctx, &term);
    }
    return err;
}

static int rel_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    term_of_string(text, len, ret_term);
    *ret_negate = false;
    return OK;
}

static int rel_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    int err = 0;
    for (size_t i = 0; i < message->ref_count && err == 0; i++) {
        term_of_string(message->refs[i].rel.data, message->refs[i].rel.len, &term);
        err = fn(ctx, &term);
    }
    return err;
}

static int root_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    struct ref ref;
    if (ref_parse_any(text, len, &ref) != OK || ref.kind != REF_MESSAGE)
        return err_set(ERR_REF, "root: a message id like %%….sha256 is wanted");
    term_of_ref(&ref, ret_term);
    *ret_negate = false;
    return OK;
}

static int root_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct term term;
    if (message->root.kind == REF_NONE) return 0;
    term_of_ref(&message->root, &term);
    return fn(ctx, &term);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static int links_filter_ref(struct filter *filter, const char *name, const struct ref *ref)
{
    return ref->kind == REF_NONE ? OK : filter_set_ref(filter, name, ref);
}

int links_filter(const struct links_query *query, struct filter *ret_filter)
{
    struct filter filter = { 0 };
    int err = links_filter_ref(&filter, "author", &query->source);
    if (err == OK) err = links_filter_ref(&filter, "dest", &query->dest);
    if (err == OK && query->rel.data != NULL) err = filter_set(&filter, "rel", query->rel.data, query->rel.len);
    if (err == OK && query->hide_private) err = filter_set_text(&filter, "private", "false");
    if (err == OK) *ret_filter = filter;
    return err;
}

bool links_match(const struct links_query *query, const struct message *message, size_t i)
{
    const struct message_ref *row = &message->refs[i];
    if (query->hide_private && message_is_secret(message)) return false;
    if (query->source.kind != REF_NONE && !ref_equal(&query->source, &message->author_ref)) return false;
    if (query->dest.kind != REF_NONE && !ref_equal(&query->dest, &row->ref)) return false;
    return query->rel.data == NULL || slice_equal(query->rel, row->rel);
}

/* Every link stands under one rel, so together their lists hold all of them. */
static int links_count_all(struct kv_txn *txn, kv_table rels, uint64_t *ret_count)
{
    struct term term;
    uint64_t sum = 0, count, last;
    int found = list_next_term(txn, rels, false, NULL, &term, &count, &last);
    while (found == 1) {
        sum += count;
        const struct term after = term;
        found = list_next_term(txn, rels, false, &after, &term, &count, &last);
    }
    if (found == 0) *ret_count = sum;
    return found;
}

static int links_count_record(struct log *log, int64_t seq, const struct links_query *query, struct message *message,
                              uint64_t *count)
{
    struct log_record record;
    int err = log_get(log, seq, &record);
    if (err == OK) err = message_scan(message, record.value.data, record.value.len);
    if (err != OK) return err;
    for (size_t i = 0; i < message->ref_count; i++)
        if (links_match(query, message, i)) ++*count;
    return OK;
}

static int links_count_walk(const struct flume_read *read, const struct links_query *links, uint64_t *ret_count)
{
    struct filter filter;
    struct query query;
    struct message message;
    int64_t seqs[LINKS_BATCH];
    uint64_t count = 0;
    int err = links_filter(links, &filter);
    if (err == OK) err = query_open(read->flume, &filter, &LOG_RANGE_ALL, &query);
    if (err != OK) return err;
    if (links->deadline_ms != 0) query.patience_ms = links->deadline_ms - flume_now_ms();
    message_init(&message);
    for (int n = 1; n > 0;) {
        n = query_next(&query, read->flume, seqs, LINKS_BATCH);
        err = n < 0 ? n : OK;
        if (n > 0 && links->deadline_ms != 0 && flume_now_ms() >= links->deadline_ms)
            err = err_set(ERR_SLOW, "counting these takes longer than a query may: name what is rarer (dest, rel)");
        for (int i = 0; i < n && err == OK; i++)
            err = links_count_record(read->log, seqs[i], links, &message, &count);
        if (err != OK) break;
    }
    message_free(&message);
    if (err == OK) *ret_count = count;
    return err;
}

int links_count(const struct flume_read *read, const struct links_query *query, uint64_t *ret_count)
{
    const struct view *view = flume_view(read->flume, VIEW_links);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view links");
    bool source = query->source.kind != REF_NONE, dest = query->dest.kind != REF_NONE, rel = query->rel.data != NULL;
    struct term term;
    /* Encrypted messages have no links in the lists, so leaving them out changes no count. */
    if (source || (dest && rel)) return links_count_walk(read, query, ret_count);
    if (!dest && !rel) return links_count_all(read->txn, view->fields[LINKS_REL], ret_count);
    if (dest)
        term_of_ref(&query->dest, &term);
    else
        term_of_string(query->rel.data, query->rel.len, &term);
    return list_count(read->txn, view->fields[dest ? LINKS_DEST : LINKS_REL], false, &term, ret_count);
}

kv_table links_dest_table(const struct view *links)
{
    return links->fields[LINKS_DEST];
}

int links_root_iter(const struct flume_read *read, const struct ref *root, struct list_iter *ret_iter)
{
    const struct view *view = flume_view(read->flume, VIEW_links);
    struct term term;
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view links");
    term_of_ref(root, &term);
    return list_iter_open(read->txn, view->fields[LINKS_ROOT], false, &term, true, ret_iter);
}

int links_count_root(const struct flume_read *read, const struct ref *root, uint64_t *ret_count)
{
    const struct view *view = flume_view(read->flume, VIEW_links);
    struct term term;
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view links");
    term_of_ref(root, &term);
    return list_count(read->txn, view->fields[LINKS_ROOT], false, &term, ret_count);
}

const struct view_ops view_links_ops = {
    .name = "links",
    .version = 3,
    .fields = (const struct field[]){ { "dest", dest_parse, dest_emit },
                                      { "rel", rel_parse, rel_emit },
                                      { "root", root_parse, root_emit },
                                      { NULL, NULL, NULL } },
};
