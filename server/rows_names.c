/* GET /feeds?name=: feeds that are called so now. */
#include <stdlib.h>

#include "server/rows_views.h"
#include "server/text.h"
#include "views/index_keys.h"
#include "views/pair.h"
#include "views/view_about.h"
#include "views/view_record.h"
#include "views/view_names.h"

/* Feeds that were shown are remembered, so that those alone are said to be called otherwise now; of more than so many it is said of all. */
#define NAMES_SHOWN_MAX 65536

struct rows_names {
    struct rows rows;
    struct folded_name typed;
    struct follow follow;
    struct message message;
    struct index_keys shown; /* while it is followed */
    struct buf name;         /* of the feed that is looked at, a JSON string */
    struct named_feed *feeds;
    size_t count, next;
    int64_t upto;
    bool unlisted; /* it begins with what is new */
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

/* How the name in self->name answers what was typed. It comes from a record: what is no JSON text is not shown. */
static enum name_match name_match_now(const struct rows_names *self)
{
    struct folded_name now;
    const struct slice text = { self->name.data, self->name.len };
    if (!json_valid(text)) return NAME_NONE;
    name_fold((struct slice){ text.data + 1, text.len - 2 }, true, &now);
    return name_matches(&self->typed, &now);
}

/* ---- new ones ----------------------------------------------------------------------------------------------------- */

static int names_remember(struct rows_names *self, const struct ref *feed)
{
    char key[PAIR_KEY_BYTES];
    uint32_t number;
    if (!self->rows.live || self->shown.count == NAMES_SHOWN_MAX) return OK;
    pair_key(feed, feed, key);
    return index_keys_add(&self->shown, (struct slice){ key, PAIR_REF_BYTES }, &number);
}

/* A client that did not begin with the list may have been shown anybody. */
static bool names_known(const struct rows_names *self, const struct ref *feed)
{
    char key[PAIR_KEY_BYTES];
    uint32_t number;
    pair_key(feed, feed, key);
    return self->unlisted || self->shown.count == NAMES_SHOWN_MAX ||
           index_keys_find(&self->shown, (struct slice){ key, PAIR_REF_BYTES }, &number);
}

/* The feed as it is called now: 1, 0 = it is not in the list and never was, <0 error. */
static int names_put_now(struct rows_names *self, struct named_feed *feed, struct buf *out)
{
    struct flume_read read;
    struct current_name name;
    int got = flume_read_begin(self->rows.server->flume, &read);
    if (got != OK) return got;
    got = names_now(&read, &feed->id, &self->name, &name);
    flume_read_end(&read);
    if (got < 0) return got;
    feed->match = got == 1 ? name_match_now(self) : NAME_NONE;
    if (feed->match != NAME_NONE) {
        name_print(feed, (struct slice){ self->name.data, self->name.len }, &name, out);
        int err = names_remember(self, &feed->id);
        return err == OK ? 1 : err;
    }
    if (!names_known(self, &feed->id)) return 0;
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &feed->id);
    (void)buf_puts(out, ",\"removed\":true}");
    return 1;
}

static int names_new(struct rows_names *self, struct buf *out)
{
    struct log_record record;
    struct named_feed feed = { .seq = SEQ_EMPTY };
    int got;
    follow_begin(&self->follow, &self->rows);
    while ((got = follow_next(&self->follow, &self->rows, &self->message, &record)) == 1) {
        if (!about_of(&self->message, &feed.id) || !ref_is_feed(&feed.id)) continue;
        got = names_put_now(self, &feed, out);
        if (got != 0) break;
    }
    return got == 1 && out->err != OK ? out->err : got;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

/* Feeds that had such a name and have another one now are passed over. */
static int names_row(struct rows *rows, struct buf *out)
{
    struct rows_names *self = (struct rows_names *)rows;
    struct flume_read read;
    if (self->follow.listed) return names_new(self, out);
    int got = flume_read_begin(rows->server->flume, &read);
    if (got != OK) return got;
    while (got == 0 && self->next < self->count) {
        const struct named_feed *feed = &self->feeds[self->next++];
        struct current_name name;
        got = names_now(&read, &feed->id, &self->name, &name);
        if (got == 1) got = name_match_now(self) == feed->match;
        if (got == 1) name_print(feed, (struct slice){ self->name.data, self->name.len }, &name, out);
        if (got == 1 && names_remember(self, &feed->id) != OK) got = ERR_NOMEM;
    }
    flume_read_end(&read);
    if (got == 0 && rows->live) {
        self->follow.listed = true;
        return names_new(self, out);
    }
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
    struct rows_names *self = (struct rows_names *)rows;
    follow_close(&self->follow);
    message_free(&self->message);
    index_keys_free(&self->shown);
    buf_free(&self->name);
    free(self->feeds);
    free(self);
}

static const struct rows_ops names_ops = { .next = names_row, .next_page = names_next_page, .free = names_free };

static int names_follow(struct rows_names *self, const struct follow_params *params)
{
    struct filter filter = { 0 };
    int err = filter_set_text(&filter, "type", "about");
    if (err == OK) err = follow_open(&self->rows, params, &filter, &self->follow);
    self->unlisted = self->follow.listed;
    return err;
}

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
    message_init(&self->message);
    index_keys_init(&self->shown, 0);
    int err = names_follow(self, &params->follow);
    if (err == OK) err = flume_read_begin(server->flume, &read);
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
