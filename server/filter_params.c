#include "server/filter_params.h"

#include <string.h>

#include "server/ids.h"
#include "server/text.h"

#define PAGE_LIMIT_DEFAULT 50
#define EXTRA_MAX 4 /* parameters of a route's own */

/* Filters are the fields of the views, whatever these are; this is the rest. */
static const char *const params_names[] = {
    "gt", "gte", "lt", "lte", "reverse", "limit", "live", "old", "from", "hops"
};
static const char *const fresh_names[] = { API_FRESH_PARAMS };

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

void filter_params_init(struct filter_params *params)
{
    *params = (struct filter_params){
        .range = LOG_RANGE_ALL, .near = NEAR_PARAMS_NONE, .near_since = SEQ_EMPTY, .limit = -1, .old = true
    };
}

static int params_set_seq(struct filter_params *params, struct slice name, struct slice value)
{
    bool lower = name.data[0] == 'g', exclusive = name.len == 2;
    bool *given = lower ? &params->min_given : &params->max_given;
    int64_t seq = 0;
    if (*given)
        return err_set(ERR_ARG, "%.*s stands beside %s: only one of the two can be", (int)name.len, name.data,
                       lower ? (exclusive ? "gte" : "gt") : (exclusive ? "lte" : "lt"));
    if (!text_int(value, -1, SEQ_MAX, &seq))
        return err_set(ERR_ARG, "%.*s: not a seq: it is a whole number from -1 to 2^53-1, as records show it",
                       (int)name.len, name.data);
    *given = true;
    if (lower) {
        params->range.min = seq;
        params->above = exclusive;
    } else {
        params->range.max = seq;
        params->below = exclusive;
    }
    return OK;
}

static int params_set_bool(struct slice name, struct slice value, bool *ret)
{
    if (text_bool(value, ret)) return OK;
    return err_set(ERR_ARG, "%.*s: neither true nor false", (int)name.len, name.data);
}

static int params_set_filter(struct filter_params *params, struct slice name, struct slice value)
{
    char word[64];
    if (name.len >= sizeof word) return err_set(ERR_NOTFOUND, "there is no parameter of that name");
    for (size_t i = 0; i < name.len; i++)
        word[i] = name.data[i];
    word[name.len] = '\0';
    return filter_set(&params->filter, word, value.data, value.len);
}

int filter_params_set(struct filter_params *params, struct slice name, struct slice value)
{
    if (text_is(name, "gt") || text_is(name, "gte") || text_is(name, "lt") || text_is(name, "lte"))
        return params_set_seq(params, name, value);
    if (text_is(name, "reverse")) return params_set_bool(name, value, &params->range.reverse);
    if (text_is(name, "old")) return params_set_bool(name, value, &params->old);
    if (text_is(name, "live")) {
        params->live_given = true;
        return params_set_bool(name, value, &params->live);
    }
    if (text_is(name, "ids")) {
        if (ids_text(value, &params->uri_ids)) return OK;
        return err_set(ERR_ARG, "ids: sigil or uri is wanted");
    }
    if (text_is(name, "limit")) {
        if (text_int(value, 1, SEQ_MAX, &params->limit)) return OK;
        return err_set(ERR_ARG, "limit: not a whole number from 1 on");
    }
    int near = near_params_set(&params->near, name, value);
    if (near != 0) return near < 0 ? near : OK;
    return params_set_filter(params, name, value);
}

uint32_t filter_params_views(const struct filter_params *params)
{
    return filter_views(&params->filter) | near_params_views(&params->near);
}

/* A client without a token sees public messages only, whatever it asks for. */
static int params_hide_private(struct filter_params *params)
{
    for (size_t i = 0; i < params->filter.count; i++) {
        const struct filter_term *term = &params->filter.terms[i];
        if (!text_is((struct slice){ term->field->name, strlen(term->field->name) }, "private")) continue;
        if (term->negate) return OK;
        return err_set(ERR_PERM, "private=true: encrypted messages are shown to clients with a token only");
    }
    return filter_set_text(&params->filter, "private", "false");
}

int filter_params_finish(struct filter_params *params, bool public_only, int64_t head)
{
    if (params->live && params->range.reverse)
        return err_set(ERR_ARG, "reverse and live: what comes cannot be read backwards; give one of the two");
    if (!params->old && !params->live)
        return err_set(ERR_ARG, "old=false without live=true: that leaves nothing to read");
    if (!params->old && params->min_given)
        return err_set(ERR_ARG, "old=false and a lower bound: reading starts at one place only");
    int err = near_params_finish(&params->near);
    if (err != OK) return err;
    if (!params->old) {
        params->range.min = head;
        params->above = true;
    }
    return public_only ? params_hide_private(params) : OK;
}

int filter_params_problem(struct api_reply *reply, int err)
{
    if (err == ERR_REF) return api_problem(reply, "bad-id", NULL, "%s", err_detail(err));
    if (err == ERR_PERM) return api_problem(reply, "forbidden", NULL, "%s", err_detail(err));
    if (err == ERR_ARG || err == ERR_NOTFOUND) return api_problem(reply, "bad-parameter", NULL, "%s", err_detail(err));
    return api_problem_err(reply, err);
}

/* The names that stand beside filters; filters are checked as they are set. */
static bool params_known(const struct api_request *req, struct api_reply *reply, const char *const *extra)
{
    const char
        *names[COUNT_OF(params_names) + COUNT_OF(fresh_names) + (size_t)VIEW_COUNT * VIEW_FIELDS_MAX + EXTRA_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(params_names); i++)
        names[count++] = params_names[i];
    for (size_t i = 0; i < COUNT_OF(fresh_names); i++)
        names[count++] = fresh_names[i];
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        const struct field *field = view_list[i]->fields;
        for (size_t k = 0; field != NULL && k < VIEW_FIELDS_MAX && field[k].name != NULL; k++)
            names[count++] = field[k].name;
    }
    for (size_t i = 0; i < EXTRA_MAX && extra[i] != NULL; i++)
        names[count++] = extra[i];
    names[count] = NULL;
    return api_query_only(req, reply, names);
}

/* Is it one that is read elsewhere? */
static bool params_others(struct slice name, const char *const *extra)
{
    for (size_t i = 0; i < COUNT_OF(fresh_names); i++)
        if (text_is(name, fresh_names[i])) return true;
    for (size_t i = 0; extra[i] != NULL; i++)
        if (text_is(name, extra[i])) return true;
    return false;
}

static bool params_read_query(const struct api_request *req, struct api_reply *reply, const char *const *extra,
                              struct filter_params *params)
{
    for (size_t i = 0; i < req->query_count; i++) {
        if (params_others(req->query[i].name, extra)) continue;
        int err = filter_params_set(params, req->query[i].name, req->query[i].value);
        if (err == OK) continue;
        (void)filter_params_problem(reply, err);
        return false;
    }
    return true;
}

bool page_limit_read(const struct api_request *req, struct api_reply *reply, int format, int64_t *ret_limit)
{
    int64_t most = format == API_JSON ? req->server->config->limit_max : SEQ_MAX;
    int64_t limit = format == API_JSON ? PAGE_LIMIT_DEFAULT : -1;
    if (limit > most) limit = most;
    if (!api_query_int(req, reply, "limit", 1, most, &limit)) return false;
    *ret_limit = limit;
    return true;
}

bool live_read(const struct api_request *req, struct api_reply *reply, int format, bool *ret_live)
{
    bool live = false;
    if (!api_query_bool(req, reply, "live", &live)) return false;
    if (live && format == API_JSON) {
        (void)api_problem(reply, "bad-parameter", NULL,
                          "live: a JSON page has an end; ask with Accept: application/x-ndjson or text/event-stream");
        return false;
    }
    *ret_live = live;
    return true;
}

bool last_event_read(const struct api_request *req, int format, int64_t *ret_seq)
{
    return format == API_SSE && req->last_event_id.data != NULL &&
           text_int(text_trim(req->last_event_id), -1, SEQ_MAX, ret_seq);
}

bool filter_params_read(const struct api_request *req, struct api_reply *reply, int format,
                        struct filter_params *ret_params)
{
    static const char *const none[] = { NULL };
    return filter_params_read_with(req, reply, format, none, ret_params);
}

bool filter_params_read_with(const struct api_request *req, struct api_reply *reply, int format,
                             const char *const *extra, struct filter_params *ret_params)
{
    struct filter_params params;
    filter_params_init(&params);
    if (!params_known(req, reply, extra) || !params_read_query(req, reply, extra, &params)) return false;
    if (!live_read(req, reply, format, &params.live) || !page_limit_read(req, reply, format, &params.limit))
        return false;
    int err = filter_params_finish(&params, req->public_only, flume_head(req->server->flume));
    if (err != OK) {
        (void)filter_params_problem(reply, err);
        return false;
    }
    int64_t seen;
    if (last_event_read(req, format, &seen) && !params.range.reverse) {
        params.range.min = seen;
        params.above = true;
    }
    *ret_params = params;
    return true;
}

bool range_read(const struct api_request *req, struct api_reply *reply, int format, struct filter_params *ret_params)
{
    static const char *const bounds[] = { "gt", "gte", "lt", "lte", "reverse", NULL };
    struct filter_params params;
    filter_params_init(&params);
    for (size_t i = 0; bounds[i] != NULL; i++) {
        const struct slice *value = api_query(req, bounds[i]);
        if (value == NULL) continue;
        int err = filter_params_set(&params, (struct slice){ bounds[i], strlen(bounds[i]) }, *value);
        if (err == OK) continue;
        (void)filter_params_problem(reply, err);
        return false;
    }
    if (!live_read(req, reply, format, &params.live) || !page_limit_read(req, reply, format, &params.limit))
        return false;
    int err = filter_params_finish(&params, false, SEQ_EMPTY);
    if (err != OK) (void)filter_params_problem(reply, err);
    if (err == OK) *ret_params = params;
    return err == OK;
}
