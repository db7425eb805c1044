/* Lists of people that are read as a whole: contacts, subscribers. */
#include <stdlib.h>

#include "server/rows_social.h"
#include "server/rows_views.h"
#include "server/text.h"

int rows_put_source(struct log *log, int64_t seq, struct message *scratch, struct buf *out)
{
    struct log_record record;
    int err = log_get(log, seq, &record);
    if (err == OK) err = message_scan(scratch, record.value.data, record.value.len);
    if (err != OK) return err;
    (void)buf_puts(out, "\"key\":");
    text_put_json(out, scratch->key);
    (void)buf_printf(out, ",\"seq\":%lld", (long long)seq);
    rows_put_received(out, scratch);
    return out->err;
}

int rows_put_person(struct log *log, const struct ref *id, int64_t seq, bool removed, struct message *scratch,
                    struct buf *out)
{
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, id);
    (void)buf_putc(out, ',');
    int err = rows_put_source(log, seq, scratch, out);
    (void)buf_puts(out, removed ? ",\"removed\":true}" : "}");
    return err == OK ? out->err : err;
}

int rows_put_after(const struct ref *id, struct buf *out)
{
    char text[REF_TEXT_MAX];
    size_t len = ref_print(id, text);
    (void)buf_puts(out, "gt=");
    text_put_query(out, (struct slice){ text, len });
    return out->err;
}

static int people_print(struct rows_people *people, size_t i, struct buf *out)
{
    struct ref id;
    int64_t seq;
    people->ops->at(people, i, &id, &seq);
    return rows_put_person(people->log, &id, seq, false, &people->scratch, out);
}

static int people_new(struct rows_people *people, struct buf *out)
{
    struct log_record record;
    size_t start = out->len;
    int got;
    follow_begin(&people->follow, &people->rows);
    while ((got = follow_next(&people->follow, &people->rows, &people->message, &record)) == 1) {
        struct ref id;
        int64_t seq = record.seq;
        bool removed = false;
        got = people->ops->changed(people, &id, &seq, &removed);
        if (got == 0) continue;
        int err = got == 1 ? rows_put_person(people->log, &id, seq, removed, &people->scratch, out) : got;
        if (err != ERR_DELETED) return err == OK ? 1 : err;
        out->len = start;
    }
    return got;
}

/* Is there one more? 1, 0, <0 error. */
static int people_ahead(struct rows_people *people)
{
    if (people->next < people->count) return 1;
    return people->ops->more != NULL ? people->ops->more(people) : 0;
}

/* Those whose record was deleted since are left out: a page may need more people than were fetched for it. */
static int people_row(struct rows *rows, struct buf *out)
{
    struct rows_people *people = (struct rows_people *)rows;
    size_t start = out->len;
    int err = ERR_DELETED, ahead = 0;
    while (err == ERR_DELETED && !people->follow.listed && (ahead = people_ahead(people)) == 1) {
        out->len = start;
        err = people_print(people, people->next++, out);
    }
    if (ahead < 0) return ahead;
    if (err == ERR_DELETED) out->len = start;
    if (err == ERR_DELETED && rows->live) return people_new(people, out);
    rows->ended = !rows->live && err == ERR_DELETED;
    return err == OK ? 1 : err == ERR_DELETED ? 0 : err;
}

static int people_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_people *people = (const struct rows_people *)rows;
    struct ref id;
    int64_t seq;
    people->ops->at(people, people->next - 1, &id, &seq);
    return rows_put_after(&id, out);
}

static void people_free(struct rows *rows)
{
    struct rows_people *people = (struct rows_people *)rows;
    if (people->ops->free != NULL) people->ops->free(people);
    follow_close(&people->follow);
    message_free(&people->message);
    message_free(&people->scratch);
    free(people);
}

static const struct rows_ops people_rows_ops = {
    .next = people_row,
    .next_page = people_next_page,
    .free = people_free,
};

void rows_people_init(struct rows_people *people, struct server *server, const struct people_ops *ops,
                      const char *member, uint32_t views, int64_t limit)
{
    people->ops = ops;
    message_init(&people->message);
    message_init(&people->scratch);
    people->rows = (struct rows){
        .ops = &people_rows_ops,
        .server = server,
        .member = member,
        .limit = limit,
        .views = views,
        .since = flume_since(server->flume, views),
        .cursor = SEQ_EMPTY,
    };
}
