#include "views/threads.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/near.h"
#include "views/view_contacts.h"
#include "views/view_links.h"
#include "views/view_messages.h"
#include "views/view_record.h"

#define WALK_BATCH 64
#define STEPS_PER_LOOK 256 /* the clock is looked at once in so many messages */

/* A root that was collected, and its newest activity. */
struct found {
    struct ref root;
    int64_t newest;
};

struct threads {
    struct threads_query query;
    char *texts; /* what type and channel of the query point into */
    struct message message;

    /* walking */
    struct query walk;
    int64_t seqs[WALK_BATCH];
    size_t seq_count, seq_next;

    /* collected, the newest first */
    bool collected;
    struct found *found;
    size_t found_count, found_cap, found_next;
    struct index_keys roots;
};

/* ---- one thread -------------------------------------------------------------------------------------------------- */

static int filter_set_ref(struct filter *filter, const char *name, const struct ref *ref)
{
    char text[REF_TEXT_MAX];
    return filter_set(filter, name, text, ref_print(ref, text));
}

/* Scans a record into threads->message. */
static int threads_scan(struct threads *threads, const struct log_record *record)
{
    return message_scan(&threads->message, record->value.data, record->value.len);
}

/* The root that the message scanned last belongs to; false if it is none that can be named. */
static bool threads_root(const struct threads *threads, struct ref *ret_root)
{
    const struct message *message = &threads->message;
    *ret_root = message->root.kind == REF_MESSAGE ? message->root : message->id;
    return ret_root->kind == REF_MESSAGE;
}

/* The newest reply that is activity: 1 and its seq, 0, <0 error. */
static int newest_reply(const struct threads *threads, const struct flume_read *read, const struct ref *root,
                        int64_t *ret_seq)
{
    struct filter filter = { 0 };
    struct query query;
    struct log_range range = LOG_RANGE_ALL;
    range.reverse = true;
    int err = filter_set_ref(&filter, "root", root);
    if (err == OK) err = filter_set(&filter, "type", threads->query.type.data, threads->query.type.len);
    if (err == OK) err = query_open(read->flume, &filter, &range, &query);
    return err == OK ? query_next(&query, read->flume, ret_seq, 1) : err;
}

/* The root's record and the newest activity, if there is any: 1, 0, <0 error. Leaves the root in threads->message if it is there. */
static int thread_look(struct threads *threads, const struct flume_read *read, const struct ref *root,
                       struct log_record *ret_record, int64_t *ret_newest)
{
    struct log_record record = { .value = { NULL, 0 } };
    int64_t newest = SEQ_EMPTY;
    int got = newest_reply(threads, read, root, &newest);
    if (got < 0) return got;
    int err = messages_find(read, root, &record);
    if (err != OK && err != ERR_NOTFOUND) return err;
    if (err == OK) err = threads_scan(threads, &record);
    /* A reply that others took as their root was activity in the thread it came out of. */
    bool starts = err == OK && threads->message.root.kind != REF_MESSAGE &&
                  slice_equal(threads->message.type, threads->query.type);
    if (starts && record.seq > newest) newest = record.seq;
    if (err != OK && err != ERR_NOTFOUND) return err;
    if (err == ERR_NOTFOUND || (threads->query.hide_private && message_is_secret(&threads->message)))
        record.value = (struct slice){ NULL, 0 };
    *ret_record = record;
    *ret_newest = newest;
    return newest != SEQ_EMPTY;
}

static int participates(const struct threads *threads, const struct flume_read *read, const struct ref *root)
{
    struct filter filter = { 0 };
    struct query query;
    int64_t seq;
    const struct ref *who = &threads->query.participating;
    if (who->kind == REF_NONE) return 1;
    int err = filter_set_ref(&filter, "root", root);
    if (err == OK) err = filter_set_ref(&filter, "author", who);
    if (err == OK) err = filter_set(&filter, "type", threads->query.type.data, threads->query.type.len);
    if (err == OK) err = query_open(read->flume, &filter, &LOG_RANGE_ALL, &query);
    return err == OK ? query_next(&query, read->flume, &seq, 1) : err;
}

static bool is_near(const struct threads *threads)
{
    const struct near *near = threads->query.near;
    return near == NULL || near_has(near, &threads->message.author_ref);
}

static int followed(const struct threads *threads, const struct flume_read *read)
{
    const struct ref *who = &threads->query.followed, *author = &threads->message.author_ref;
    struct contact contact;
    if (who->kind == REF_NONE || ref_equal(who, author)) return 1;
    int found = contacts_get(read, who, author, &contact);
    return found == 1 ? contact.state == CONTACT_FOLLOWS : found;
}

/* Do the filters let the thread pass? 1, 0, <0 error. Its root was looked at last. */
static int thread_passes(const struct threads *threads, const struct flume_read *read, const struct ref *root,
                         bool rooted)
{
    const struct threads_query *query = &threads->query;
    const struct message *message = &threads->message;
    bool of_root = query->author.kind != REF_NONE || query->channel.data != NULL || query->followed.kind != REF_NONE ||
                   query->secret != THREADS_ANY || query->near != NULL;
    if (of_root && !rooted) return 0;
    if (query->secret != THREADS_ANY && message_is_secret(message) != (query->secret == THREADS_SECRET)) return 0;
    if (query->author.kind != REF_NONE && !ref_equal(&query->author, &message->author_ref)) return 0;
    if (rooted && !is_near(threads)) return 0;
    if (query->channel.data != NULL) {
        struct filter filter = { 0 };
        int err = filter_set(&filter, "channel", query->channel.data, query->channel.len);
        if (err != OK) return err;
        if (!filter_match(&filter, message)) return 0;
    }
    int passes = rooted ? followed(threads, read) : 1;
    if (passes != 1 || query->participating.kind == REF_NONE) return passes;
    if (rooted && ref_equal(&query->participating, &message->author_ref)) return 1;
    return participates(threads, read, root);
}

/* The thread as a row if it passes and `newest` (SEQ_EMPTY = whatever it is) is its newest activity: 1, 0, <0 error. */
static int thread_take(struct threads *threads, const struct flume_read *read, const struct ref *root, int64_t newest,
                       struct thread_row *ret_row)
{
    struct thread_row row = { .root = *root };
    int64_t seq;
    int got = thread_look(threads, read, root, &row.record, &seq);
    if (got == 1) got = newest == SEQ_EMPTY || newest == seq;
    if (got == 1) got = thread_passes(threads, read, root, row.record.value.data != NULL);
    if (got != 1) return got;
    int err = log_get(read->log, seq, &row.newest);
    if (err == OK) err = links_count_root(read, root, &row.replies);
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    *ret_row = row;
    return 1;
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

static int collect_root(struct threads *threads, const struct flume_read *read, const struct ref *root)
{
    struct log_record record;
    uint32_t number;
    size_t known = threads->roots.count;
    int err = index_keys_add(&threads->roots, (struct slice){ (const char *)root->id, sizeof root->id }, &number);
    if (err != OK || number < known) return err;
    if (known == THREADS_ROOTS_MAX)
        return err_set(ERR_LIMIT, "more than %zu threads: ask for fewer", THREADS_ROOTS_MAX);
    struct found found = { .root = *root };
    int got = thread_look(threads, read, root, &record, &found.newest);
    if (got == 1) got = found.newest < threads->query.below;
    if (got == 1) got = thread_passes(threads, read, root, record.value.data != NULL);
    if (got != 1) return got;
    err = index_grow(&threads->found, &threads->found_cap, threads->found_count, sizeof *threads->found);
    if (err == OK) threads->found[threads->found_count++] = found;
    return err;
}

/* What a message leads to: the thread that begins with it, and the one it takes part in. */
static int collect_record(struct threads *threads, const struct flume_read *read, int64_t seq)
{
    struct log_record record;
    int err = log_get(read->log, seq, &record);
    if (err == OK) err = threads_scan(threads, &record);
    if (err != OK) return err == ERR_DELETED ? OK : err;
    const struct ref own = threads->message.id, root = threads->message.root;
    bool active = slice_equal(threads->message.type, threads->query.type);
    int got = own.kind == REF_MESSAGE ? collect_root(threads, read, &own) : 0;
    if (got >= 0 && active && root.kind == REF_MESSAGE) got = collect_root(threads, read, &root);
    return got;
}

/* The messages that lead to all threads that can pass: those of who takes part, else the roots by their author or channel, or because they
 * are encrypted. */
static int collect_filter(const struct threads_query *query, struct filter *filter)
{
    if (query->participating.kind != REF_NONE) return filter_set_ref(filter, "author", &query->participating);
    int err = query->author.kind != REF_NONE ? filter_set_ref(filter, "author", &query->author) : OK;
    if (err == OK && query->channel.data != NULL)
        err = filter_set(filter, "channel", query->channel.data, query->channel.len);
    if (err == OK && query->secret == THREADS_SECRET) err = filter_set(filter, "private", "true", 4);
    return err;
}

static int found_compare(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    return left->newest > right->newest ? -1 : left->newest < right->newest;
}

static int threads_collect(struct threads *threads, const struct flume_read *read)
{
    struct filter filter = { 0 };
    struct query query;
    int64_t seqs[WALK_BATCH];
    int n = collect_filter(&threads->query, &filter);
    if (n == OK) n = query_open(read->flume, &filter, &LOG_RANGE_ALL, &query);
    if (n != OK) return n;
    query_patience(&query, read);
    while ((n = query_next(&query, read->flume, seqs, WALK_BATCH)) > 0) {
        for (int i = 0; i < n; i++) {
            int err = collect_record(threads, read, seqs[i]);
            if (err < 0) return err;
        }
        int err = n == WALK_BATCH ? flume_read_late(read) : OK;
        if (err != OK) return err;
    }
    if (n < 0) return n;
    if (threads->found_count > 0) qsort(threads->found, threads->found_count, sizeof *threads->found, found_compare);
    return OK;
}

static int collected_next(struct threads *threads, const struct flume_read *read, struct thread_row *ret_row)
{
    int got = 0;
    while (got == 0 && threads->found_next < threads->found_count)
        got = thread_take(threads, read, &threads->found[threads->found_next++].root, SEQ_EMPTY, ret_row);
    return got;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

static int threads_walk(struct threads *threads, const struct flume_read *read)
{
    const struct threads_query *query = &threads->query;
    struct filter filter = { 0 };
    struct log_range range = LOG_RANGE_ALL;
    range.reverse = true;
    range.max = query->below;
    int err = filter_set(&filter, "type", query->type.data, query->type.len);
    return err == OK ? query_open(read->flume, &filter, &range, &threads->walk) : err;
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

static int walk_next(struct threads *threads, const struct flume_read *read, struct thread_row *ret_row)
{
    struct log_record record;
    struct ref root;
    int64_t seq;
    int got;
    for (size_t steps = 1; (got = walk_seq(threads, read, &seq)) == 1; steps++) {
        if (seq >= threads->query.below) continue;
        int late = steps % STEPS_PER_LOOK == 0 ? walk_late(read, seq) : OK;
        if (late != OK) {
            threads->seq_next--;
            return late;
        }
        int err = log_get(read->log, seq, &record);
        if (err == OK) err = threads_scan(threads, &record);
        if (err == ERR_DELETED) continue;
        if (err != OK) return err;
        if (!threads_root(threads, &root)) continue;
        got = thread_take(threads, read, &root, seq, ret_row);
        if (got != 0) return got;
    }
    return got;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Keeps the texts of the query, which belong to the request. */
static int threads_keep(struct threads *threads, const struct threads_query *query)
{
    struct slice *slices[] = { &threads->query.type, &threads->query.channel };
    size_t len = 0;
    threads->query = *query;
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
    message_init(&threads->message);
    index_keys_init(&threads->roots, 0);
    threads->collected = query->author.kind != REF_NONE || query->channel.data != NULL ||
                         query->participating.kind != REF_NONE || query->secret == THREADS_SECRET;
    int err = threads_keep(threads, query);
    if (err == OK) err = threads->collected ? threads_collect(threads, read) : threads_walk(threads, read);
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
    message_free(&threads->message);
    index_keys_free(&threads->roots);
    free(threads->found);
    free(threads->texts);
    free(threads);
}

int threads_next(struct threads *threads, const struct flume_read *read, struct thread_row *ret_row)
{
    return threads->collected ? collected_next(threads, read, ret_row) : walk_next(threads, read, ret_row);
}

uint32_t threads_views(const struct threads_query *query)
{
    uint32_t views = VIEW_MASK(messages) | VIEW_MASK(types) | VIEW_MASK(links);
    if (query->author.kind != REF_NONE || query->participating.kind != REF_NONE) views |= VIEW_MASK(feeds);
    if (query->channel.data != NULL) views |= VIEW_MASK(channels);
    if (query->followed.kind != REF_NONE) views |= VIEW_MASK(contacts);
    return views;
}
