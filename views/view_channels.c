#include "views/view_channels.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "views/channel_name.h"
#include "views/hashtag.h"
#include "views/index_list.h"
#include "views/view_record.h"

static int channel_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    char name[CHANNEL_BYTES_MAX];
    size_t n = channel_normalize(text, len, name);
    if (n == 0) return err_set(ERR_ARG, "channel: a name like solarpunk is wanted");
    term_of_string(name, n, ret_term);
    *ret_negate = false;
    return OK;
}

/* Channels of one message; what it links to besides is not looked at. */
#define CHANNELS_MAX 64

struct channel_names {
    size_t count;
    struct channel_one {
        size_t len;
        char text[CHANNEL_BYTES_MAX];
    } names[CHANNELS_MAX];
};

static void names_add(struct channel_names *names, const char *text, size_t len)
{
    struct channel_one *name = &names->names[names->count];
    name->len = channel_normalize(text, len, name->text);
    if (name->len == 0) return;
    for (size_t i = 0; i < names->count; i++)
        if (names->names[i].len == name->len && memcmp(names->names[i].text, name->text, name->len) == 0) return;
    names->count++;
}

static int channel_emit(const struct message *message, term_fn *fn, void *ctx)
{
    char tag[HASHTAG_BYTES_MAX];
    struct channel_names names;
    struct term term;
    size_t at = 0, len;
    int stop = 0;
    names.count = 0;
    if (message->is_private || message->content.data == NULL) return 0;
    if (message->channel.data != NULL) names_add(&names, message->channel.data, message->channel.len);
    while (names.count < CHANNELS_MAX && hashtag_next(message->content, &at, tag, &len))
        names_add(&names, tag, len);
    for (size_t i = 0; i < names.count && stop == 0; i++) {
        term_of_string(names.names[i].text, names.names[i].len, &term);
        stop = fn(ctx, &term);
    }
    return stop;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

enum { CHANNELS_CHANNEL };

static int channels_table(const struct flume_read *read, kv_table *ret_table)
{
    const struct view *view = flume_view(read->flume, VIEW_channels);
    if (view == NULL) return err_set(ERR_NOTFOUND, "there is no view channels");
    *ret_table = view->fields[CHANNELS_CHANNEL];
    return OK;
}

/* A name is far shorter than what a term keeps of it, but may hold a byte that only a hash can stand for. */
static int channel_put_name(const struct term *term, struct buf *name)
{
    struct slice text;
    if (!term_text(term, &text))
        text = (struct slice){ (const char *)term->bytes, strnlen((const char *)term->bytes, term->len) };
    return buf_append(name, text.data, text.len);
}

int channels_next(const struct flume_read *read, const struct term *after, struct buf *name,
                  struct channel_count *ret_count)
{
    kv_table table = 0;
    struct term term;
    uint64_t count, last;
    int err = channels_table(read, &table);
    if (err != OK) return err;
    int found = list_next_term(read->txn, table, false, after, &term, &count, &last);
    if (found != 1) return found;
    err = channel_put_name(&term, name);
    if (err == OK) *ret_count = (struct channel_count){ count, (int64_t)last, term };
    return err == OK ? 1 : err;
}

int channels_at(const struct flume_read *read, const struct term *term, int64_t seq, struct buf *name,
                struct channel_count *ret_count)
{
    kv_table table = 0;
    uint64_t count, last;
    int err = channels_table(read, &table);
    int found = err == OK ? list_newest(read->txn, table, term, &last) : err;
    if (found != 1 || last != (uint64_t)seq) return found < 0 ? found : 0;
    err = list_count(read->txn, table, false, term, &count);
    if (err == OK) err = channel_put_name(term, name);
    if (err == OK) *ret_count = (struct channel_count){ count, seq, *term };
    return err == OK ? 1 : err;
}

int channels_get(const struct flume_read *read, struct slice asked, struct buf *name, struct channel_count *ret_count)
{
    struct term term;
    uint64_t count, last;
    kv_table table = 0;
    bool negate;
    char text[CHANNEL_BYTES_MAX];
    int err = channel_parse(asked.data, asked.len, &term, &negate);
    if (err == OK) err = buf_append(name, text, channel_normalize(asked.data, asked.len, text));
    if (err == OK) err = channels_table(read, &table);
    if (err == OK) err = list_count(read->txn, table, false, &term, &count);
    int found = err == OK ? list_newest(read->txn, table, &term, &last) : err;
    if (found == 1) *ret_count = (struct channel_count){ count, (int64_t)last, term };
    return found;
}

/* 1 = subscribed, 0 = not any more, -1 = the message is about another channel. */
static int channel_subscribed(void *ctx, const struct message *message)
{
    const struct slice *name = ctx;
    struct slice subscribed;
    char text[CHANNEL_BYTES_MAX];
    if (message->channel.data == NULL) return -1;
    size_t len = channel_normalize(message->channel.data, message->channel.len, text);
    if (!slice_equal((struct slice){ text, len }, *name)) return -1;
    return json_find(message->content, "subscribed", &subscribed) == 1 && json_truthy(subscribed);
}

int channel_subscribes(struct slice asked, const struct message *message)
{
    char text[CHANNEL_BYTES_MAX];
    struct slice name = { text, channel_normalize(asked.data, asked.len, text) };
    return channel_subscribed(&name, message);
}

int channels_subscribers(const struct flume_read *read, struct slice asked, struct said_list *ret_subscribers)
{
    char text[CHANNEL_BYTES_MAX];
    struct slice name = { text, channel_normalize(asked.data, asked.len, text) };
    struct filter filter = { 0 };
    struct said_list said;
    int err = filter_set(&filter, "channel", asked.data, asked.len);
    if (err == OK) err = filter_set_text(&filter, "type", "channel");
    if (err == OK) err = said_read(read, &filter, SAID_AUTHORS_MAX, channel_subscribed, &name, &said);
    if (err != OK) return err;
    size_t kept = 0;
    for (size_t i = 0; i < said.count; i++)
        if (said.items[i].what == 1) said.items[kept++] = said.items[i];
    said.count = kept;
    *ret_subscribers = said;
    return OK;
}

const struct view_ops view_channels_ops = {
    .name = "channels",
    .version = 4,
    .fields = (const struct field[]){ { "channel", channel_parse, channel_emit }, { NULL, NULL, NULL } },
};
