#include <stdlib.h>

#include "server/rows_social.h"
#include "server/text.h"
#include "store/canonical.h"
#include "store/json.h"
#include "views/index_keys.h"
#include "views/view_votes.h"

/* Different expressions that are counted one by one; what comes after is in the count alone. */
#define EXPRESSIONS_MAX 100

struct rows_votes {
    struct rows rows;
    struct votes_params params; /* `after` moves on with the rows */
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
    if (counts->scratch.len == 0 || counts->names.count == EXPRESSIONS_MAX) return OK;
    const struct slice name = { counts->scratch.data, counts->scratch.len };
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
    struct flume_read read;
    struct votes_iter iter = { .log = NULL };
    struct vote vote;
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    got = votes_open(&read, &self->params.target, NULL, &iter);
    if (got == OK)
        while ((got = votes_next(&iter, &vote)) == 1 && (got = count_vote(counts, &vote)) == OK)
            ;
    votes_close(&iter);
    flume_read_end(&read);
    return got;
}

static int votes_head(struct rows *rows, struct buf *out)
{
    struct rows_votes *self = (struct rows_votes *)rows;
    struct vote_counts counts = { .all = 0 };
    index_keys_init(&counts.names, sizeof(uint32_t));
    buf_init(&counts.scratch, LOG_RECORD_MAX);
    (void)buf_puts(out, "\"id\":");
    text_put_ref(out, &self->params.target);
    (void)buf_putc(out, ',');
    int err = votes_count(self, &counts);
    if (err == OK) err = counts_print(&counts, out);
    index_keys_free(&counts.names);
    buf_free(&counts.scratch);
    return err;
}

/* ---- the voters ------------------------------------------------------------------------------------------------- */

static int votes_print(struct rows_votes *self, const struct flume_read *read, const struct vote *vote, struct buf *out)
{
    char number[32];
    (void)buf_puts(out, "{\"author\":");
    text_put_ref(out, &vote->author);
    (void)buf_puts(out, ",\"value\":");
    (void)buf_append(out, number, canonical_number(vote->value, number));
    (void)buf_puts(out, ",\"expression\":");
    json_put_valid(out, vote->expression);
    (void)buf_putc(out, ',');
    int err = rows_put_source(read->log, vote->seq, &self->message, out);
    (void)buf_putc(out, '}');
    return err == OK ? out->err : err;
}

static int votes_row(struct rows *rows, struct buf *out)
{
    struct rows_votes *self = (struct rows_votes *)rows;
    const struct ref *after = self->params.after.kind == REF_NONE ? NULL : &self->params.after;
    struct flume_read read;
    struct votes_iter iter = { .log = NULL };
    struct vote vote;
    int got = flume_read_begin(rows->server->flume, &read);
    if (got != OK) return got;
    got = votes_open(&read, &self->params.target, after, &iter);
    if (got == OK) got = votes_next(&iter, &vote);
    rows->ended = got == 0;
    if (got == 1) {
        self->params.after = vote.author;
        got = votes_print(self, &read, &vote, out);
        if (got == OK) got = 1;
    }
    votes_close(&iter);
    flume_read_end(&read);
    return got;
}

static int votes_next_page(struct rows *rows, struct buf *out)
{
    return rows_put_after(&((struct rows_votes *)rows)->params.after, out);
}

static void votes_free(struct rows *rows)
{
    message_free(&((struct rows_votes *)rows)->message);
    free(rows);
}

static const struct rows_ops votes_ops = {
    .next = votes_row,
    .next_page = votes_next_page,
    .head = votes_head,
    .free = votes_free,
};

int rows_votes_open(struct server *server, const struct votes_params *params, struct rows **ret_rows)
{
    struct rows_votes *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to list votes");
    message_init(&self->message);
    self->params = *params;
    self->rows = (struct rows){
        .ops = &votes_ops,
        .server = server,
        .member = "votes",
        .limit = params->limit,
        .views = VIEW_MASK(votes),
        .since = flume_since(server->flume, VIEW_MASK(votes)),
        .cursor = SEQ_EMPTY,
    };
    *ret_rows = &self->rows;
    return OK;
}
