#include "views/threads.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_list.h"
#include "views/thread_look.h"
#include "views/view_record.h"

#define WALK_BATCH 64
#define STEPS_PER_LOOK 256                  /* the clock is looked at once in so many messages */
#define LOOKS_AHEAD 8                       /* how often it is looked how many messages a walk will take */
#define PASSED_MAX 65536                    /* roots that are remembered as done with */
#define COLLECT_MAX (THREADS_ROOTS_MAX / 2) /* messages that roots are collected from: each leads to two at most */

/* A root that was collected, and its newest activity. */
struct found {
    struct ref root;
    int64_t newest;
};

struct threads {
    struct thread_look look;
    char *texts; /* what type and channel of the query point into */
    enum { WALKING, COLLECTING, COLLECTED } state;
    struct query walk;       /* the messages that are walked, or collected from */
    struct index_keys roots; /* walking: that are done with, given or refused; collecting: that were met */

    /* walking */
    int64_t seqs[WALK_BATCH];
    size_t seq_count, seq_next;
    uint64_t
        candidates; /* messages that roots could be collected from instead; UINT64_MAX = there is nothing to collect by */
    uint64_t walked, given;

    /* collected, the newest first */
    struct found *found;
    size_t found_count, found_cap, found_next;
};

/* ---- collecting -------------------------------------------------------------------------------------------------- */

static struct slice root_key(const struct ref *root)
{
    return (struct slice){ (const char *)root->id, sizeof root->id };
}

/* `own`: the record of the root, which was scanned last; NULL = it has to be looked up. */
static int collect_root(struct threads *threads, const struct flume_read *read, const struct ref *id,
                        const struct log_record *own)
{
    struct thread_root root;
    uint32_t number;
    size_t known = threads->roots.count;
    int err = index_keys_add(&threads->roots, root_key(id), &number);
    if (err != OK || number < known) return err;
    if (known == THREADS_ROOTS_MAX)
        return err_set(ERR_LIMIT, "more than %zu threads: ask for fewer", THREADS_ROOTS_MAX);
    struct found found = { .root = *id };
    int got = own == NULL ? look_find(&threads->look, read, id, &root) : OK;
    if (own != NULL) look_scanned(&threads->look, own, &root);
    if (got == OK) got = look_newest(&threads->look, read, &root, &found.newest);
    if (got == 1) got = found.newest < threads->look.query.below;
    if (got == 1) got = look_participates(&threads->look, read, &root);
    if (got != 1) return got;
    err = index_grow(&threads->found, &threads->found_cap, threads->found_count, sizeof *threads->found);
    if (err == OK) threads->found[threads->found_count++] = found;
    return err;
}

/* What a message leads to: the thread that begins with it, and, where it is asked who takes part, the one that it is in. */
static int collect_record(struct threads *threads, const struct flume_read *read, int64_t seq)
{
    struct log_record record;
    int err = log_get(read->log, seq, &record);
    if (err == OK) err = look_scan(&threads->look, &record);
    if (err != OK) return err == ERR_DELETED ? OK : err;
    const struct ref own = threads->look.message.id, root = threads->look.message.root;
    bool active = threads->look.query.participating.kind != REF_NONE && root.kind == REF_MESSAGE &&
                  slice_equal(threads->look.message.type, threads->look.query.type);
    int got = own.kind == REF_MESSAGE ? collect_root(threads, read, &own, &record) : 0;
    return got >= 0 && active ? collect_root(threads, read, &root, NULL) : got;
}

/* The messages that lead to all threads that can pass: those of who takes part, else the roots by their author or channel, or because they
 * are encrypted. An empty filter: there is nothing to collect by. */
static int collect_filter(const struct threads_query *query, struct filter *filter)
{
    if (query->participating.kind != REF_NONE) return filter_set_ref(filter, "author", &query->participating);
    int err = query->author.kind != REF_NONE ? filter_set_ref(filter, "author", &query->author) : OK;
    if (err == OK && query->channel.data != NULL)
        err = filter_set(filter, "channel", query->channel.data, query->channel.len);
    if (err == OK && query->secret == THREADS_SECRET) err = filter_set_text(filter, "private", "true");
    return err;
}

/* How many messages there are to collect from, at most; UINT64_MAX = there is nothing to collect by. */
static int collect_count(const struct threads_query *query, const struct flume_read *read, uint64_t *ret_count)
{
    struct filter filter = { 0 };
    uint64_t least = UINT64_MAX, count;
    int err = collect_filter(query, &filter);
    for (size_t i = 0; err == OK && i < filter.count; i++) {
        const struct filter_term *term = &filter.terms[i];
        const struct view *view = flume_view(read->flume, (enum view_id)term->view);
        if (view == NULL) return err_set(ERR_NOTFOUND, "%s: its view is not there", term->field->name);
        err = list_count(read->txn, view->fields[term->index], false, &term->term, &count);
        if (err == OK && count < least) least = count;
    }
    if (err == OK) *ret_count = least;
    return err;
}

static int found_compare(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    return left->newest > right->newest ? -1 : left->newest < right->newest;
}

static int collect_begin(struct threads *threads, const struct flume_read *read)
{
    struct filter filter = { 0 };
    int err = collect_filter(&threads->look.query, &filter);
    if (err == OK) err = query_open(read->flume, &filter, &LOG_RANGE_ALL, &threads->walk);
    if (err != OK) return err;
    index_keys_reset(&threads->roots);
    threads->state = COLLECTING;
    return OK;
}

/* ERR_SLOW past the deadline: the next call goes on. */
static int collect_go(struct threads *threads, const struct flume_read *read)
{
    int64_t seqs[WALK_BATCH];
    for (int n = WALK_BATCH; n == WALK_BATCH;) {
        query_patience(&threads->walk, read);
        n = query_next(&threads->walk, read->flume, seqs, WALK_BATCH);
        for (int i = 0; i < n; i++) {
            int err = collect_record(threads, read, seqs[i]);
            if (err < 0) return err;
        }
        int err = n == WALK_BATCH ? flume_read_late(read) : n < 0 ? n : OK;
        if (err != OK) return err;
    }
    if (threads->found_count > 0) qsort(threads->found, threads->found_count, sizeof *threads->found, found_compare);
    threads->state = COLLECTED;
    return OK;
}

/* Looked at once more: the snapshot may be another one. */
static int collected_next(struct threads *threads, const struct flume_read *read, struct thread_row *ret_row)
{
    int got = 0;
    while (got == 0 && threads->found_next < threads->found_count) {
        struct thread_root root;
        int64_t newest;
        got = look_find(&threads->look, read, &threads->found[threads->found_next++].root, &root);
        if (got == OK) got = look_newest(&threads->look, read, &root, &newest);
        if (got == 1) got = look_participates(&threads->look, read, &root);
        if (got == 1) got = look_row(read, &root, newest, ret_row);
    }
    return got;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

static int walk_begin(struct threads *threads, const struct flume_read *read)
{
    const struct threads_query *query = &threads->look.query;
    struct filter filter = { 0 };
    struct log_range range = LOG_RANGE_ALL;
    range.reverse = true;
    range.max = query->below;
    int err = collect_count(query, read, &threads->candidates);
    if (err == OK) err = filter_set(&filter, "type", query->type.data, query->type.len);
    if (err == OK) err = query_open(read->flume, &filter, &range, &threads->walk);
    if (threads->candidates > COLLECT_MAX) threads->candidates = UINT64_MAX;
    threads->state = WALKING;
    return err;
}

static int walk_seq(struct threads *threads, const struct flume_read *read, int64_t *ret_seq)
{
    if (threads->seq_next == threads->seq_count) {
        query_patience(&threads->walk, read);
        int n = query_next(&threads->walk, read->flume, threads->seqs, WALK_BATCH);
        if (n <= 0) return n;
        threads->seq_count = (size_t)n;
        threads->seq_next = 0;
    }
    *ret_seq = threads->seqs[threads->seq_next++];
    return 1;
}

/* Gone through for nothing for too long: whoever asks again, with what is said here, goes on. */
static int walk_late(const struct flume_read *read, int64_t seq)
{
    int err = flume_read_late(read);
    if (err == OK) return OK;
    return err_set(
        ERR_SLOW,
        "no thread was found in the time that a query may take, and it has come to seq %lld: go on from there "
        "(lt), or ask for something rarer first",
        (long long)seq);
}

/* The thread of the message at `seq` as a row, if that is its newest activity: 1, 0, <0 error. What need not be looked at again is remembered. */
static int walk_take(struct threads *threads, const struct flume_read *read, int64_t seq, struct thread_row *ret_row)
{
    struct log_record record;
    struct thread_root root;
    struct ref id;
    uint32_t number;
    int64_t newest = seq;
    int got = log_get(read->log, seq, &record);
    if (got == OK) got = look_scan(&threads->look, &record);
    if (got != OK) return got == ERR_DELETED ? 0 : got;
    if (!look_root_id(&threads->look, &id) || index_keys_find(&threads->roots, root_key(&id), &number)) return 0;
    got = look_find(&threads->look, read, &id, &root);
    if (got == OK) got = look_newest(&threads->look, read, &root, &newest);
    /* A copy of a root stands above it: the root is still to come. */
    if (got < 0 || newest < seq) return got < 0 ? got : 0;
    if (got == 1) got = newest == seq;
    if (got == 1) got = look_participates(&threads->look, read, &root);
    if (got == 1) got = look_row(read, &root, newest, ret_row);
    if (got < 0 || threads->roots.count >= PASSED_MAX) return got;
    int err = index_keys_add(&threads->roots, root_key(&id), &number);
    return err == OK ? got : err;
}

/* Is it better to collect? A step of the walk costs about half of what it costs to collect from a message, and of many it shows soon whether they
 * lead anywhere. */
static bool walk_is_long(const struct threads *threads, uint64_t wanted)
{
    uint64_t most = threads->candidates * 2;
    if (threads->candidates == UINT64_MAX) return false;
    if (wanted == THREADS_ALL || threads->walked >= most) return true;
    if (threads->walked == 0 || threads->walked % (most / LOOKS_AHEAD + 1) != 0) return false;
    return threads->given * most < (threads->given + wanted) * threads->walked;
}

static int walk_next(struct threads *threads, const struct flume_read *read, uint64_t wanted,
                     struct thread_row *ret_row)
{
    int64_t seq;
    int got;
    for (size_t steps = 1; (got = walk_seq(threads, read, &seq)) == 1; steps++) {
        if (seq >= threads->look.query.below) continue;
        if (walk_is_long(threads, wanted)) {
            threads->look.query.below = seq + 1;
            return collect_begin(threads, read);
        }
        int late = steps % STEPS_PER_LOOK == 0 ? walk_late(read, seq) : OK;
        if (late != OK) {
            threads->seq_next--;
            return late;
        }
        threads->walked++;
        got = walk_take(threads, read, seq, ret_row);
        threads->given += got == 1;
        if (got != 0) return got;
    }
    return got;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Keeps the texts of the query, which belong to the request. */
static int threads_keep(struct threads *threads, const struct threads_query *query)
{
    struct slice *slices[] = { &threads->look.query.type, &threads->look.query.channel };
    size_t len = 0;
    threads->texts = malloc(query->type.len + query->channel.len + 1);
    if (threads->texts == NULL) return err_set(ERR_NOMEM, "no memory to list threads");
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        if (slices[i]->data == NULL) continue;
        memcpy(threads->texts + len, slices[i]->data, slices[i]->len);
        slices[i]->data = threads->texts + len;
        len += slices[i]->len;
    }
    return OK;
}

int threads_open(const struct flume_read *read, const struct threads_query *query, struct threads **ret_threads)
{
    struct threads *threads = calloc(1, sizeof *threads);
    if (threads == NULL) return err_set(ERR_NOMEM, "no memory to list threads");
    look_init(&threads->look, query);
    index_keys_init(&threads->roots, 0);
    int err = threads_keep(threads, query);
    if (err == OK) err = walk_begin(threads, read);
    if (err != OK) {
        threads_close(threads);
        return err;
    }
    *ret_threads = threads;
    return OK;
}

void threads_close(struct threads *threads)
{
    if (threads == NULL) return;
    look_free(&threads->look);
    index_keys_free(&threads->roots);
    free(threads->found);
    free(threads->texts);
    free(threads);
}

int threads_next(struct threads *threads, const struct flume_read *read, uint64_t wanted, struct thread_row *ret_row)
{
    int got = threads->state == WALKING ? walk_next(threads, read, wanted, ret_row) : 0;
    if (got == 0 && threads->state == COLLECTING) got = collect_go(threads, read);
    if (got == 0 && threads->state == COLLECTED) got = collected_next(threads, read, ret_row);
    return got;
}

int threads_of_record(struct threads *threads, const struct flume_read *read, const struct log_record *record,
                      struct thread_row *ret_row)
{
    struct thread_root root;
    struct ref id;
    int64_t newest;
    int got = look_scan(&threads->look, record);
    if (got != OK || !look_root_id(&threads->look, &id)) return got;
    got = look_find(&threads->look, read, &id, &root);
    if (got == OK) got = look_newest(&threads->look, read, &root, &newest);
    if (got == 1) got = look_is_last(read, record, &root, newest);
    if (got == 1) got = look_participates(&threads->look, read, &root);
    return got == 1 ? look_row(read, &root, newest, ret_row) : got;
}

uint32_t threads_views(const struct threads_query *query)
{
    uint32_t views = VIEW_MASK(messages) | VIEW_MASK(types) | VIEW_MASK(links);
    if (query->author.kind != REF_NONE || query->participating.kind != REF_NONE) views |= VIEW_MASK(feeds);
    if (query->channel.data != NULL) views |= VIEW_MASK(channels);
    if (query->followed.kind != REF_NONE) views |= VIEW_MASK(contacts);
    return views;
}
