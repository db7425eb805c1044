#include "tests/support/api_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/rows.h"
#include "store/json.h"
#include "tests/support/scratch.h"

static void must(bool ok, const char *what, int err)
{
    if (ok) return;
    (void)fprintf(stderr, "api_kit: %s: %s (%s)\n", what, err_name(err), err_detail(err));
    abort();
}

/* ---- the server ---- */

static int kit_open_log(void *ctx, struct log **ret_log)
{
    const struct api_kit *kit = ctx;
    char path[SCRATCH_PATH];
    scratch_path(kit->dir, "log.offset", path);
    return log_offset_open(&(struct log_offset_options){ .path = path }, NULL, ret_log);
}

static void kit_start(struct api_kit *kit)
{
    struct flume_options options = {
        .open_log = kit_open_log, .open_ctx = kit, .views_dir = kit->dir, .accept_any = kit->accept_any
    };
    int err = flume_open(&options, &kit->flume);
    must(err == OK, "flume_open", err);
    kit->server.flume = kit->flume;
}

void api_kit_open(struct api_kit *kit, bool accept_any)
{
    static char any[] = "any";
    memset(kit, 0, sizeof *kit);
    kit->dir = scratch_make();
    kit->accept_any = accept_any;
    kit->config = (struct config){
        .accept = accept_any ? any : NULL,
        .body_max = 8 << 20,
        .buffered_max = 256 << 20,
        .batch_max = 100,
        .target_max = 8192,
        .wait_timeout = 10,
        .query_timeout = 10,
        .queries_max = 64,
        .stall_timeout = 30,
        .header_timeout = 5,
        .limit_max = 1000,
        .sockets_max = 16,
        .subscriptions_max = 4,
        .frame_max = 4096,
    };
    kit->server.config = &kit->config;
    kit->server.owned = true;
    kit->server.started_ms = flume_now_ms();
    kit_start(kit);
}

void api_kit_close(struct api_kit *kit)
{
    flume_close(kit->flume);
    scratch_remove(kit->dir);
}

void api_kit_reopen(struct api_kit *kit)
{
    flume_close(kit->flume);
    kit_start(kit);
}

/* ---- requests ---- */

struct kit_bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool resumed;
};

static void kit_resume(void *ctx)
{
    struct kit_bell *bell = ctx;
    (void)pthread_mutex_lock(&bell->lock);
    bell->resumed = true;
    (void)pthread_cond_signal(&bell->rung);
    (void)pthread_mutex_unlock(&bell->lock);
}

static void kit_await(struct kit_bell *bell)
{
    (void)pthread_mutex_lock(&bell->lock);
    while (!bell->resumed)
        (void)pthread_cond_wait(&bell->rung, &bell->lock);
    bell->resumed = false;
    (void)pthread_mutex_unlock(&bell->lock);
}

static struct slice kit_text(const char *text)
{
    return (struct slice){ text, text == NULL ? 0 : strlen(text) };
}

static void kit_read(struct api_told *told)
{
    struct buf text;
    buf_init(&text, (size_t)64 << 20);
    if (told->reply.stream == NULL) {
        (void)buf_append(&text, told->reply.body.data, told->reply.body.len);
    } else {
        int got;
        while ((got = rows_next_framed(told->reply.stream, told->reply.format, &text)) == 1) {
        }
        must(got == 0, "rows_next_framed", got);
    }
    (void)buf_putc(&text, '\0');
    must(text.err == OK, "reading an answer", text.err);
    told->body = text.data;
    told->status = told->reply.status;
}

void api_kit_ask(struct api_kit *kit, const struct api_ask *ask, struct api_told *ret_told)
{
    struct kit_bell bell = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };
    struct api_request req = {
        .server = &kit->server,
        .method = ask->method,
        .target = kit_text(ask->target),
        .accept = kit_text(ask->accept),
        .prefer = kit_text(ask->prefer),
        .content_type = kit_text(ask->content_type),
        .if_none_match = kit_text(ask->if_none_match),
        .last_event_id = kit_text(ask->last_event_id),
        .body = kit_text(ask->body),
        .public_only = ask->public_only,
        .may_append = !ask->public_only,
        .may_private = ask->may_private,
        .may_publish = ask->may_publish,
        .arrived_ms = flume_now_ms(),
        .fresh_seq = SEQ_EMPTY,
        .resume = kit_resume,
        .resume_ctx = &bell,
    };
    api_reply_init(&ret_told->reply);
    while (api_dispatch(&req, &ret_told->reply) == API_WAIT)
        kit_await(&bell);
    kit_read(ret_told);
    api_request_free(&req);
}

void api_kit_get(struct api_kit *kit, const char *target, struct api_told *ret_told)
{
    api_kit_ask(kit, &(struct api_ask){ .method = API_GET, .target = target }, ret_told);
}

void api_told_free(struct api_told *told)
{
    free(told->body);
    api_reply_free(&told->reply);
}

const char *api_told_header(const struct api_told *told, const char *name)
{
    for (size_t i = 0; i < told->reply.header_count; i++)
        if (strcmp(told->reply.headers[i].name, name) == 0) return told->reply.headers[i].value;
    return NULL;
}

int64_t api_kit_post(struct api_kit *kit, const char *value)
{
    struct api_told told;
    struct slice seq;
    double number = -1;
    api_kit_ask(kit, &(struct api_ask){ .method = API_POST, .target = "/log", .body = value }, &told);
    if (told.status != 201) {
        (void)fprintf(stderr, "api_kit: POST /log: %s\n", told.body);
        abort();
    }
    must(json_find(kit_text(told.body), "seq", &seq) == 1 && json_number(seq, &number), "seq of an answer", ERR_JSON);
    api_told_free(&told);
    return (int64_t)number;
}

/* ---- messages ---- */

static void put_previous(const struct kit_author *author, struct buf *out)
{
    char text[REF_TEXT_MAX];
    if (author->sequence == 0) {
        (void)buf_puts(out, "{\"previous\":null");
        return;
    }
    int len = (int)ref_print(&author->last, text);
    (void)buf_printf(out, "{\"previous\":\"%.*s\"", len, text);
}

char *api_kit_message(struct kit_author *author, const char *content)
{
    struct buf value, made;
    struct feed_message message = { .sequence = 0 };
    char id[REF_TEXT_MAX];
    int len = (int)ref_print(&author->id, id);
    buf_init(&value, 65536);
    buf_init(&made, 65536);
    put_previous(author, &value);
    (void)buf_printf(&value, ",\"author\":\"%.*s\",\"sequence\":%lld,\"timestamp\":%lld,\"hash\":\"sha256\"", len, id,
                     (long long)author->sequence + 1, 1500000000000LL + (long long)author->sequence);
    (void)buf_printf(&value, ",\"content\":%s}", content);
    int err = feed_sign(value.data, value.len, author->secret, NULL, &made);
    must(err == OK, "feed_sign", err);
    err = feed_check(made.data, made.len, NULL, &message);
    must(err == OK, "feed_check", err);
    author->last = message.id;
    author->sequence++;
    feed_message_free(&message);
    buf_free(&value);
    (void)buf_putc(&made, '\0');
    return made.data;
}
