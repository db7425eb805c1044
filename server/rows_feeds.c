#include <stdlib.h>
#include <string.h>

#include "server/rows_views.h"
#include "server/text.h"
#include "store/canonical.h"
#include "views/view_feeds.h"

#define FEEDS_BATCH 64

struct rows_feeds {
    struct rows rows;
    struct feeds_params params; /* `from` moves on */
    struct ref begin;           /* where it was */
    struct follow follow;
    struct message message;
    struct feed_latest batch[FEEDS_BATCH];
    size_t count, next, batch_max;
    bool dry;
};

void rows_put_received(struct buf *out, const struct message *message)
{
    char number[32];
    (void)buf_puts(out, ",\"timestamp\":");
    if (message->has_received)
        (void)buf_append(out, number, canonical_number(message->received, number));
    else
        (void)buf_puts(out, "null");
}

/* The order of a feed's key: its 32 bytes, then its kind. */
static int feeds_compare(const struct ref *a, const struct ref *b)
{
    int order = memcmp(a->id, b->id, sizeof a->id);
    return order != 0 ? order : (int)a->kind - (int)b->kind;
}

static bool feeds_past(const struct rows_feeds *self, const struct ref *author)
{
    if (self->params.to.kind == REF_NONE) return false;
    int order = feeds_compare(author, &self->params.to);
    return self->params.reverse ? order <= 0 : order >= 0;
}

static bool feeds_before(const struct rows_feeds *self, const struct ref *author)
{
    if (self->begin.kind == REF_NONE) return false;
    int order = feeds_compare(author, &self->begin);
    return self->params.reverse ? order >= 0 : order <= 0;
}

static int feeds_fetch(struct rows_feeds *self)
{
    struct flume_read read;
    int got = api_read_begin(self->rows.server, &read);
    if (got != OK) return got;
    struct ref after = self->params.from;
    self->count = self->next = 0;
    while (self->count < self->batch_max) {
        struct feed_latest *latest = &self->batch[self->count];
        got = feeds_next(&read, after.kind == REF_NONE ? NULL : &after, self->params.reverse, latest);
        if (got != 1 || feeds_past(self, &latest->author)) break;
        after = latest->author;
        self->count++;
    }
    self->dry = self->count < self->batch_max;
    flume_read_end(&read);
    return got < 0 ? got : OK;
}

static int feeds_print(struct rows_feeds *self, const struct feed_latest *latest, struct buf *out)
{
    struct log_record record;
    int err = log_get(flume_log(self->rows.server->flume), latest->seq, &record);
    if (err != OK && err != ERR_DELETED) return err;
    if (err == ERR_DELETED) record.value = (struct slice){ "", 0 };
    err = message_scan(&self->message, record.value.data, record.value.len);
    if (err != OK) return err;
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &latest->author);
    (void)buf_printf(out, ",\"sequence\":%lld,\"key\":", (long long)latest->sequence);
    text_put_json(out, self->message.key);
    (void)buf_printf(out, ",\"seq\":%lld", (long long)latest->seq);
    rows_put_received(out, &self->message);
    (void)buf_putc(out, '}');
    return out->err;
}

/* Is the record the newest message of a feed that was asked for? 1, 0, <0 error. */
static int feeds_changed(struct rows_feeds *self, int64_t seq, struct feed_latest *ret_latest)
{
    const struct ref *author = &self->message.author_ref;
    struct flume_read read;
    if (author->kind == REF_NONE || feeds_before(self, author) || feeds_past(self, author)) return 0;
    int err = flume_read_begin(self->rows.server->flume, &read);
    if (err != OK) return err;
    err = feeds_latest(&read, author, ret_latest);
    flume_read_end(&read);
    return err == OK ? ret_latest->seq == seq : err == ERR_NOTFOUND ? 0 : err;
}

static int feeds_new(struct rows_feeds *self, struct buf *out)
{
    struct feed_latest latest;
    struct log_record record;
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        got = feeds_changed(self, record.seq, &latest);
        if (got == 0) continue;
        int err = got == 1 ? feeds_print(self, &latest, out) : got;
        return err == OK ? 1 : err;
    }
    return got;
}

static int feeds_row(struct rows *rows, struct buf *out)
{
    struct rows_feeds *self = (struct rows_feeds *)rows;
    if (self->follow.listed) return feeds_new(self, out);
    int err = self->next < self->count || self->dry ? OK : feeds_fetch(self);
    if (err != OK) return err;
    if (self->next == self->count) {
        self->follow.listed = rows->live;
        rows->ended = !rows->live;
        return rows->live ? feeds_new(self, out) : 0;
    }
    const struct feed_latest *latest = &self->batch[self->next];
    err = feeds_print(self, latest, out);
    if (err != OK) return err;
    self->params.from = latest->author;
    self->next++;
    rows->ended = !rows->live && self->dry && self->next == self->count;
    return 1;
}

static void feeds_put_bound(struct buf *out, const char *name, const struct ref *ref)
{
    char text[REF_TEXT_MAX];
    size_t len = ref_print(ref, text);
    (void)buf_puts(out, name);
    text_put_query(out, (struct slice){ text, len });
}

static int feeds_next_page(struct rows *rows, struct buf *out)
{
    const struct feeds_params *params = &((struct rows_feeds *)rows)->params;
    feeds_put_bound(out, params->reverse ? "lt=" : "gt=", &params->from);
    if (params->to.kind != REF_NONE) feeds_put_bound(out, params->reverse ? "&gt=" : "&lt=", &params->to);
    return out->err;
}

static void feeds_free(struct rows *rows)
{
    follow_close(&((struct rows_feeds *)rows)->follow);
    message_free(&((struct rows_feeds *)rows)->message);
    free(rows);
}

static const struct rows_ops feeds_ops = { .next = feeds_row, .next_page = feeds_next_page, .free = feeds_free };

int rows_feeds_open(struct server *server, const struct feeds_params *params, struct rows **ret_rows)
{
    struct rows_feeds *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list the feeds");
    message_init(&self->message);
    self->params = *params;
    self->begin = params->from;
    self->batch_max = params->limit >= 0 && params->limit < FEEDS_BATCH ? (size_t)params->limit + 1 : FEEDS_BATCH;
    self->rows = (struct rows){
        .ops = &feeds_ops,
        .server = server,
        .member = "feeds",
        .limit = params->limit,
        .views = VIEW_MASK(feeds),
        .since = flume_since(server->flume, VIEW_MASK(feeds)),
        .cursor = SEQ_EMPTY,
    };
    const struct filter everything = { .count = 0 };
    int err = follow_open(&self->rows, &params->follow, &everything, &self->follow);
    if (err != OK)
        feeds_free(&self->rows);
    else
        *ret_rows = &self->rows;
    return err;
}
