#include "server/live.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/limits.h"
#include "server/live_op.h"
#include "server/text.h"

struct live_answer {
    struct live_answer *next;
    size_t len;
    char text[];
};

struct live {
    struct server *server;
    bool public_only;
    struct gate_place from;
    struct live_answer *answers, **answers_end;
    size_t answer_count;
    struct live_sub **subs;
    size_t sub_count, sub_cap;
    size_t turn; /* whose turn it is */
};

size_t live_subscriptions(const struct live *live)
{
    return live->sub_count;
}

bool live_wake(struct live *live)
{
    bool any = live->answers != NULL;
    for (size_t i = 0; i < live->sub_count; i++)
        any = live_sub_wake(live->subs[i]) || any;
    return any;
}

static void live_count(struct live *live, int64_t change)
{
    atomic_fetch_add(&api_server_base(live->server)->metrics.ws_subscriptions, change);
}

/* ---- answers ---- */

static int live_answer(struct live *live, const struct buf *frame)
{
    if (frame->err != OK) return frame->err;
    if (live->answer_count >= LIMIT_OPERATIONS)
        return err_set(ERR_LIMIT, "more than %d operations wait for the client to read their answers",
                       LIMIT_OPERATIONS);
    struct live_answer *answer = malloc(sizeof *answer + frame->len);
    if (answer == NULL) return err_set(ERR_NOMEM, "no memory to answer a client");
    answer->next = NULL;
    answer->len = frame->len;
    memcpy(answer->text, frame->data, frame->len);
    *live->answers_end = answer;
    live->answers_end = &answer->next;
    live->answer_count++;
    return OK;
}

static int live_take_answer(struct live *live, struct buf *out)
{
    struct live_answer *answer = live->answers;
    int err = buf_append(out, answer->text, answer->len);
    live->answers = answer->next;
    if (live->answers == NULL) live->answers_end = &live->answers;
    live->answer_count--;
    free(answer);
    return err == OK ? 1 : err;
}

/* {"id":…,"error":PROBLEM}, the problem made in `reply`. */
static void live_put_problem(struct buf *out, const char *id, const struct api_reply *reply)
{
    (void)buf_putc(out, '{');
    if (id != NULL) {
        (void)buf_puts(out, "\"id\":");
        (void)buf_put_json(out, id, strlen(id));
        (void)buf_putc(out, ',');
    }
    (void)buf_puts(out, "\"error\":");
    (void)buf_append(out, reply->body.data, reply->body.len);
    (void)buf_putc(out, '}');
}

static int live_answer_problem(struct live *live, const char *id, const struct api_reply *reply)
{
    struct buf frame;
    buf_init(&frame, 64 << 10);
    live_put_problem(&frame, id, reply);
    int err = live_answer(live, &frame);
    buf_free(&frame);
    return err;
}

static int live_answer_err(struct live *live, const char *id, int code)
{
    struct api_reply reply;
    api_reply_init(&reply);
    (void)filter_params_problem(&reply, code);
    int err = live_answer_problem(live, id, &reply);
    api_reply_free(&reply);
    return err;
}

/* ---- subscriptions ---- */

static struct live_sub **live_find(struct live *live, const char *id)
{
    for (size_t i = 0; i < live->sub_count; i++)
        if (live->subs[i]->named && strcmp(live->subs[i]->id, id) == 0) return &live->subs[i];
    return NULL;
}

static void live_remove(struct live *live, struct live_sub **place)
{
    live_sub_free(*place);
    *place = live->subs[--live->sub_count];
    live_count(live, -1);
}

/* Takes `sub` over, also when it fails. */
static int live_add(struct live *live, struct live_sub *sub)
{
    if (live->sub_count == live->sub_cap) {
        size_t cap = live->sub_cap == 0 ? 4 : live->sub_cap * 2;
        struct live_sub **subs = realloc(live->subs, cap * sizeof(struct live_sub *));
        if (subs == NULL) {
            live_sub_free(sub);
            return err_set(ERR_NOMEM, "no memory for a subscription");
        }
        live->subs = subs;
        live->sub_cap = cap;
    }
    live->subs[live->sub_count++] = sub;
    live_count(live, 1);
    return OK;
}

/* What is subscribed to: a list, or messages. */
struct live_wanted {
    struct slice list; /* data NULL = messages */
    int64_t since;
    struct filter_params params;
};

static void wanted_init(struct live_wanted *wanted)
{
    wanted->list = (struct slice){ NULL, 0 };
    wanted->since = SEQ_EMPTY;
    filter_params_init(&wanted->params);
}

static int wanted_open(struct live *live, struct live_wanted *wanted, struct live_sub **ret_sub)
{
    if (wanted->list.data != NULL)
        return live_sub_new_list(live->server, wanted->list, wanted->since, live->public_only, &live->from, ret_sub);
    return live_sub_new(live->server, &wanted->params, live->public_only, ret_sub);
}

/* `id` NULL: the subscription of the URL. */
static int live_subscribe(struct live *live, const char *id, struct live_wanted *wanted)
{
    struct live_sub *sub = NULL;
    int err = wanted_open(live, wanted, &sub);
    if (err != OK) return err;
    if (id != NULL) {
        sub->named = true;
        memcpy(sub->id, id, strlen(id) + 1);
    }
    return live_add(live, sub);
}

/* ---- the handshake's target ---- */

static int live_parsed(struct api_request *req, struct api_reply *reply)
{
    (void)req;
    (void)reply;
    return API_DONE;
}

static const struct api_route live_routes[] = {
    { API_GET, "/live", live_parsed, "live", API_SCOPE_READ, false },
    { 0 },
};

static int wanted_list_alone(void)
{
    return err_set(ERR_ARG, "list: nothing stands beside it but since: parameters are part of its target");
}

static int wanted_since_alone(void)
{
    return err_set(ERR_ARG, "since: goes with list only; gt goes on behind a record");
}

static int wanted_since_odd(void)
{
    return err_set(ERR_ARG, "since: not a seq: it is a whole number from -1 to 2^53-1");
}

/* list=TARGET, with since=SEQ or without: 1, 0 = it is another query, <0 error. */
static int live_read_list(const struct api_request *req, struct live_wanted *wanted)
{
    const struct slice *list = api_query(req, "list"), *since = api_query(req, "since");
    if (list == NULL) return since != NULL ? wanted_since_alone() : 0;
    if (req->query_count > 1U + (since != NULL)) return wanted_list_alone();
    wanted->list = *list;
    if (since == NULL || text_int(*since, -1, SEQ_MAX, &wanted->since)) return 1;
    return wanted_since_odd();
}

/* *ret_subscribe: subscribe=false was not said. */
static int live_read_query(const struct api_request *req, struct live_wanted *wanted, bool *ret_subscribe)
{
    struct filter_params *params = &wanted->params;
    *ret_subscribe = true;
    int listed = live_read_list(req, wanted);
    if (listed < 0) return listed;
    for (size_t i = 0; i < req->query_count; i++) {
        const struct api_param *param = &req->query[i];
        for (size_t k = 0; k < i; k++)
            if (param->name.len == req->query[k].name.len &&
                memcmp(param->name.data, req->query[k].name.data, param->name.len) == 0)
                return err_set(ERR_ARG, "%.*s: given twice", (int)param->name.len, param->name.data);
        if (listed && (text_is(param->name, "list") || text_is(param->name, "since"))) continue;
        if (!text_is(param->name, "subscribe")) {
            int err = filter_params_set(params, param->name, param->value);
            if (err != OK) return err;
        } else if (!text_bool(param->value, ret_subscribe)) {
            return err_set(ERR_ARG, "subscribe: neither true nor false");
        }
    }
    if (!*ret_subscribe && req->query_count > 1)
        return err_set(ERR_ARG, "subscribe=false stands alone: without a subscription nothing can be filtered");
    return OK;
}

/* The same reading of a target as any request gets, with /live as the only route. */
static int live_open_target(struct live *live, struct slice target)
{
    struct server only = { .config = live->server->config, .flume = live->server->flume, .routes = live_routes };
    struct api_request req = { .server = &only, .method = API_GET, .target = target };
    struct api_reply reply;
    struct live_wanted wanted;
    bool subscribe;
    api_reply_init(&reply);
    wanted_init(&wanted);
    (void)api_dispatch(&req, &reply);
    int err = OK;
    if (reply.status != 200) {
        err = live_answer_problem(live, NULL, &reply);
        if (err == OK) err = err_set(ERR_ARG, "the handshake's target cannot be understood");
    } else {
        err = live_read_query(&req, &wanted, &subscribe);
        if (err == OK && subscribe) err = live_subscribe(live, NULL, &wanted);
        if (err != OK && err != ERR_NOMEM) (void)live_answer_err(live, NULL, err);
    }
    api_reply_free(&reply);
    api_request_free(&req);
    return err;
}

int live_open(struct server *server, struct slice target, bool public_only, const struct gate_place *from,
              struct live **ret_live)
{
    struct live *live = calloc(1, sizeof *live);
    if (live == NULL) return err_set(ERR_NOMEM, "no memory for a client");
    live->server = server;
    live->public_only = public_only;
    if (from != NULL) live->from = *from;
    live->answers_end = &live->answers;
    int err = live_open_target(live, target);
    if (err == ERR_NOMEM)
        live_free(live);
    else
        *ret_live = live;
    return err;
}

void live_free(struct live *live)
{
    if (live == NULL) return;
    live_count(live, -(int64_t)live->sub_count);
    for (size_t i = 0; i < live->sub_count; i++)
        live_sub_free(live->subs[i]);
    free(live->subs);
    for (struct live_answer *answer = live->answers, *next; answer != NULL; answer = next) {
        next = answer->next;
        free(answer);
    }
    free(live);
}

/* ---- operations ---- */

/* A member of an operation as the text that the same parameter has in a URL. ERR_ARG. */
static int op_text(const char *name, const json_t *value, char number[32], struct slice *ret_text)
{
    if (json_is_string(value)) {
        *ret_text = (struct slice){ json_string_value(value), json_string_length(value) };
    } else if (json_is_boolean(value)) {
        *ret_text = json_is_true(value) ? SLICE_LITERAL("true") : SLICE_LITERAL("false");
    } else if (json_is_integer(value)) {
        int len = snprintf(number, 32, "%lld", (long long)json_integer_value(value));
        *ret_text = (struct slice){ number, (size_t)len };
    } else {
        return err_set(ERR_ARG, "%.60s: a string, a whole number, true or false is wanted", name);
    }
    return OK;
}

static int op_params(json_t *op, struct filter_params *params)
{
    const char *name;
    json_t *value;
    json_object_foreach(op, name, value)
    {
        char number[32];
        struct slice text = { "", 0 };
        if (strcmp(name, "op") == 0 || strcmp(name, "id") == 0) continue;
        int err = op_text(name, value, number, &text);
        if (err == OK) err = filter_params_set(params, (struct slice){ name, strlen(name) }, text);
        if (err != OK) return err;
    }
    return OK;
}

/* "list" and "since" beside "op" and "id": 1, 0 = it is not about a list, <0 error. */
static int op_list(json_t *op, struct live_wanted *wanted)
{
    const json_t *list = json_object_get(op, "list"), *since = json_object_get(op, "since");
    if (list == NULL) return since != NULL ? wanted_since_alone() : 0;
    if (!json_is_string(list)) return err_set(ERR_ARG, "list: a target like \"/threads?limit=20\" is wanted");
    if (json_object_size(op) > 3U + (since != NULL)) return wanted_list_alone();
    wanted->list = (struct slice){ json_string_value(list), json_string_length(list) };
    if (since == NULL) return 1;
    if (!json_is_integer(since) || json_integer_value(since) < -1 || json_integer_value(since) > SEQ_MAX)
        return wanted_since_odd();
    wanted->since = json_integer_value(since);
    return 1;
}

static int op_wanted(json_t *op, struct live_wanted *wanted)
{
    wanted_init(wanted);
    int listed = op_list(op, wanted);
    return listed == 0 ? op_params(op, &wanted->params) : listed == 1 ? OK : listed;
}

static int op_sub(struct live *live, const char *id, json_t *op)
{
    struct live_wanted wanted;
    if (live_find(live, id) != NULL)
        return live_answer_err(live, id, err_set(ERR_ARG, "id: there is a subscription of that id; unsub it first"));
    if (live->sub_count >= (size_t)live->server->config->subscriptions_max) {
        struct api_reply reply;
        api_reply_init(&reply);
        (void)api_problem(&reply, "too-many", NULL,
                          "there are %zu subscriptions on this socket already, which is the most", live->sub_count);
        int err = live_answer_problem(live, id, &reply);
        api_reply_free(&reply);
        return err;
    }
    int err = op_wanted(op, &wanted);
    if (err == OK) err = live_subscribe(live, id, &wanted);
    return err == OK || err == ERR_NOMEM ? err : live_answer_err(live, id, err);
}

static int op_unsub(struct live *live, const char *id, json_t *op)
{
    struct live_sub **place = live_find(live, id);
    if (json_object_size(op) > 2)
        return live_answer_err(live, id, err_set(ERR_ARG, "unsub takes an id and nothing else"));
    if (place == NULL) return live_answer_err(live, id, err_set(ERR_NOSEQ, "there is no subscription of that id"));
    live_remove(live, place);
    struct buf frame;
    buf_init(&frame, 1024);
    (void)buf_puts(&frame, "{\"id\":");
    (void)buf_put_json(&frame, id, strlen(id));
    (void)buf_puts(&frame, ",\"closed\":true}");
    int err = live_answer(live, &frame);
    buf_free(&frame);
    return err;
}

static int live_op(struct live *live, json_t *op)
{
    const json_t *name = json_object_get(op, "op"), *id = json_object_get(op, "id");
    bool sub = json_is_string(name) && strcmp(json_string_value(name), "sub") == 0;
    bool unsub = json_is_string(name) && strcmp(json_string_value(name), "unsub") == 0;
    const char *text = json_is_string(id) ? json_string_value(id) : NULL;
    bool fits = text != NULL && text[0] != '\0' && json_string_length(id) <= LIVE_ID_MAX;
    if (!sub && !unsub)
        return live_answer_err(live, fits ? text : NULL, err_set(ERR_ARG, "op: \"sub\" or \"unsub\" is wanted"));
    if (!fits)
        return live_answer_err(live, NULL, err_set(ERR_ARG, "id: a string of 1 to %d bytes is wanted", LIVE_ID_MAX));
    return sub ? op_sub(live, text, op) : op_unsub(live, text, op);
}

int live_text(struct live *live, const char *text, size_t len)
{
    json_error_t where;
    int err = live_op_look((struct slice){ text, len });
    if (err != OK) return live_answer_err(live, NULL, err);
    json_t *op = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (op == NULL)
        err = live_answer_err(live, NULL, err_set(ERR_JSON, "not valid JSON: %s", where.text));
    else if (!json_is_object(op))
        err = live_answer_err(live, NULL, live_op_not_object());
    else
        err = live_op(live, op);
    json_decref(op);
    return err;
}

/* ---- frames ---- */

/* The subscription failed: its last frame says why. */
static int live_failed(struct live *live, struct live_sub **place, int code, struct buf *out)
{
    const struct live_sub *sub = *place;
    struct api_reply reply;
    api_reply_init(&reply);
    (void)api_problem_err(&reply, code);
    live_put_problem(out, sub->named ? sub->id : NULL, &reply);
    api_reply_free(&reply);
    live_remove(live, place);
    return out->err == OK ? 1 : out->err;
}

bool live_place(const struct live *live, struct live_place *ret_place)
{
    return live->answers == NULL && live->sub_count == 1 && live_sub_place(live->subs[0], ret_place);
}

bool live_place_same(const struct live_place *a, const struct live_place *b)
{
    return a->rows.cursor.log == b->rows.cursor.log && a->rows.cursor.at == b->rows.cursor.at;
}

bool live_go(struct live *live, const struct live_place *place)
{
    live_sub_go(live->subs[0], place);
    return live_sub_wake(live->subs[0]); /* the log may have grown since another client came there */
}

int live_next(struct live *live, struct buf *out)
{
    if (live->answers != NULL) return live_take_answer(live, out);
    for (size_t tried = 0; tried < live->sub_count; tried++) {
        if (live->turn >= live->sub_count) live->turn = 0;
        struct live_sub **place = &live->subs[live->turn++];
        if ((*place)->idle) continue;
        size_t start = out->len;
        bool over;
        int got = live_sub_next(*place, out, &over);
        if (got == 0) continue;
        if (got == LIVE_LATER) return got;
        if (got < 0) {
            out->len = start;
            out->err = OK;
            return live_failed(live, place, got, out);
        }
        if (over) live_remove(live, place);
        return 1;
    }
    return 0;
}
