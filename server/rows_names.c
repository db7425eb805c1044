/* GET /feeds?name=: feeds that are called so now. */
#include <stdlib.h>

#include "server/rows_views.h"
#include "server/text.h"
#include "views/view_names.h"

struct rows_names {
    struct rows rows;
    struct folded_name typed;
    struct buf name; /* of the feed that is looked at, a JSON string */
    struct named_feed *feeds;
    size_t count, next;
    int64_t upto;
};

static void name_print(const struct named_feed *feed, struct slice text, const struct current_name *name,
                       struct buf *out)
{
    static const char *const matches[] = {
        [NAME_EXACT] = "exact", [NAME_BEGINS] = "begins", [NAME_WORD] = "word", [NAME_NEAR] = "near"
    };
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &feed->id);
    (void)buf_puts(out, ",\"name\":");
    (void)buf_append(out, text.data, text.len);
    (void)buf_printf(out, ",\"match\":\"%s\",\"by\":\"%s\",\"author\":", matches[feed->match],
                     ref_equal(&feed->id, &name->author) ? "self" : "others");
    text_put_ref(out, &name->author);
    (void)buf_printf(out, ",\"seq\":%lld}", (long long)name->seq);
}

/* The name comes from a record: what is no JSON text is not shown. */
static bool name_shows(const struct rows_names *self, const struct named_feed *feed)
{
    struct folded_name now;
    const struct slice text = { self->name.data, self->name.len };
    name_fold((struct slice){ text.data + 1, text.len - 2 }, true, &now);
    return name_matches(&self->typed, &now) == feed->match && json_valid(text);
}

/* Feeds that had such a name and have another one now are passed over. */
static int names_row(struct rows *rows, struct buf *out)
{
    struct rows_names *self = (struct rows_names *)rows;
    struct flume_read read;
    int got = flume_read_begin(rows->server->flume, &read);
    if (got != OK) return got;
    while (got == 0 && self->next < self->count) {
        const struct named_feed *feed = &self->feeds[self->next++];
        struct current_name name;
        got = names_now(&read, &feed->id, &self->name, &name);
        if (got == 1) got = name_shows(self, feed);
        if (got == 1) name_print(feed, (struct slice){ self->name.data, self->name.len }, &name, out);
    }
    flume_read_end(&read);
    if (got == 0) rows->ended = true;
    return got == 1 && out->err != OK ? out->err : got;
}

static int names_next_page(struct rows *rows, struct buf *out)
{
    const struct rows_names *self = (const struct rows_names *)rows;
    return buf_printf(out, "lte=%lld&skip=%zu", (long long)self->upto, self->next);
}

static void names_free(struct rows *rows)
{
    buf_free(&((struct rows_names *)rows)->name);
    free(((struct rows_names *)rows)->feeds);
    free(rows);
}

static const struct rows_ops names_ops = { .next = names_row, .next_page = names_next_page, .free = names_free };

int rows_names_open(struct server *server, const struct names_params *params, struct rows **ret_rows)
{
    struct flume_read read;
    struct rows_names *self = calloc(1, sizeof *self);
    if (self == NULL) return err_set(ERR_NOMEM, "no memory to look for names");
    self->rows = (struct rows){
        .ops = &names_ops,
        .server = server,
        .member = "feeds",
        .limit = params->limit,
        .views = NAMES_VIEWS,
        .since = flume_since(server->flume, NAMES_VIEWS),
        .cursor = SEQ_EMPTY,
    };
    buf_init(&self->name, LOG_RECORD_MAX);
    name_fold(params->name, false, &self->typed);
    self->upto = params->upto < self->rows.since ? params->upto : self->rows.since;
    int err = flume_read_begin(server->flume, &read);
    if (err == OK) {
        err = names_find(&read, params->name, self->upto, &self->feeds, &self->count);
        flume_read_end(&read);
    }
    self->next = (uint64_t)params->skip < self->count ? (size_t)params->skip : self->count;
    if (err != OK)
        names_free(&self->rows);
    else
        *ret_rows = &self->rows;
    return err;
}
