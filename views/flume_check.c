/* The chain rule: may a message stand behind what the log, the queue and this round hold of its feed? */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/err.h"
#include "store/zero.h"
#include "views/flume_internal.h"
#include "views/view_feeds.h"
#include "views/view_messages.h"
#include "views/view_record.h"

static int round_add(struct flume_round *round, struct slice value)
{
    if (value.len == 0 || bytes_zero(value.data, value.len))
        return err_set(ERR_ARG, "an empty value, or one of zero bytes only, would read as deleted");
    if (value.len > LOG_RECORD_MAX)
        return err_set(ERR_LIMIT, "a value of %zu bytes; the most is %zu", value.len, LOG_RECORD_MAX);
    if (round->count == round->cap) {
        size_t cap = round->cap == 0 ? 256 : round->cap * 2;
        struct slice *values = realloc(round->values, cap * sizeof *values);
        if (values == NULL) return err_set(ERR_NOMEM, "no memory to append %zu values", cap);
        round->values = values;
        round->cap = cap;
    }
    round->values[round->count++] = value;
    return OK;
}

/* When the log got it: the wall clock, but never the same twice nor backwards. */
static double append_received(struct flume *flume)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (ms > flume->received_ms) {
        flume->received_ms = ms;
        flume->received_part = 0;
    } else if (++flume->received_part == 1000) {
        flume->received_ms++;
        flume->received_part = 0;
    }
    return (double)flume->received_ms + (double)flume->received_part / 1000.0;
}

/* Where the feed stands in the views. */
static int feed_state_stored(struct flume_round *round, const struct ref *author, struct feed_state *ret_state)
{
    struct feed_latest latest;
    struct log_record record;
    int err = feeds_latest(&round->read, author, &latest);
    if (err == ERR_NOTFOUND) {
        *ret_state = (struct feed_state){ 0 };
        return OK;
    }
    if (err == OK) err = log_get(round->read.log, latest.seq, &record);
    if (err == ERR_DELETED)
        return err_set(ERR_INVALID,
                       "the feed's newest message, %" PRId64 ", was deleted from the log: nothing can follow it",
                       latest.sequence);
    struct message *scan = &round->flume->scan;
    if (err == OK) err = message_scan(scan, record.value.data, record.value.len);
    if (err != OK) return err;
    *ret_state = (struct feed_state){ .exists = true,
                                      .id = scan->id,
                                      .sequence = latest.sequence,
                                      .timestamp = scan->has_timestamp ? scan->timestamp : NAN };
    return OK;
}

static int feed_state_now(struct flume_round *round, const struct ref *author, struct feed_state *ret_state)
{
    const struct pending_entry *entry = pending_find(&round->flume->pending, author);
    if (entry == NULL) return feed_state_stored(round, author, ret_state);
    *ret_state = (struct feed_state){
        .exists = true, .id = entry->id, .sequence = entry->sequence, .timestamp = entry->timestamp
    };
    return OK;
}

/* 1 and where the message stands already, 0 = nowhere. */
static int message_where(struct flume_round *round, const struct ref *id, int64_t *ret_where)
{
    const struct pending_entry *entry = pending_find(&round->flume->pending, id);
    if (entry != NULL) {
        *ret_where = entry->where;
        return 1;
    }
    struct log_record record;
    int err = messages_find(&round->read, id, &record);
    if (err == OK) *ret_where = record.seq;
    return err == OK ? 1 : err == ERR_NOTFOUND || err == ERR_DELETED ? 0 : err;
}

static int message_take(struct flume_round *round, struct feed_message *message, int64_t *ret_where)
{
    struct pending *pending = &round->flume->pending;
    int err = OK;
    if (message->record.len <= message->record_head) err = feed_record(message, append_received(round->flume));
    if (err == OK) err = round_add(round, (struct slice){ message->record.data, message->record.len });
    if (err != OK) return err;
    int64_t where = -(int64_t)round->count; /* -1 - (count - 1) */
    struct pending_entry feed = {
        .key = message->author, .id = message->id, .sequence = message->sequence, .timestamp = message->timestamp
    };
    struct pending_entry id = { .key = message->id, .where = where };
    err = pending_set(pending, &feed);
    if (err == OK) err = pending_set(pending, &id);
    if (err == OK) *ret_where = where;
    return err;
}

/* The value of a message that is pending, in the log or in the batch that is being made: OK, or it is not there. */
static int pending_value(struct flume_round *round, const struct ref *id, struct slice *ret_value)
{
    const struct pending_entry *entry = pending_find(&round->flume->pending, id);
    struct log_record record;
    if (entry == NULL) return ERR_NOTFOUND;
    if (entry->where < 0) {
        *ret_value = round->values[-1 - entry->where];
        return OK;
    }
    int err = log_get(round->read.log, entry->where, &record);
    if (err == OK) *ret_value = record.value;
    return err;
}

/* The message with this sequence among what is pending, on the way back from the feed's newest one. */
static bool pending_back_to(struct flume_round *round, const struct feed_state *state, int64_t sequence,
                            struct ref *ret_id)
{
    struct ref id = state->id;
    struct slice value;
    for (int64_t at = state->sequence; at > sequence; at--)
        if (pending_value(round, &id, &value) != OK || record_previous(value, &id) != OK) return false;
    *ret_id = id;
    return true;
}

/* Names the message that stands where this one would, and adds both to the sentence in job->detail. */
static void message_fork(struct flume_round *round, struct flume_append *job, const struct feed_message *message,
                         const struct feed_state *state)
{
    struct message *scan = &round->flume->scan;
    struct log_record record;
    job->stored = state->id;
    if (message->sequence < state->sequence && !pending_back_to(round, state, message->sequence, &job->stored) &&
        feeds_get(&round->read, &message->author, message->sequence, &record) == OK &&
        message_scan(scan, record.value.data, record.value.len) == OK && scan->id.kind != REF_NONE)
        job->stored = scan->id;
    char stored[REF_TEXT_MAX], refused[REF_TEXT_MAX];
    int stored_len = (int)ref_print(&job->stored, stored), refused_len = (int)ref_print(&message->id, refused);
    size_t len = strlen(job->detail);
    (void)snprintf(job->detail + len, sizeof job->detail - len, "; stored is %.*s, refused is %.*s", stored_len, stored,
                   refused_len, refused);
}

static int message_check(struct flume_round *round, struct flume_append *job, size_t i)
{
    struct feed_message *message = &job->messages[i];
    struct feed_state state;
    int err = feed_state_now(round, job->make != NULL ? &job->author : &message->author, &state);
    if (err == OK && job->make != NULL) err = job->make(job, &state);
    if (err != OK) return err;
    err = feed_check_next(&state, message);
    if (err == OK) return message_take(round, message, &job->seqs[i]);
    /* What follows the newest message cannot be there yet, so only what does not is looked up. */
    job_set_detail(job, err);
    int found = message_where(round, &message->id, &job->seqs[i]);
    if (found < 0) return found;
    if (found == 0 && err == ERR_FORK) message_fork(round, job, message, &state);
    if (found == 0) return err_set(err, "%s", job->detail);
    job->duplicates++;
    return OK;
}

static int value_take(struct flume_round *round, struct flume_append *job, size_t i)
{
    int err = round_add(round, job->values[i]);
    if (err == OK) job->seqs[i] = -(int64_t)round->count;
    return err;
}

static int state_now(void *ctx, const struct ref *author, struct feed_state *ret_state)
{
    return feed_state_now(ctx, author, ret_state);
}

/* A job that is stale because it was done before, and whose answer was lost, is no mistake: all of it is here already. */
static int job_expect(struct flume_round *round, struct flume_append *job)
{
    if (job->messages == NULL && round->count > 0 && !job->expect->some)
        return err_set(ERR_STALE, "something else is being appended at this moment");
    if (job->messages == NULL) return expect_log(job->expect, log_since(atomic_load(&round->flume->log)));
    if (job->make != NULL) job->messages->author = job->author;
    int stale = expect_feeds(job->expect, job->messages, job->count, state_now, round, &job->index, &job->stored);
    if (stale != ERR_STALE) return stale;
    if (job->make != NULL) return stale;
    job_set_detail(job, stale);
    for (size_t i = 0; i < job->count; i++) {
        int found = message_where(round, &job->messages[i].id, &job->seqs[i]);
        if (found <= 0) return found < 0 ? found : err_set(stale, "%s", job->detail);
    }
    return OK;
}

int job_check(struct flume_round *round, struct flume_append *job)
{
    size_t before = round->count, mark = pending_mark(&round->flume->pending);
    job->duplicates = 0;
    job->stored = (struct ref){ .kind = REF_NONE };
    int err = job->expect != NULL ? job_expect(round, job) : OK;
    for (size_t i = 0; err == OK && i < job->count; i++) {
        job->index = i;
        err = job->messages != NULL ? message_check(round, job, i) : value_take(round, job, i);
    }
    if (err != OK) {
        round->count = before;
        pending_undo(&round->flume->pending, mark);
        return err;
    }
    job->index = 0;
    return OK;
}
