#include <stdlib.h>

#include "server/limits.h"
#include "server/rows_social.h"
#include "server/text.h"
#include "store/canonical.h"
#include "store/json.h"
#include "views/index_keys.h"
#include "views/votes.h"

struct rows_votes {
    struct rows rows;
    struct ref target;
    struct log *log;
    struct said_list votes;
    size_t next;
    struct follow follow;
    struct message message;
};

/* ---- the counts ------------------------------------------------------------------------------------------------- */

struct vote_counts {
    struct index_keys names; /* expressions as they stand in the records, unescaped; extra: how many votes (uint32_t) */
    uint64_t all;
    struct buf scratch;
};

static int count_vote(struct vote_counts *counts, const struct vote *vote)
{
    uint32_t id;
    if (!(vote->value > 0)) return OK;
    counts->all++;
    buf_reset(&counts->scratch);
    if (vote->expression.data == NULL || json_unescape(vote->expression, &counts->scratch) != OK) return OK;
    const struct slice name = { counts->scratch.data, counts->scratch.len };
    bool full = counts->names.count == LIMIT_EXPRESSIONS;
    if (name.len == 0 || (full && !index_keys_find(&counts->names, name, &id))) return OK;
    int err = index_keys_add(&counts->names, name, &id);
    if (err != OK) return err;
    uint32_t *count = index_keys_extra(&counts->names, id);
    ++*count;
    return OK;
}

static int counts_print(const struct vote_counts *counts, struct buf *out)
{
    struct index_sort *order;
    (void)buf_printf(out, "\"count\":%llu,\"expressions\":{", (unsigned long long)counts->all);
    int err = index_keys_sort(&counts->names, &order);
    if (err != OK) return err;
    for (size_t i = 0; i < counts->names.count; i++) {
        uint32_t id = (uint32_t)order[i].id;
        struct slice name = index_keys_get(&counts->names, id);
        if (i > 0) (void)buf_putc(out, ',');
        (void)buf_put_json(out, name.data, name.len);
        (void)buf_printf(out, ":%u", *(const uint32_t *)index_keys_extra(&counts->names, id));
    }
    free(order);
    (void)buf_puts(out, "},");
    return out->err;
}

static int votes_count(struct rows_votes *self, struct vote_counts *counts)
{
    struct vote vote;
    int got = OK;
    for (size_t i = 0; i < self->votes.count && got >= 0; i++) {
        got = vote_read(self->log, &self->votes.items[i], &vote);
        if (got == 1) got = count_vote(counts, &vote);
    }
    return got < 0 ? got : OK;
}

static int votes_head(struct rows *rows, struct buf *out)
{
    struct rows_votes *self = (struct rows_votes *)rows;
    struct vote_counts counts = { .all = 0 };
    index_keys_init(&counts.names, sizeof(uint32_t));
    buf_init(&counts.scratch, LOG_RECORD_MAX);
    (void)buf_puts(out, "\"id\":");
    text_put_ref(out, &self->target);
    (void)buf_putc(out, ',');
    int err = votes_count(self, &counts);
    if (err == OK) err = counts_print(&counts, out);
    index_keys_free(&counts.names);
    buf_free(&counts.scratch);
    return err;
}

/* ---- the voters ------------------------------------------------------------------------------------------------- */

static int votes_print(struct rows_votes *self, const struct vote *vote, struct buf *out)
{
    char number[32];
    (void)buf_puts(out, "{\"author\":");
    text_put_ref(out, &vote->author);
    (void)buf_puts(out, ",\"value\":");
    (void)buf_append(out, number, canonical_number(vote->value, number));
    (void)buf_puts(out, ",\"expression\":");
    json_put_valid(out, vote->expression);
    (void)buf_putc(out, ',');
    int err = rows_put_source(self->log, vote->seq, &self->message, out);
    (void)buf_putc(out, '}');
    return err == OK ? out->err : err;
}

/* The next vote that is new: 1, 0 = none now, <0 error. */
static int votes_new(struct rows_votes *self, struct vote *ret_vote)
{
    struct log_record record;
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        const struct said said = { .author = self->message.author_ref, .seq = record.seq };
        if (said.author.kind == REF_NONE || !vote_is_on(&self->message, &self->target)) continue;
        got = vote_read(self->log, &said, ret_vote);
        if (got != 0) return got;
    }
    return got;
}

static int votes_row(struct rows *rows, struct buf *out)
{
    struct rows_votes *self = (struct rows_votes *)rows;
    struct vote vote;
    int got = 0;
    while (got == 0 && !self->follow.listed && self->next < self->votes.count)
        got = vote_read(self->log, &self->votes.items[self->next++], &vote);
    if (got == 0 && rows->live) got = votes_new(self, &vote);
    rows->ended = !rows->live && self->next == self->votes.count;
    if (got != 1) return got;
    int err = votes_print(self, &vote, out);
    return err == OK ? 1 : err;
}

static int votes_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_votes *self = (const struct rows_votes *)rows;
    return rows_put_after(&self->votes.items[self->next - 1].author, out);
}

static void votes_free(struct rows *rows)
{
    struct rows_votes *self = (struct rows_votes *)rows;
    said_free(&self->votes);
    follow_close(&self->follow);
    message_free(&self->message);
    free(self);
}

static const struct rows_ops votes_ops = {
    .next = votes_row,
    .next_page = votes_next_page,
    .head = votes_head,
    .free = votes_free,
};

static int votes_follow(struct rows_votes *self, const struct follow_params *params)
{
    struct filter filter = { 0 };
    int err = filter_set_ref(&filter, "dest", &self->target);
    if (err == OK) err = filter_set_text(&filter, "type", "vote");
    return err == OK ? follow_open(&self->rows, params, &filter, &self->follow) : err;
}

static int votes_open(struct rows_votes *self, const struct follow_params *params)
{
    struct flume_read read;
    int err = votes_follow(self, params);
    if (err == OK) err = api_read_begin(self->rows.server, &read);
    if (err != OK) return err;
    err = votes_read(&read, &self->target, &self->votes);
    self->log = read.log;
    flume_read_end(&read);
    return err;
}

int rows_votes_open(struct server *server, const struct votes_params *params, struct rows **ret_rows)
{
    struct rows_votes *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list votes");
    message_init(&self->message);
    self->target = params->target;
    self->rows = (struct rows){
        .ops = &votes_ops,
        .server = server,
        .member = "votes",
        .limit = params->limit,
        .views = VOTES_VIEWS,
        .since = flume_since(server->flume, VOTES_VIEWS),
        .cursor = SEQ_EMPTY,
    };
    int err = votes_open(self, &params->follow);
    if (err != OK) {
        votes_free(&self->rows);
        return err;
    }
    if (params->after.kind != REF_NONE) self->next = said_behind(&self->votes, &params->after);
    *ret_rows = &self->rows;
    return OK;
}
