#include <stdio.h>
#include <string.h>

#include "server/api_record.h"
#include "server/limits.h"
#include "server/text.h"
#include "store/canonical.h"
#include "views/view_about.h"

/* ABOUT_ALL beside the rules of view_about.h. */
enum about_by {
    ABOUT_BY_SOCIAL = ABOUT_SOCIAL,
    ABOUT_BY_LATEST = ABOUT_LATEST,
    ABOUT_BY_SELF = ABOUT_SELF,
    ABOUT_BY_ALL
};

static const struct {
    const char *name;
    enum about_by by;
} about_names[] = {
    { "social", ABOUT_BY_SOCIAL },
    { "latest", ABOUT_BY_LATEST },
    { "self", ABOUT_BY_SELF },
    { "all", ABOUT_BY_ALL },
};

struct about_query {
    struct ref targets[LIMIT_ABOUT_IDS], reader;
    size_t target_count;
    size_t by; /* into about_names */
};

struct about_print {
    struct buf *out;
    struct log *log;
    struct message message;
    struct buf field; /* by=all: the field whose list is open */
    size_t fields;
};

static bool about_read(const struct api_request *req, struct api_reply *reply, struct about_query *query)
{
    const struct slice *by = api_query(req, "by");
    if (!api_query_ref(req, reply, "as", "@", &query->reader)) return false;
    for (query->by = 0; by != NULL && query->by < sizeof about_names / sizeof about_names[0]; query->by++)
        if (text_is(*by, about_names[query->by].name)) break;
    if (query->by < sizeof about_names / sizeof about_names[0]) return true;
    (void)api_problem(reply, "bad-parameter", NULL, "by: one of social, latest, self, all is wanted");
    return false;
}

/* One or more `id`. */
static bool about_read_ids(const struct api_request *req, struct api_reply *reply, struct about_query *query)
{
    for (size_t i = 0; i < req->query_count; i++) {
        if (!text_is(req->query[i].name, "id")) continue;
        if (query->target_count == LIMIT_ABOUT_IDS) {
            (void)api_problem(reply, "bad-parameter", NULL, "id: at most %d of them are taken at once",
                              LIMIT_ABOUT_IDS);
            return false;
        }
        if (!api_ref_of(reply, "id", req->query[i].value, "%@&", &query->targets[query->target_count])) return false;
        query->target_count++;
    }
    if (query->target_count == 0) (void)api_problem(reply, "bad-parameter", NULL, "id: at least one is wanted");
    return query->target_count > 0;
}

/* A name that ten thousand people gave is far below. */
static int about_full(const struct about_print *print)
{
    if (print->out->err != OK) return print->out->err;
    if (print->out->len > LIMIT_WHOLE_BYTES)
        return err_set(ERR_LIMIT, "what is said of it is more than %zu bytes", LIMIT_WHOLE_BYTES);
    return OK;
}

static void about_put_field(struct about_print *print, struct slice field)
{
    if (print->fields++ > 0) (void)buf_putc(print->out, ',');
    (void)buf_putc(print->out, '"');
    (void)buf_append(print->out, field.data, field.len);
    (void)buf_puts(print->out, "\":");
}

static int about_one(void *ctx, const struct about_value *value)
{
    struct about_print *print = ctx;
    about_put_field(print, value->field);
    json_put_valid(print->out, value->value);
    return about_full(print);
}

static int about_put_source(struct about_print *print, int64_t seq)
{
    struct log_record record;
    int err = log_get(print->log, seq, &record);
    if (err == OK) err = message_scan(&print->message, record.value.data, record.value.len);
    if (err != OK) return err;
    (void)buf_puts(print->out, ",\"key\":");
    text_put_json(print->out, print->message.key);
    (void)buf_puts(print->out, ",\"timestamp\":");
    char number[32];
    if (print->message.has_received)
        (void)buf_append(print->out, number, canonical_number(print->message.received, number));
    else
        (void)buf_puts(print->out, "null");
    return OK;
}

/* Values come field by field: the list of a field is open until another field comes. */
static int about_many(void *ctx, const struct about_value *value)
{
    struct about_print *print = ctx;
    bool same = print->fields > 0 && print->field.len == value->field.len &&
                (value->field.len == 0 || memcmp(print->field.data, value->field.data, value->field.len) == 0);
    if (!same) {
        if (print->fields > 0) (void)buf_putc(print->out, ']');
        about_put_field(print, value->field);
        buf_reset(&print->field);
        (void)buf_append(&print->field, value->field.data, value->field.len);
    }
    (void)buf_puts(print->out, same ? ",{\"value\":" : "[{\"value\":");
    json_put_valid(print->out, value->value);
    (void)buf_puts(print->out, ",\"author\":");
    text_put_ref(print->out, &value->author);
    int err = about_put_source(print, value->seq);
    if (err != OK) return err;
    (void)buf_putc(print->out, '}');
    return print->field.err != OK ? print->field.err : about_full(print);
}

static int about_put_values(const struct flume_read *read, const struct about_query *query, const struct ref *target,
                            struct buf *out)
{
    struct about_print print = { .out = out, .log = read->log };
    message_init(&print.message);
    buf_init(&print.field, LOG_RECORD_MAX);
    enum about_by by = about_names[query->by].by;
    const struct ref *reader = query->reader.kind == REF_NONE ? NULL : &query->reader;
    int err = by == ABOUT_BY_ALL ? about_all(read, target, about_many, &print)
                                 : about_get(read, target, (enum about_rule)by, reader, about_one, &print);
    if (err == OK && by == ABOUT_BY_ALL && print.fields > 0) (void)buf_putc(out, ']');
    message_free(&print.message);
    buf_free(&print.field);
    return err;
}

static int about_answer_one(struct api_reply *reply, const struct flume_read *read, const struct about_query *query,
                            int64_t since)
{
    struct buf *out = &reply->body;
    (void)buf_puts(out, "{\"id\":");
    text_put_ref(out, &query->targets[0]);
    (void)buf_printf(out, ",\"by\":\"%s\",\"about\":{", about_names[query->by].name);
    int err = about_put_values(read, query, &query->targets[0], out);
    if (err != OK) return api_problem_err(reply, err);
    (void)buf_printf(out, "},\"since\":%lld}", (long long)since);
    return api_json(reply);
}

static int about_answer_many(struct api_reply *reply, const struct flume_read *read, const struct about_query *query,
                             int64_t since)
{
    struct buf *out = &reply->body;
    (void)buf_printf(out, "{\"by\":\"%s\",\"abouts\":[", about_names[query->by].name);
    for (size_t i = 0; i < query->target_count; i++) {
        (void)buf_puts(out, i > 0 ? ",{\"id\":" : "{\"id\":");
        text_put_ref(out, &query->targets[i]);
        (void)buf_puts(out, ",\"about\":{");
        int err = about_put_values(read, query, &query->targets[i], out);
        if (err != OK) return api_problem_err(reply, err);
        (void)buf_puts(out, "}}");
    }
    (void)buf_printf(out, "],\"since\":%lld}", (long long)since);
    return api_json(reply);
}

typedef int about_answer(struct api_reply *reply, const struct flume_read *read, const struct about_query *query,
                         int64_t since);

static int about_reply(struct api_request *req, struct api_reply *reply, const struct about_query *query,
                       about_answer *make)
{
    struct flume_read read;
    int answer;
    if (!api_fresh_now(req, reply, VIEW_MASK(about), &answer)) return answer;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return api_problem_err(reply, err);
    int64_t since = flume_read_since(&read, flume_view(read.flume, VIEW_about));
    answer = api_not_modified(req, reply, since) ? API_DONE : make(reply, &read, query, since);
    flume_read_end(&read);
    return answer;
}

int api_about_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "by", "as", API_FRESH_PARAMS, NULL };
    struct about_query query = { .target_count = 1 };
    if (!api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "%@&", &query.targets[0]) ||
        !about_read(req, reply, &query))
        return API_DONE;
    return about_reply(req, reply, &query, about_answer_one);
}

/* Everybody on a page in one request. */
int api_about_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "id", "by", "as", API_FRESH_PARAMS, NULL };
    struct about_query query = { .target_count = 0 };
    if (!api_query_only_but(req, reply, names, "id") || !about_read_ids(req, reply, &query) ||
        !about_read(req, reply, &query))
        return API_DONE;
    return about_reply(req, reply, &query, about_answer_many);
}
