#include "views/thread.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "views/index_keys.h"
#include "views/index_list.h"
#include "views/view_links.h"
#include "views/view_messages.h"
#include "views/view_record.h"

/* `before` has to come before `behind`. */
struct thread_edge {
    uint32_t before, behind;
};

struct maker {
    const struct flume_read *read;
    struct thread thread;
    size_t cap;
    struct index_keys ids;  /* message id -> number */
    struct index_keys gone; /* ids that were looked for in vain */
    struct thread_edge *edges;
    size_t edge_count, edge_cap, missing_cap;
    struct message message;
};

static struct slice id_slice(const struct ref *ref)
{
    return (struct slice){ (const char *)ref->id, sizeof ref->id };
}

/* ---- the messages ------------------------------------------------------------------------------------------------ */

static int thread_add(struct maker *maker, const struct log_record *record)
{
    struct thread *thread = &maker->thread;
    const struct message *message = &maker->message;
    uint32_t number;
    int err = message_scan(&maker->message, record->value.data, record->value.len);
    if (err != OK || message->id.kind != REF_MESSAGE) return err;
    err = index_grow(&thread->messages, &maker->cap, thread->count, sizeof *thread->messages);
    if (err == OK) err = index_keys_add(&maker->ids, id_slice(&message->id), &number);
    if (err != OK || number < thread->count) return err; /* a copy */
    if (thread->count == THREAD_MESSAGES_MAX)
        return err_set(ERR_LIMIT, "the thread has more than %d messages: read it from /log?root=…",
                       THREAD_MESSAGES_MAX);
    thread->messages[thread->count++] = (struct thread_message){
        .id = message->id,
        .record = *record,
        .received = message->has_received ? message->received : 0,
        .claimed = message->has_timestamp ? message->timestamp : 0,
        .votes = slice_equal(message->type, SLICE_LITERAL("vote")),
    };
    return OK;
}

static int thread_missing(struct maker *maker, const struct ref *id)
{
    struct thread *thread = &maker->thread;
    uint32_t number;
    size_t known = maker->gone.count;
    int err = index_keys_add(&maker->gone, id_slice(id), &number);
    if (err != OK || number < known) return err;
    err = index_grow(&thread->missing, &maker->missing_cap, thread->missing_count, sizeof *thread->missing);
    if (err == OK) thread->missing[thread->missing_count++] = *id;
    return err;
}

static int thread_add_root(struct maker *maker, const struct ref *root, bool hide_private)
{
    struct log_record record;
    int err = messages_find(maker->read, root, &record);
    if (err == OK) err = thread_add(maker, &record);
    if (err == OK && hide_private && message_is_secret(&maker->message)) {
        maker->thread.count = 0;
        index_keys_reset(&maker->ids);
        err = ERR_NOTFOUND;
    }
    maker->thread.rooted = err == OK;
    return err == ERR_NOTFOUND ? thread_missing(maker, root) : err;
}

static int thread_add_replies(struct maker *maker, const struct ref *root)
{
    struct filter filter = { 0 };
    struct query query;
    int64_t seqs[256];
    int n = filter_set_ref(&filter, "root", root);
    if (n == OK) n = query_open(maker->read->flume, &filter, &LOG_RANGE_ALL, &query);
    if (n != OK) return n;
    while ((n = query_next(&query, maker->read->flume, seqs, sizeof seqs / sizeof *seqs)) > 0) {
        for (int i = 0; i < n; i++) {
            struct log_record record;
            int err = log_get(maker->read->log, seqs[i], &record);
            if (err == OK) err = thread_add(maker, &record);
            if (err != OK && err != ERR_DELETED) return err;
        }
    }
    return n;
}

/* ---- who refers to whom ------------------------------------------------------------------------------------------ */

static int thread_refer(struct maker *maker, uint32_t behind, const struct ref *id)
{
    uint32_t before;
    if (!index_keys_find(&maker->ids, id_slice(id), &before) || before == behind) return OK;
    int err = index_grow(&maker->edges, &maker->edge_cap, maker->edge_count, sizeof *maker->edges);
    if (err != OK) return err;
    maker->edges[maker->edge_count++] = (struct thread_edge){ before, behind };
    maker->thread.messages[before].referred = true;
    maker->thread.messages[behind].after++;
    return OK;
}

/* Is what a thread hangs on in the log? */
static int thread_ask(struct maker *maker, const struct message_ref *ref)
{
    uint32_t number;
    struct log_record record;
    bool hangs = slice_equal(ref->rel, SLICE_LITERAL("root")) || slice_equal(ref->rel, SLICE_LITERAL("branch"));
    if (!hangs || index_keys_find(&maker->ids, id_slice(&ref->ref), &number)) return OK;
    int err = messages_find(maker->read, &ref->ref, &record);
    return err == ERR_NOTFOUND ? thread_missing(maker, &ref->ref) : err;
}

static int thread_refers(struct maker *maker, uint32_t number)
{
    const struct log_record *record = &maker->thread.messages[number].record;
    const struct message *message = &maker->message;
    struct slice previous;
    struct ref ref;
    int err = message_scan(&maker->message, record->value.data, record->value.len);
    for (size_t i = 0; i < message->ref_count && err == OK; i++) {
        if (message->refs[i].ref.kind != REF_MESSAGE) continue;
        err = thread_refer(maker, number, &message->refs[i].ref);
        if (err == OK) err = thread_ask(maker, &message->refs[i]);
    }
    if (err != OK || json_find(message->value, "previous", &previous) != 1) return err;
    return record_ref(previous, &ref) == OK && ref.kind == REF_MESSAGE ? thread_refer(maker, number, &ref) : OK;
}

/* ---- the order --------------------------------------------------------------------------------------------------- */

static bool thread_first(const struct thread_message *a, const struct thread_message *b)
{
    char left[REF_TEXT_MAX], right[REF_TEXT_MAX];
    if (a->received < b->received || a->received > b->received) return a->received < b->received;
    if (a->claimed < b->claimed || a->claimed > b->claimed) return a->claimed < b->claimed;
    size_t len = ref_print(&a->id, left);
    (void)ref_print(&b->id, right);
    return memcmp(left, right, len) > 0;
}

/* A heap of numbers, the message that comes first on top. */
struct heap {
    const struct thread_message *messages;
    uint32_t *numbers;
    size_t count;
};

static bool heap_before(const struct heap *heap, size_t a, size_t b)
{
    return thread_first(&heap->messages[heap->numbers[a]], &heap->messages[heap->numbers[b]]);
}

static void heap_swap(struct heap *heap, size_t a, size_t b)
{
    uint32_t number = heap->numbers[a];
    heap->numbers[a] = heap->numbers[b];
    heap->numbers[b] = number;
}

static void heap_push(struct heap *heap, uint32_t number)
{
    size_t at = heap->count++;
    heap->numbers[at] = number;
    for (; at > 0 && heap_before(heap, at, (at - 1) / 2); at = (at - 1) / 2)
        heap_swap(heap, at, (at - 1) / 2);
}

static uint32_t heap_pop(struct heap *heap)
{
    uint32_t top = heap->numbers[0];
    heap->numbers[0] = heap->numbers[--heap->count];
    for (size_t at = 0, child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && heap_before(heap, child + 1, child)) child++;
        if (!heap_before(heap, child, at)) break;
        heap_swap(heap, at, child);
    }
    return top;
}

static int edge_compare(const void *a, const void *b)
{
    const struct thread_edge *left = a, *right = b;
    return left->before < right->before ? -1 : left->before > right->before;
}

/* Takes the message out of the way of those that refer to it. */
static void thread_release(struct maker *maker, uint32_t number, struct heap *ready)
{
    size_t low = 0, high = maker->edge_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maker->edges[middle].before < number)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < maker->edge_count && maker->edges[low].before == number; low++) {
        uint32_t behind = maker->edges[low].behind;
        if (--maker->thread.messages[behind].after == 0) heap_push(ready, behind);
    }
}

/* Ids are hashes, so messages cannot refer to each other in a circle; records that were never checked can. The first of what is left breaks it. */
static uint32_t thread_break(const struct maker *maker, const bool *placed)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < maker->thread.count; i++)
        if (!placed[i] &&
            (first == SIZE_MAX || thread_first(&maker->thread.messages[i], &maker->thread.messages[first])))
            first = i;
    return (uint32_t)first;
}

static void thread_place(struct maker *maker, struct heap *ready, bool *placed, struct thread_message *ret_sorted)
{
    struct thread *thread = &maker->thread;
    for (uint32_t i = 0; i < thread->count; i++)
        if (thread->messages[i].after == 0) heap_push(ready, i);
    for (size_t at = 0; at < thread->count;) {
        uint32_t next = ready->count > 0 ? heap_pop(ready) : thread_break(maker, placed);
        if (placed[next]) continue;
        placed[next] = true;
        ret_sorted[at++] = thread->messages[next];
        thread_release(maker, next, ready);
    }
}

static int thread_sort(struct maker *maker)
{
    struct thread *thread = &maker->thread;
    if (thread->count == 0) return OK;
    struct thread_message *sorted = malloc(thread->count * sizeof *sorted);
    bool *placed = calloc(thread->count, sizeof *placed);
    /* One that breaks a circle comes to the heap when what it waits for is placed: never twice. */
    struct heap ready = { .messages = thread->messages, .numbers = malloc(thread->count * sizeof(uint32_t)) };
    int err = OK;
    if (sorted == NULL || placed == NULL || ready.numbers == NULL) {
        err = err_set(ERR_NOMEM, "no memory to sort a thread of %zu messages", thread->count);
        free(sorted);
    } else {
        if (maker->edge_count > 0) qsort(maker->edges, maker->edge_count, sizeof *maker->edges, edge_compare);
        thread_place(maker, &ready, placed, sorted);
        free(thread->messages);
        thread->messages = sorted;
    }
    free(placed);
    free(ready.numbers);
    return err;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int thread_make(struct maker *maker, const struct ref *root, bool hide_private)
{
    int err = thread_add_root(maker, root, hide_private);
    if (err == OK) err = thread_add_replies(maker, root);
    if (err == OK && maker->thread.count == 0)
        err = err_set(ERR_NOTFOUND, "there is no message of that id here, nor a reply to one");
    size_t count = maker->thread.count;
    for (uint32_t i = 0; i < count && err == OK; i++)
        err = thread_refers(maker, i);
    return err == OK ? thread_sort(maker) : err;
}

int thread_read(const struct flume_read *read, const struct ref *root, bool hide_private, struct thread *ret_thread)
{
    struct maker maker = { .read = read };
    message_init(&maker.message);
    index_keys_init(&maker.ids, 0);
    index_keys_init(&maker.gone, 0);
    int err = thread_make(&maker, root, hide_private);
    message_free(&maker.message);
    index_keys_free(&maker.ids);
    index_keys_free(&maker.gone);
    free(maker.edges);
    if (err == OK)
        *ret_thread = maker.thread;
    else
        thread_free(&maker.thread);
    return err;
}

void thread_free(struct thread *thread)
{
    free(thread->messages);
    free(thread->missing);
    *thread = (struct thread){ .messages = NULL };
}
