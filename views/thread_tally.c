#include "views/thread_tally.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/index_list.h"
#include "views/view_links.h"
#include "views/view_record.h"
#include "views/votes.h"

/* More that refers to a message from outside of its thread than this, and the lists of votes and roots are asked instead. */
#define OUTSIDE_MAX 32

#define REF_TERM_BYTES 33

/* A message of the thread, in the order of the terms. */
struct target {
    uint8_t term[REF_TERM_BYTES];
    uint32_t number;  /* in the thread */
    uint32_t outside; /* records outside the thread that refer to it, OUTSIDE_MAX + 1 = too many */
    uint64_t last;    /* seq that was noted last */
};

/* A record outside of the thread refers to a message. */
struct mention {
    uint32_t target;
    uint64_t seq;
};

struct voter {
    struct ref author;
    bool likes;
};

struct teller {
    const struct flume_read *read;
    const struct thread *thread;
    const struct ref *root;
    struct thread_tally *tallies;
    struct target *targets;
    struct slice *terms; /* theirs */
    uint64_t *inside;    /* seqs of the thread's records that say nothing more about its messages, sorted */
    size_t inside_count;
    struct mention *mentions;
    size_t mention_count, mention_cap;
    int64_t horizon; /* votes above it are not counted yet */
    struct message message;
};

/* ---- who refers to them ------------------------------------------------------------------------------------------ */

static bool teller_is_inside(const struct teller *teller, uint64_t seq)
{
    size_t low = 0, high = teller->inside_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (teller->inside[middle] < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < teller->inside_count && teller->inside[low] == seq;
}

static int teller_note(void *ctx, size_t i, const struct list_entry *entries, size_t count)
{
    struct teller *teller = ctx;
    struct target *target = &teller->targets[i];
    for (size_t k = 0; k < count && target->outside <= OUTSIDE_MAX; k++) {
        uint64_t seq = entries[k].at;
        if ((target->outside > 0 && seq == target->last) || teller_is_inside(teller, seq)) continue;
        target->last = seq;
        if (++target->outside > OUTSIDE_MAX) break;
        int err = index_grow(&teller->mentions, &teller->mention_cap, teller->mention_count, sizeof *teller->mentions);
        if (err != OK) return err;
        teller->mentions[teller->mention_count++] = (struct mention){ (uint32_t)i, seq };
    }
    return OK;
}

static int mention_compare(const void *a, const void *b)
{
    const struct mention *left = a, *right = b;
    if (left->target != right->target) return left->target < right->target ? -1 : 1;
    return left->seq < right->seq ? -1 : left->seq > right->seq;
}

/* ---- what they say about it -------------------------------------------------------------------------------------- */

/* The two lists that know, for what is referred to by many or by what is no more. */
static int teller_ask_lists(const struct teller *teller, const struct ref *id, struct thread_tally *tally)
{
    int err = votes_tally(teller->read, id, &tally->votes);
    return err == OK ? links_count_root(teller->read, id, &tally->forks) : err;
}

static void voter_note(struct voter *voters, size_t *count, const struct voter *voter)
{
    size_t i = 0;
    while (i < *count && !ref_equal(&voters[i].author, &voter->author))
        i++;
    voters[i] = *voter;
    *count += i == *count;
}

/* The mentions of one target, from here to there, in the order of the log: the last of an author counts. */
static int teller_count(struct teller *teller, const struct ref *id, size_t from, size_t to, struct thread_tally *tally)
{
    struct voter voters[OUTSIDE_MAX], voter;
    size_t voter_count = 0;
    const struct message *message = &teller->message;
    for (size_t i = from; i < to; i++) {
        struct log_record record;
        int64_t seq = (int64_t)teller->mentions[i].seq;
        double value;
        int err = log_get(teller->read->log, seq, &record);
        if (err == OK) err = message_scan(&teller->message, record.value.data, record.value.len);
        if (err != OK) return err;
        tally->forks += message->root.kind != REF_NONE && ref_equal(&message->root, id);
        if (seq > teller->horizon || message->author_ref.kind == REF_NONE || !vote_says(message, id, &value)) continue;
        voter = (struct voter){ message->author_ref, value > 0 };
        voter_note(voters, &voter_count, &voter);
    }
    for (size_t i = 0; i < voter_count; i++)
        tally->votes += voters[i].likes;
    return OK;
}

static int teller_tell(struct teller *teller)
{
    const struct thread *thread = teller->thread;
    for (size_t i = 0, from = 0, to; i < thread->count; i++, from = to) {
        const struct target *target = &teller->targets[i];
        const struct ref *id = &thread->messages[target->number].id;
        struct thread_tally *tally = &teller->tallies[target->number], count = { 0, 0 };
        for (to = from; to < teller->mention_count && teller->mentions[to].target == i;)
            to++;
        int err = target->outside > OUTSIDE_MAX ? ERR_DELETED : teller_count(teller, id, from, to, &count);
        if (err == ERR_DELETED) err = teller_ask_lists(teller, id, &count);
        if (err == OK && i % OUTSIDE_MAX == 0) err = flume_read_late(teller->read);
        if (err != OK) return err;
        *tally = count;
    }
    return OK;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int target_compare(const void *a, const void *b)
{
    return memcmp(((const struct target *)a)->term, ((const struct target *)b)->term, REF_TERM_BYTES);
}

static int seq_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void teller_free(struct teller *teller)
{
    message_free(&teller->message);
    free(teller->targets);
    free(teller->terms);
    free(teller->inside);
    free(teller->mentions);
}

/* The first message of the thread has a root of its own, and one that votes says something about another: both are looked at as if they were outside. */
static int teller_prepare(struct teller *teller)
{
    const struct thread *thread = teller->thread;
    struct term term;
    size_t count = thread->count;
    teller->targets = calloc(count, sizeof *teller->targets);
    teller->terms = calloc(count, sizeof *teller->terms);
    teller->inside = calloc(count, sizeof *teller->inside);
    if (teller->targets == NULL || teller->terms == NULL || teller->inside == NULL)
        return err_set(ERR_NOMEM, "no memory to count what refers to %zu messages", count);
    for (size_t i = 0; i < count; i++) {
        const struct thread_message *message = &thread->messages[i];
        term_of_ref(&message->id, &term);
        memcpy(teller->targets[i].term, term.bytes, REF_TERM_BYTES);
        teller->targets[i].number = (uint32_t)i;
        if (!message->votes && !ref_equal(&message->id, teller->root))
            teller->inside[teller->inside_count++] = (uint64_t)message->record.seq;
    }
    qsort(teller->targets, count, sizeof *teller->targets, target_compare);
    qsort(teller->inside, teller->inside_count, sizeof *teller->inside, seq_compare);
    for (size_t i = 0; i < count; i++)
        teller->terms[i] = (struct slice){ (const char *)teller->targets[i].term, REF_TERM_BYTES };
    return OK;
}

static int teller_read(struct teller *teller)
{
    const struct flume_read *read = teller->read;
    const struct view *links = flume_view(read->flume, VIEW_links), *types = flume_view(read->flume, VIEW_types);
    if (links == NULL || types == NULL) return err_set(ERR_NOTFOUND, "there is no view links or types");
    int64_t linked = flume_read_since(read, links), typed = flume_read_since(read, types);
    teller->horizon = log_durable(read->log);
    if (linked < teller->horizon) teller->horizon = linked;
    if (typed < teller->horizon) teller->horizon = typed;
    int err = teller_prepare(teller);
    if (err == OK)
        err = list_each(read->txn, links_dest_table(links), teller->terms, teller->thread->count, teller_note, teller);
    if (err != OK) return err;
    if (teller->mention_count > 0)
        qsort(teller->mentions, teller->mention_count, sizeof *teller->mentions, mention_compare);
    return teller_tell(teller);
}

int thread_tallies(const struct flume_read *read, const struct thread *thread, const struct ref *root,
                   struct thread_tally **ret_tallies)
{
    struct teller teller = { .read = read, .thread = thread, .root = root };
    teller.tallies = calloc(thread->count, sizeof *teller.tallies);
    if (teller.tallies == NULL)
        return err_set(ERR_NOMEM, "no memory to count what refers to %zu messages", thread->count);
    message_init(&teller.message);
    int err = teller_read(&teller);
    teller_free(&teller);
    if (err == OK)
        *ret_tallies = teller.tallies;
    else
        free(teller.tallies);
    return err;
}
