#include "views/said.h"

#include <stdlib.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/pair.h"

#define SAID_BATCH 256

struct listener {
    const struct flume_read *read;
    said_fn *fn;
    void *ctx;
    struct said_list list;
    size_t cap;
    size_t most;
    struct index_keys authors;
    struct message message;
};

static int said_note(struct listener *listener, const struct ref *author, int64_t seq, int what)
{
    char key[PAIR_KEY_BYTES];
    struct said_list *list = &listener->list;
    uint32_t number;
    pair_key(author, author, key);
    int err = index_grow(&list->items, &listener->cap, list->count, sizeof *list->items);
    if (err == OK) err = index_keys_add(&listener->authors, (struct slice){ key, PAIR_REF_BYTES }, &number);
    if (err != OK) return err;
    if (number == listener->most) return err_set(ERR_LIMIT, "more than %zu authors", listener->most);
    list->items[number] = (struct said){ *author, seq, what };
    list->count = listener->authors.count;
    return OK;
}

static int said_record(struct listener *listener, int64_t seq)
{
    struct log_record record;
    const struct message *message = &listener->message;
    int err = log_get(listener->read->log, seq, &record);
    if (err == OK) err = message_scan(&listener->message, record.value.data, record.value.len);
    if (err != OK) return err == ERR_DELETED ? OK : err;
    if (message->author_ref.kind == REF_NONE) return OK;
    int what = listener->fn(listener->ctx, message);
    return what < 0 ? OK : said_note(listener, &message->author_ref, seq, what);
}

static int said_compare(const void *a, const void *b)
{
    const struct said *left = a, *right = b;
    return pair_compare(&left->author, &right->author);
}

static int said_walk(struct listener *listener, const struct filter *filter)
{
    struct query query;
    int64_t seqs[SAID_BATCH];
    int n = query_open(listener->read->flume, filter, &LOG_RANGE_ALL, &query);
    if (n != OK) return n;
    query_patience(&query, listener->read);
    while ((n = query_next(&query, listener->read->flume, seqs, SAID_BATCH)) > 0) {
        for (int i = 0; i < n; i++) {
            int err = said_record(listener, seqs[i]);
            if (err != OK) return err;
        }
        int err = n == SAID_BATCH ? flume_read_late(listener->read) : OK;
        if (err != OK) return err;
    }
    return n;
}

int said_read(const struct flume_read *read, const struct filter *filter, size_t most, said_fn *fn, void *ctx,
              struct said_list *ret_list)
{
    struct listener listener = { .read = read, .most = most, .fn = fn, .ctx = ctx };
    message_init(&listener.message);
    index_keys_init(&listener.authors, 0);
    int err = said_walk(&listener, filter);
    index_keys_free(&listener.authors);
    message_free(&listener.message);
    if (err != OK) {
        said_free(&listener.list);
        return err;
    }
    if (listener.list.count > 0)
        qsort(listener.list.items, listener.list.count, sizeof *listener.list.items, said_compare);
    *ret_list = listener.list;
    return OK;
}

void said_free(struct said_list *list)
{
    free(list->items);
    *list = (struct said_list){ NULL, 0 };
}

size_t said_behind(const struct said_list *list, const struct ref *after)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pair_compare(&list->items[middle].author, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct said *said_by(const struct said_list *list, const struct ref *author)
{
    size_t behind = said_behind(list, author);
    const struct said *last = behind == 0 ? NULL : &list->items[behind - 1];
    return last != NULL && ref_equal(&last->author, author) ? last : NULL;
}
