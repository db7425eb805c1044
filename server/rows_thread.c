#include "server/rows_thread.h"

#include <stdlib.h>

struct rows_thread {
    struct rows rows;
    struct thread_facts facts;
    size_t next;
};

static int thread_row(struct rows *rows, struct buf *out)
{
    struct rows_thread *self = (struct rows_thread *)rows;
    const struct thread *thread = &self->facts.thread;
    rows->ended = self->next >= thread->count;
    if (rows->ended) return 0;
    const struct thread_message *message = &thread->messages[self->next++];
    rows->ended = self->next == thread->count;
    rows->cursor = message->record.seq;
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
    thread_facts_free(&((struct rows_thread *)rows)->facts);
    free(rows);
}

static const struct rows_ops thread_ops = {
    .next = thread_row,
    .next_page = thread_next_page,
    .head = thread_head,
    .free = thread_rows_free,
};

int rows_thread_open(struct server *server, struct thread_facts *facts, int64_t skip, int64_t limit,
                     struct rows **ret_rows)
{
    struct rows_thread *self = calloc(1, sizeof *self);
    if (self == NULL) {
        thread_facts_free(facts);
        return err_set(ERR_NOMEM, "no memory to list a thread");
    }
    self->facts = *facts;
    self->next = (size_t)skip;
    self->rows = (struct rows){
        .ops = &thread_ops,
        .server = server,
        .member = "messages",
        .limit = limit,
        .views = THREAD_VIEWS,
        .since = facts->since,
        .cursor = SEQ_EMPTY,
    };
    *ret_rows = &self->rows;
    return OK;
}
