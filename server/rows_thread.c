#include "server/rows_thread.h"

#include <stdlib.h>

struct rows_thread {
    struct rows rows;
    struct thread_facts facts;
    size_t next;
    struct follow follow;
    struct message message;
};

static int thread_new(struct rows_thread *self, struct buf *out)
{
    struct log_record record;
    follow_begin(&self->follow, &self->rows);
    int got = follow_next(&self->follow, &self->rows, &self->message, &record);
    if (got != 1) return got;
    int err = record_show(self->rows.server, self->facts.log, &record, out);
    return err == OK ? 1 : err;
}

static int thread_row(struct rows *rows, struct buf *out)
{
    struct rows_thread *self = (struct rows_thread *)rows;
    const struct thread *thread = &self->facts.thread;
    if (rows->live && (self->follow.listed || self->next >= thread->count)) return thread_new(self, out);
    rows->ended = self->next >= thread->count;
    if (rows->ended) return 0;
    const struct thread_message *message = &thread->messages[self->next++];
    rows->ended = !rows->live && self->next == thread->count;
    rows->cursor = rows->live ? SEQ_EMPTY : message->record.seq;
    int err = record_show(rows->server, self->facts.log, &message->record, out);
    return err == OK ? 1 : err;
}

static int thread_next_page(struct rows *rows, struct buf *out)
{
    return buf_printf(out, "skip=%zu", ((struct rows_thread *)rows)->next);
}

static int thread_head(struct rows *rows, struct buf *out)
{
    const struct rows_thread *self = (const struct rows_thread *)rows;
    return buf_append(out, self->facts.head.data, self->facts.head.len);
}

static void thread_rows_free(struct rows *rows)
{
    struct rows_thread *self = (struct rows_thread *)rows;
    thread_facts_free(&self->facts);
    follow_close(&self->follow);
    message_free(&self->message);
    free(self);
}

static const struct rows_ops thread_ops = {
    .next = thread_row,
    .next_page = thread_next_page,
    .head = thread_head,
    .free = thread_rows_free,
};

static int thread_follow(struct rows_thread *self, const struct thread_params *params)
{
    struct filter filter = { 0 };
    int err = filter_set_ref(&filter, "root", &self->facts.root);
    if (err == OK && params->hide_private) err = filter_set_text(&filter, "private", "false");
    return err == OK ? follow_open(&self->rows, &params->follow, &filter, &self->follow) : err;
}

int rows_thread_open(struct server *server, struct thread_facts *facts, const struct thread_params *params,
                     struct rows **ret_rows)
{
    struct rows_thread *self = calloc(1, sizeof *self);
    if (self == NULL) {
        thread_facts_free(facts);
        return err_set(ERR_NOMEM, "no memory to list a thread");
    }
    self->facts = *facts;
    message_init(&self->message);
    self->next = (size_t)params->skip;
    self->rows = (struct rows){
        .ops = &thread_ops,
        .server = server,
        .member = "messages",
        .limit = params->limit,
        .views = THREAD_VIEWS,
        .since = facts->since,
        .cursor = SEQ_EMPTY,
    };
    int err = thread_follow(self, params);
    if (err != OK)
        thread_rows_free(&self->rows);
    else
        *ret_rows = &self->rows;
    return err;
}
