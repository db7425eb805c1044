#include "server/reader.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/api_record.h"
#include "server/filter_params.h"
#include "server/limits.h"
#include "server/patience.h"
#include "server/reader_print.h"
#include "server/reader_text.h"
#include "server/rows_log.h"
#include "server/text.h"
#include "store/json.h"
#include "views/thread.h"
#include "views/view_about.h"
#include "views/view_channels.h"
#include "views/view_feeds.h"

#define READER_TEXT_MAX ((size_t)64 << 10) /* bytes of a post; the rest is for a program that reads logs */
#define READER_NAME_MAX ((size_t)200)
#define READER_VIEWS (VIEW_MASK(about) | VIEW_MASK(types))

/* A feed that was met, with the name that people know it by. */
struct known {
    struct ref id;
    size_t at, len; /* of its name in reader->names */
};

struct reader {
    const struct reader_source *source;
    struct server *server;
    struct flume_read read;
    int64_t limit, deadline_ms;
    struct message message;
    int64_t *seqs; /* newest first */
    size_t count;
    struct known *known;
    size_t known_count;
    struct buf names, text, clean, title, uri, self;
};

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){ buf->data != NULL ? buf->data : "", buf->len };
}

/* ---- which posts ---- */

static int seq_compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left > right ? -1 : left < right;
}

static int seqs_of_thread(struct reader *reader)
{
    struct thread thread;
    int err = thread_read(&reader->read, &reader->source->id, true, &thread);
    if (err != OK) return err;
    int64_t *all = malloc((thread.count + 1) * sizeof *all);
    size_t count = 0;
    for (size_t i = 0; all != NULL && i < thread.count; i++) {
        const struct slice value = thread.messages[i].record.value;
        if (message_scan(&reader->message, value.data, value.len) == OK && text_is(reader->message.type, "post"))
            all[count++] = thread.messages[i].record.seq;
    }
    thread_free(&thread);
    if (all == NULL) return err_set(ERR_NOMEM, "out of memory");
    qsort(all, count, sizeof *all, seq_compare);
    reader->count = count < (size_t)reader->limit ? count : (size_t)reader->limit;
    memcpy(reader->seqs, all, reader->count * sizeof *all);
    free(all);
    return OK;
}

static int filter_of(const struct reader_source *source, struct filter *filter)
{
    int err = filter_set_text(filter, "type", "post");
    if (err == OK) err = filter_set_text(filter, "private", "false");
    if (err != OK) return err;
    if (source->kind == READER_CHANNEL) return filter_set(filter, "channel", source->channel.data, source->channel.len);
    return filter_set_ref(filter, "author", &source->id);
}

static int seqs_of_log(struct reader *reader)
{
    struct filter filter = { 0 };
    struct query query;
    struct log_range range = LOG_RANGE_ALL;
    range.reverse = true;
    int n = filter_of(reader->source, &filter);
    if (n == OK) n = query_open(reader->read.flume, &filter, &range, &query);
    if (n != OK) return n;
    query.patience_ms = reader->deadline_ms - flume_now_ms();
    while (reader->count < (size_t)reader->limit) {
        n = query_next(&query, reader->read.flume, reader->seqs + reader->count, (size_t)reader->limit - reader->count);
        if (n <= 0) return n;
        reader->count += (size_t)n;
    }
    return OK;
}

/* ---- names ---- */

struct name_found {
    struct buf *out;
    bool found;
};

static int name_take(void *ctx, const struct about_value *value)
{
    struct name_found *name = ctx;
    if (!text_is(value->field, "name") || !json_is_string(value->value)) return 0;
    struct buf plain;
    buf_init(&plain, READER_TEXT_MAX);
    size_t start = name->out->len;
    if (json_unescape(value->value, &plain) == OK) reader_put_clean(name->out, slice_of(&plain), READER_NAME_MAX);
    buf_free(&plain);
    name->found = name->out->len > start;
    return 0;
}

/* What people call the feed; the beginning of its id if they do not. */
static int name_print(struct reader *reader, const struct ref *id, struct buf *out)
{
    struct name_found name = { .out = out };
    char text[REF_TEXT_MAX];
    int err = about_get(&reader->read, id, ABOUT_SOCIAL, NULL, name_take, &name);
    if (err != OK || name.found) return err;
    size_t len = ref_print(id, text);
    (void)buf_append(out, text, len < 10 ? len : 10);
    return out->err;
}

static int name_of(struct reader *reader, const struct ref *id, struct slice *ret_name)
{
    struct known *known = NULL;
    for (size_t i = 0; i < reader->known_count && known == NULL; i++)
        if (ref_equal(&reader->known[i].id, id)) known = &reader->known[i];
    if (known == NULL) {
        size_t at = reader->names.len;
        int err = name_print(reader, id, &reader->names);
        if (err != OK) return err;
        known = &reader->known[reader->known_count++];
        *known = (struct known){ *id, at, reader->names.len - at };
    }
    *ret_name = (struct slice){ reader->names.data + known->at, known->len };
    return OK;
}

/* ---- one post ---- */

/* A member of the content scanned last, clean; empty if it is no string. */
static void content_text(struct reader *reader, const char *member, struct buf *out)
{
    struct slice value;
    buf_reset(&reader->text);
    buf_reset(out);
    if (json_find(reader->message.content, member, &value) != 1 || !json_is_string(value)) return;
    if (json_unescape(value, &reader->text) == OK) reader_put_clean(out, slice_of(&reader->text), READER_TEXT_MAX);
}

/* 1 = the item, 0 = the record went away or is none that can be shown, <0 error. Its slices last until the next one. */
static int item_read(struct reader *reader, int64_t seq, struct buf *channel, struct reader_item *ret_item)
{
    struct log_record record;
    struct message *message = &reader->message;
    int err = log_get(reader->read.log, seq, &record);
    if (err == ERR_DELETED) return 0;
    if (err == OK) err = message_scan(message, record.value.data, record.value.len);
    if (err != OK) return err;
    if (message_is_secret(message) || message->id.kind != REF_MESSAGE || message->author_ref.kind != REF_FEED) return 0;
    struct reader_item item = { .id = message->id, .author = message->author_ref, .time = message_rts(message) };
    err = name_of(reader, &item.author, &item.author_name);
    if (err != OK) return err;
    buf_reset(&reader->title);
    content_text(reader, "title", &reader->clean);
    reader_put_title(&reader->title, slice_of(&reader->clean));
    content_text(reader, "text", &reader->clean);
    if (reader->title.len == 0) reader_put_title(&reader->title, slice_of(&reader->clean));
    if (reader->title.len == 0) (void)buf_puts(&reader->title, "(no text)");
    buf_reset(channel);
    if (message->channel.data != NULL && message->channel.len > 0) {
        reader_put_clean(channel, message->channel, READER_NAME_MAX);
        item.channel = slice_of(channel);
    }
    item.title = slice_of(&reader->title);
    item.text = slice_of(&reader->clean);
    *ret_item = item;
    return reader->clean.err != OK ? reader->clean.err : reader->title.err != OK ? reader->title.err : 1;
}

/* ---- the document ---- */

static const char *const format_names[] = { [API_ATOM] = "atom", [API_RSS] = "rss", [API_JSON_FEED] = "json-feed" };

static void put_address(struct reader *reader, int format)
{
    const struct reader_source *source = reader->source;
    char text[REF_TEXT_MAX], uri[REF_URI_MAX];
    struct slice id = { text, source->kind == READER_CHANNEL ? 0 : ref_print(&source->id, text) };
    (void)buf_puts(&reader->self, source->kind == READER_FEED      ? "/feeds/"
                                  : source->kind == READER_CHANNEL ? "/channels/"
                                                                   : "/messages/");
    text_put_query(&reader->self, source->kind == READER_CHANNEL ? source->channel : id);
    if (source->kind == READER_THREAD) (void)buf_puts(&reader->self, "/thread");
    (void)buf_printf(&reader->self, "?format=%s", format_names[format]);
    if (source->kind == READER_CHANNEL) {
        (void)buf_puts(&reader->uri, "urn:ssb:channel:");
        text_put_query(&reader->uri, source->channel);
    } else {
        (void)buf_append(&reader->uri, uri, ref_print_uri(&source->id, uri));
    }
}

/* Of a thread the title of its first post, if that is here. */
static int title_print(struct reader *reader, struct buf *out)
{
    const struct reader_source *source = reader->source;
    struct log_record record;
    if (source->kind == READER_FEED) return name_print(reader, &source->id, out);
    if (source->kind == READER_CHANNEL) {
        (void)buf_putc(out, '#');
        reader_put_clean(out, source->channel, READER_NAME_MAX);
        return out->err;
    }
    struct thread thread;
    int err = thread_read(&reader->read, &source->id, true, &thread);
    if (err != OK) return err;
    for (size_t i = 0; i < thread.count && thread.rooted; i++)
        if (ref_equal(&thread.messages[i].id, &source->id)) {
            record = thread.messages[i].record;
            err = message_scan(&reader->message, record.value.data, record.value.len);
            content_text(reader, "text", &reader->clean);
            reader_put_title(out, slice_of(&reader->clean));
        }
    thread_free(&thread);
    if (out->len == 0) (void)buf_puts(out, "Thread");
    return err != OK ? err : out->err;
}

/* The newest post decides when the whole was changed last. */
static double updated_of(struct reader *reader)
{
    double newest = 0;
    for (size_t i = 0; i < reader->count; i++) {
        struct log_record record;
        if (log_get(reader->read.log, reader->seqs[i], &record) != OK ||
            message_scan(&reader->message, record.value.data, record.value.len) != OK)
            continue;
        double time = message_rts(&reader->message);
        if (time > newest) newest = time;
    }
    return newest;
}

static int reader_print(struct reader *reader, int format, struct buf *out)
{
    const struct reader_ops *ops = reader_ops_of((enum api_format)format);
    struct buf title, channel;
    buf_init(&title, READER_TEXT_MAX);
    buf_init(&channel, READER_TEXT_MAX);
    put_address(reader, format);
    int err = title_print(reader, &title);
    if (err == OK) {
        const struct reader_about about = { .title = slice_of(&title),
                                            .uri = slice_of(&reader->uri),
                                            .self = slice_of(&reader->self),
                                            .page = reader->source->kind != READER_CHANNEL,
                                            .updated = updated_of(reader) };
        ops->begin(out, &about);
        size_t given = 0;
        for (size_t i = 0; i < reader->count && err == OK && out->len < LIMIT_PAGE_BYTES; i++) {
            struct reader_item item;
            int got = item_read(reader, reader->seqs[i], &channel, &item);
            if (got == 1) ops->item(out, &item, given++ == 0);
            err = got < 0 ? got : OK;
            if (err == OK && flume_now_ms() > reader->deadline_ms && given == 0)
                err = err_set(ERR_SLOW, "nothing was found in the time that a query may take");
        }
        ops->end(out);
    }
    buf_free(&title);
    buf_free(&channel);
    return err != OK ? err : out->err;
}

static void reader_free(struct reader *reader)
{
    struct buf *bufs[] = { &reader->names, &reader->text, &reader->clean, &reader->title, &reader->uri, &reader->self };
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_free(bufs[i]);
    message_free(&reader->message);
    free(reader->seqs);
    free(reader->known);
}

static int reader_open(struct reader *reader)
{
    struct buf *bufs[] = { &reader->names, &reader->text, &reader->clean, &reader->title, &reader->uri, &reader->self };
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_init(bufs[i], LOG_RECORD_MAX);
    message_init(&reader->message);
    reader->seqs = malloc((size_t)reader->limit * sizeof *reader->seqs);
    reader->known = malloc((size_t)reader->limit * sizeof *reader->known);
    if (reader->seqs == NULL || reader->known == NULL) return err_set(ERR_NOMEM, "out of memory");
    if (reader->source->kind == READER_THREAD) return seqs_of_thread(reader);
    struct feed_latest latest;
    int err = reader->source->kind == READER_FEED ? feeds_latest(&reader->read, &reader->source->id, &latest) : OK;
    if (err == ERR_NOTFOUND) return err_set(ERR_NOTFOUND, "no message of that feed is in the log");
    return err == OK ? seqs_of_log(reader) : err;
}

static int reader_make(struct api_request *req, struct buf *out, int format, const struct reader_source *source,
                       int64_t limit)
{
    struct reader reader = { .source = source, .server = req->server, .limit = limit };
    reader.deadline_ms = flume_now_ms() + patience_of_query(req->server);
    int err = api_read_begin(req->server, &reader.read);
    if (err != OK) return err;
    err = reader_open(&reader);
    if (err == OK) err = reader_print(&reader, format, out);
    reader_free(&reader);
    flume_read_end(&reader.read);
    return err;
}

/* ---- the request ---- */

int reader_format(const struct api_request *req, struct api_reply *reply)
{
    const struct slice *asked = api_query(req, "format");
    if (asked == NULL) return api_format_wide(req, reply);
    for (int format = API_ATOM; format <= API_JSON_FEED; format++)
        if (text_is(*asked, format_names[format])) return format;
    (void)api_problem(reply, "bad-parameter", NULL,
                      "format: one of atom, rss, json-feed is wanted; rows come by Accept");
    return -1;
}

static uint32_t reader_views(const struct reader_source *source)
{
    switch (source->kind) {
    case READER_FEED: return READER_VIEWS | VIEW_MASK(feeds);
    case READER_CHANNEL: return READER_VIEWS | VIEW_MASK(channels);
    case READER_THREAD: break;
    }
    return READER_VIEWS | VIEW_MASK(messages) | VIEW_MASK(links);
}

int reader_answer(struct api_request *req, struct api_reply *reply, int format, const struct reader_source *source)
{
    static const char *const names[] = { READER_PARAMS, "limit", API_FRESH_PARAMS, NULL };
    int64_t limit;
    uint64_t state = 0;
    int answer;
    uint32_t views = reader_views(source);
    req->server = api_server_base(req->server); /* whoever asks, nothing that is private is in it */
    if (!api_query_only(req, reply, names) || !page_limit_read(req, reply, API_JSON, &limit)) return API_DONE;
    if (!api_fresh_now(req, reply, views, &answer)) return answer;
    int64_t since = views_since(req->server->flume, views);
    int err = reader_make(req, &reply->body, format, source, limit);
    if (err == ERR_NOTFOUND) api_since_put(req, reply, since);
    if (err != OK) return api_problem_err(reply, err);
    /* the tag is that of the document, so that what else comes into the log is no news to a reader */
    (void)crypto_generichash((unsigned char *)&state, sizeof state, (const unsigned char *)reply->body.data,
                             reply->body.len, NULL, 0);
    if (api_not_modified_of(req, reply, since, state)) return API_DONE;
    reply->status = 200;
    reply->content_type = reader_ops_of((enum api_format)format)->type;
    return API_DONE;
}
