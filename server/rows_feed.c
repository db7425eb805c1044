#include <stdlib.h>
#include <string.h>

#include "server/plain.h"
#include "server/rows_log.h"
#include "server/rows_views.h"
#include "views/view_feeds.h"

#define FEED_BATCH 64
#define FEED_AHEAD 8 /* records of a feed lie far from each other: so many are called for in time */

struct rows_feed {
    struct rows rows;
    struct feed_params params;
    struct log *log;
    struct message message;

    /* Where to go on: the sequence of the last entry that was taken, and how many of its entries were (a forked feed holds several). */
    int64_t sequence;
    int64_t taken;

    struct feed_entry *batch; /* room for batch_max */
    size_t count, next, batch_max;
    bool dry;
};

static bool feed_outside(const struct rows_feed *self, int64_t sequence)
{
    const struct log_range *range = &self->params.range.range;
    if (range->reverse) return sequence < range->min;
    return sequence > range->max;
}

static void feed_prefetch(const struct rows_feed *self, size_t i)
{
    if (i >= self->count) return;
    log_prefetch(self->log, self->batch[i].seq);
    plain_prefetch(self->rows.server->plain, self->log, self->batch[i].seq);
}

static int feed_fetch(struct rows_feed *self)
{
    struct flume_read read;
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    got = feeds_range(&read, &self->params.author, self->sequence, (size_t)self->taken,
                      self->params.range.range.reverse, self->batch, self->batch_max);
    flume_read_end(&read);
    if (got < 0) return got;
    self->count = (size_t)got;
    self->next = 0;
    self->dry = self->count < self->batch_max;
    for (size_t i = 0; i < FEED_AHEAD; i++)
        feed_prefetch(self, i);
    return OK;
}

/* 1 = *ret_entry comes next (not taken), 0 = none now; rows.ended where none can come. */
static int feed_peek(struct rows_feed *self, struct feed_entry *ret_entry)
{
    if (self->next == self->count && !(self->dry && !self->rows.live)) {
        int err = feed_fetch(self);
        if (err != OK) return err;
    }
    bool none = self->next == self->count;
    bool outside = !none && feed_outside(self, self->batch[self->next].sequence);
    if (outside || (none && !self->rows.live)) self->rows.ended = true;
    if (none || outside) return 0;
    *ret_entry = self->batch[self->next];
    return 1;
}

static void feed_take(struct rows_feed *self, const struct feed_entry *entry)
{
    bool same = entry->sequence == self->sequence;
    self->taken = same ? self->taken + 1 : 1;
    self->sequence = entry->sequence;
    feed_prefetch(self, self->next + FEED_AHEAD);
    self->next++;
}

/* 1 = printed, 0 = not to be shown. */
static int feed_print(struct rows_feed *self, const struct feed_entry *entry, struct buf *out)
{
    struct log_record record;
    int err = log_get(self->log, entry->seq, &record);
    if (err == ERR_DELETED) return 0;
    if (err != OK) return err;
    if (self->params.hide_private) {
        err = message_scan(&self->message, record.value.data, record.value.len);
        if (err != OK || message_is_secret(&self->message)) return err;
    }
    err = record_show(self->rows.server, self->log, &record, out);
    return err == OK ? 1 : err;
}

static int feed_row(struct rows *rows, struct buf *out)
{
    struct rows_feed *self = (struct rows_feed *)rows;
    for (;;) {
        struct feed_entry entry = { .seq = SEQ_EMPTY };
        int got = feed_peek(self, &entry);
        if (got <= 0) return got;
        int printed = feed_print(self, &entry, out);
        if (printed < 0) return printed;
        feed_take(self, &entry);
        if (printed == 0) continue;
        rows->cursor = entry.seq;
        rows->fresh = entry.seq > rows->since;
        if (!rows->live) rows->ended = self->dry && self->next == self->count;
        return 1;
    }
}

static int feed_next_page(struct rows *rows, struct buf *out)
{
    struct rows_feed *self = (struct rows_feed *)rows;
    struct feed_entry entry = { .seq = SEQ_EMPTY };
    int got = feed_peek(self, &entry);
    if (got < 0) return got;
    bool more = got == 1 && entry.sequence == self->sequence;
    return range_next_page(page_ends_of(&self->params.range), self->sequence, more ? self->taken : 0,
                           self->params.skip > 0, out);
}

static void feed_free(struct rows *rows)
{
    struct rows_feed *self = (struct rows_feed *)rows;
    message_free(&self->message);
    free(self->batch);
    free(self);
}

static const struct rows_ops feed_ops = { .next = feed_row, .next_page = feed_next_page, .free = feed_free };

/* Two short blocks, of which the C library has some at hand: one long one, cleared, costs as much as five records. */
static struct rows_feed *feed_new(size_t batch_max)
{
    struct rows_feed *self = malloc(sizeof *self);
    struct feed_entry *batch = malloc(batch_max * sizeof *batch);
    if (self == NULL || batch == NULL) {
        free(self);
        free(batch);
        return NULL;
    }
    *self = (struct rows_feed){ .batch = batch, .batch_max = batch_max };
    message_init(&self->message);
    return self;
}

int rows_feed_open(struct server *server, const struct feed_params *params, struct rows **ret_rows)
{
    int64_t limit = params->range.limit;
    struct rows_feed *self = feed_new(limit >= 0 && limit < FEED_BATCH ? (size_t)limit + 1 : FEED_BATCH);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to read a feed for a client");
    plain_expect(server->plain, server->flume, limit);
    self->params = *params;
    self->log = flume_log(server->flume);
    self->sequence = params->range.range.reverse ? params->range.range.max : params->range.range.min;
    self->taken = params->skip;
    self->rows = (struct rows){
        .ops = &feed_ops,
        .server = server,
        .member = "messages",
        .limit = limit,
        .live = params->range.live,
        .views = VIEW_MASK(feeds),
        .since = flume_since(server->flume, VIEW_MASK(feeds)),
        .cursor = SEQ_EMPTY,
    };
    *ret_rows = &self->rows;
    return OK;
}
