#include "views/threads.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_list.h"
#include "views/near.h"
#include "views/view_contacts.h"
#include "views/view_links.h"
#include "views/view_messages.h"
#include "views/view_record.h"

#define WALK_BATCH 64
#define STEPS_PER_LOOK 256 /* the clock is looked at once in so many messages */
#define REPLIES_LOOKED 8   /* the newest of a thread, before its list is walked beside that of the type */
#define LOOKS_AHEAD 8      /* how often it is looked how many messages a walk will take */
#define PASSED_MAX 65536   /* roots that are remembered as done with */
#define COLLECT_MAX (THREADS_ROOTS_MAX / 2) /* messages that roots are collected from: each leads to two at most */

/* A root that was collected, and its newest activity. */
struct found {
    struct ref root;
    int64_t newest;
};

struct threads {
    struct threads_query query;
    char *texts;            /* what type and channel of the query point into */
    struct message message; /* of a root, or of what leads to one */
    struct message reply;
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

/* ---- one thread -------------------------------------------------------------------------------------------------- */

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

static int newest_reply_walked(const struct threads *threads, const struct flume_read *read, const struct ref *root,
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

/* The newest reply that is activity: 1 and its seq, 0, <0 error. Most replies are. */
static int newest_reply(struct threads *threads, const struct flume_read *read, const struct ref *root,
                        int64_t *ret_seq)
{
    struct list_iter replies;
    struct list_entry entry;
    struct log_record record;
    int looked = 0, got = links_root_iter(read, root, &replies);
    if (got != OK) return got;
    while (looked < REPLIES_LOOKED && (got = list_next(&replies, &entry)) == 1) {
        looked++;
        got = log_get(read->log, (int64_t)entry.at, &record);
        if (got == OK) got = message_scan(&threads->reply, record.value.data, record.value.len);
        if (got == ERR_DELETED) continue;
        if (got != OK) break;
        if (!slice_equal(threads->reply.type, threads->query.type)) continue;
        *ret_seq = record.seq;
        got = 1;
        break;
    }
    list_iter_close(&replies);
    bool none = looked == REPLIES_LOOKED && got != 1 && (got == OK || got == ERR_DELETED);
    return none ? newest_reply_walked(threads, read, root, ret_seq) : got;
}

/* A root as it was looked up, left in threads->message if it is there. */
struct root {
    struct ref id;
    struct log_record record; /* value.data NULL = it is not in the log, or not to be seen */
    bool starts;              /* it is activity itself */
};

/* The root whose record was scanned last. */
static void root_take(const struct threads *threads, const struct log_record *record, struct root *ret_root)
{
    const struct message *message = &threads->message;
    struct root root = { .id = message->id, .record = *record };
    /* A reply that others took as their root was activity in the thread it came out of. */
    root.starts = message->root.kind != REF_MESSAGE && slice_equal(message->type, threads->query.type);
    if (threads->query.hide_private && message_is_secret(message)) root.record.value = (struct slice){ NULL, 0 };
    *ret_root = root;
}

static int root_look(struct threads *threads, const struct flume_read *read, const struct ref *id,
                     struct root *ret_root)
{
    struct log_record record;
    int err = messages_find(read, id, &record);
    if (err == ERR_NOTFOUND) {
        *ret_root = (struct root){ .id = *id, .record = { .value = { NULL, 0 } } };
        return OK;
    }
    if (err == OK) err = threads_scan(threads, &record);
    if (err == OK) root_take(threads, &record, ret_root);
    return err;
}

/* The newest activity: 1 and its seq, 0 = there is none, <0 error. */
static int thread_newest(struct threads *threads, const struct flume_read *read, const struct root *root,
                         int64_t *ret_newest)
{
    int64_t newest = SEQ_EMPTY;
    int got = newest_reply(threads, read, &root->id, &newest);
    if (got < 0) return got;
    if (root->starts && root->record.seq > newest) newest = root->record.seq;
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

/* Do the filters on the root, which was looked at last, let its thread pass? 1, 0, <0 error. */
static int root_passes(const struct threads *threads, const struct flume_read *read, const struct root *root)
{
    const struct threads_query *query = &threads->query;
    const struct message *message = &threads->message;
    bool asked = query->author.kind != REF_NONE || query->channel.data != NULL || query->followed.kind != REF_NONE ||
                 query->secret != THREADS_ANY || query->near != NULL;
    if (root->record.value.data == NULL) return !asked;
    if (query->secret != THREADS_ANY && message_is_secret(message) != (query->secret == THREADS_SECRET)) return 0;
    if (query->author.kind != REF_NONE && !ref_equal(&query->author, &message->author_ref)) return 0;
    if (!is_near(threads)) return 0;
    if (query->channel.data != NULL) {
        struct filter filter = { 0 };
        int err = filter_set(&filter, "channel", query->channel.data, query->channel.len);
        if (err != OK) return err;
        if (!filter_match(&filter, message)) return 0;
    }
    return followed(threads, read);
}

/* Does who is asked for take part? 1, 0, <0 error. */
static int thread_passes(const struct threads *threads, const struct flume_read *read, const struct root *root)
{
    const struct ref *who = &threads->query.participating;
    if (who->kind == REF_NONE) return 1;
    if (root->record.value.data != NULL && ref_equal(who, &threads->message.author_ref)) return 1;
    return participates(threads, read, &root->id);
}

/* Its newest activity, if the filters let the root pass: 1, 0, <0 error. */
static int thread_look(struct threads *threads, const struct flume_read *read, const struct root *root,
                       int64_t *ret_newest)
{
    int got = root_passes(threads, read, root);
    return got == 1 ? thread_newest(threads, read, root, ret_newest) : got;
}

static int thread_row(const struct flume_read *read, const struct root *root, int64_t newest,
                      struct thread_row *ret_row)
{
    struct thread_row row = { .root = root->id, .record = root->record };
    int err = log_get(read->log, newest, &row.newest);
    if (err == OK) err = links_count_root(read, &root->id, &row.replies);
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    *ret_row = row;
    return 1;
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

static struct slice root_key(const struct ref *root)
{
    return (struct slice){ (const char *)root->id, sizeof root->id };
}

/* `own`: the record of the root, which was scanned last; NULL = it has to be looked up. */
static int collect_root(struct threads *threads, const struct flume_read *read, const struct ref *id,
                        const struct log_record *own)
{
    struct root root;
    uint32_t number;
    size_t known = threads->roots.count;
    int err = index_keys_add(&threads->roots, root_key(id), &number);
    if (err != OK || number < known) return err;
    if (known == THREADS_ROOTS_MAX)
        return err_set(ERR_LIMIT, "more than %zu threads: ask for fewer", THREADS_ROOTS_MAX);
    struct found found = { .root = *id };
    int got = own == NULL ? root_look(threads, read, id, &root) : OK;
    if (own != NULL) root_take(threads, own, &root);
    if (got == OK) got = thread_look(threads, read, &root, &found.newest);
    if (got == 1) got = found.newest < threads->query.below;
    if (got == 1) got = thread_passes(threads, read, &root);
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
    if (err == OK) err = threads_scan(threads, &record);
    if (err != OK) return err == ERR_DELETED ? OK : err;
    const struct ref own = threads->message.id, root = threads->message.root;
    bool active = threads->query.participating.kind != REF_NONE && root.kind == REF_MESSAGE &&
                  slice_equal(threads->message.type, threads->query.type);
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
    int err = collect_filter(&threads->query, &filter);
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
        struct root root;
        int64_t newest;
        got = root_look(threads, read, &threads->found[threads->found_next++].root, &root);
        if (got == OK) got = thread_look(threads, read, &root, &newest);
        if (got == 1) got = thread_passes(threads, read, &root);
        if (got == 1) got = thread_row(read, &root, newest, ret_row);
    }
    return got;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

static int walk_begin(struct threads *threads, const struct flume_read *read)
{
    const struct threads_query *query = &threads->query;
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
    struct root root;
    struct ref id;
    uint32_t number;
    int64_t newest = seq;
    int got = log_get(read->log, seq, &record);
    if (got == OK) got = threads_scan(threads, &record);
    if (got != OK) return got == ERR_DELETED ? 0 : got;
    if (!threads_root(threads, &id) || index_keys_find(&threads->roots, root_key(&id), &number)) return 0;
    got = root_look(threads, read, &id, &root);
    if (got == OK) got = thread_look(threads, read, &root, &newest);
    /* A copy of a root stands above it: the root is still to come. */
    if (got < 0 || newest < seq) return got < 0 ? got : 0;
    if (got == 1) got = newest == seq;
    if (got == 1) got = thread_passes(threads, read, &root);
    if (got == 1) got = thread_row(read, &root, newest, ret_row);
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
        if (seq >= threads->query.below) continue;
        if (walk_is_long(threads, wanted)) {
            threads->query.below = seq + 1;
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
    message_init(&threads->reply);
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
    message_free(&threads->message);
    message_free(&threads->reply);
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

/* The newest message of any type that names the root: 1 and its seq, 0, <0 error. */
static int newest_naming(const struct flume_read *read, const struct ref *root, int64_t *ret_seq)
{
    struct list_iter replies;
    struct list_entry entry;
    struct log_record record;
    int found = links_root_iter(read, root, &replies);
    if (found != OK) return found;
    while ((found = list_next(&replies, &entry)) == 1)
        if (log_get(read->log, (int64_t)entry.at, &record) != ERR_DELETED) break;
    list_iter_close(&replies);
    if (found == 1) *ret_seq = (int64_t)entry.at;
    return found;
}

/* Is this the newest of the records that a row is made of: the root, its activity, and what else is counted? 1, 0, <0 error. */
static int record_is_last(const struct flume_read *read, const struct log_record *record, const struct root *root,
                          int64_t newest)
{
    int64_t naming = SEQ_EMPTY;
    int found = newest_naming(read, &root->id, &naming);
    if (found < 0) return found;
    if (root->record.value.data != NULL && root->record.seq > newest) newest = root->record.seq;
    return record->seq == (naming > newest ? naming : newest);
}

int threads_of_record(struct threads *threads, const struct flume_read *read, const struct log_record *record,
                      struct thread_row *ret_row)
{
    struct root root;
    struct ref id;
    int64_t newest;
    int got = threads_scan(threads, record);
    if (got != OK || !threads_root(threads, &id)) return got;
    got = root_look(threads, read, &id, &root);
    if (got == OK) got = thread_look(threads, read, &root, &newest);
    if (got == 1) got = record_is_last(read, record, &root, newest);
    if (got == 1) got = thread_passes(threads, read, &root);
    return got == 1 ? thread_row(read, &root, newest, ret_row) : got;
}

uint32_t threads_views(const struct threads_query *query)
{
    uint32_t views = VIEW_MASK(messages) | VIEW_MASK(types) | VIEW_MASK(links);
    if (query->author.kind != REF_NONE || query->participating.kind != REF_NONE) views |= VIEW_MASK(feeds);
    if (query->channel.data != NULL) views |= VIEW_MASK(channels);
    if (query->followed.kind != REF_NONE) views |= VIEW_MASK(contacts);
    return views;
}
