#include "server/api_record.h"
#include "server/rows_log.h"
#include "server/reader.h"
#include "server/rows_views.h"
#include "server/text.h"
#include "views/view_feeds.h"
#include "views/view_names.h"

/* ---- /feeds ---- */

static bool feeds_read(const struct api_request *req, struct api_reply *reply, int format, struct feeds_params *params)
{
    struct ref above = { .kind = REF_NONE }, below = { .kind = REF_NONE };
    if (api_query(req, "skip") != NULL || api_query(req, "lte") != NULL)
        return api_problem(reply, "bad-parameter", NULL, "skip and lte: go with name only; gt goes on behind a feed"),
               false;
    if (!follow_read(req, reply, format, &params->follow) || !api_query_bool(req, reply, "reverse", &params->reverse) ||
        !api_query_ref(req, reply, "gt", "@", &above) || !api_query_ref(req, reply, "lt", "@", &below) ||
        !page_limit_read(req, reply, format, &params->limit))
        return false;
    params->from = params->reverse ? below : above;
    params->to = params->reverse ? above : below;
    return true;
}

static int feeds_by_name(struct api_request *req, struct api_reply *reply, const struct slice *name)
{
    static const char *const names[] = { "name", "lte", "skip", "limit", FOLLOW_PARAMS, API_FRESH_PARAMS, NULL };
    struct names_params params = { .name = *name, .upto = SEQ_MAX };
    struct folded_name folded;
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) ||
        !api_query_int(req, reply, "skip", 0, NAMES_FOUND_MAX, &params.skip) ||
        !api_query_int(req, reply, "lte", SEQ_EMPTY, SEQ_MAX, &params.upto) ||
        !page_limit_read(req, reply, format, &params.limit) || !follow_read(req, reply, format, &params.follow))
        return API_DONE;
    name_fold(*name, false, &folded);
    if (folded.len == 0) return api_problem(reply, "bad-parameter", NULL, "name: a letter is wanted");
    if (!api_fresh_now(req, reply, NAMES_VIEWS, &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, NAMES_VIEWS)))
        return API_DONE;
    int err = rows_names_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : filter_params_problem(reply, err);
}

int api_feeds_list(struct api_request *req, struct api_reply *reply)
{
    const struct slice *name = api_query(req, "name");
    if (name != NULL) return feeds_by_name(req, reply, name);
    static const char *const names[] = { "name",           "gt", "lt", "lte", "reverse", "limit", "skip", FOLLOW_PARAMS,
                                         API_FRESH_PARAMS, NULL };
    struct feeds_params params = { .reverse = false };
    struct rows *rows;
    int answer, format = api_format_of(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !feeds_read(req, reply, format, &params)) return API_DONE;
    if (!api_fresh_now(req, reply, VIEW_MASK(feeds), &answer)) return answer;
    if (!params.follow.live && api_not_modified(req, reply, views_since(req->server->flume, VIEW_MASK(feeds))))
        return API_DONE;
    int err = rows_feeds_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}

/* ---- /feeds/{id} ---- */

/* Sequences are numbers without gaps: an end that is left out is the next one. */
static void feed_include_ends(struct filter_params *range)
{
    if (range->above && range->range.min < SEQ_MAX) range->range.min++;
    if (range->below) range->range.max--;
    range->above = range->below = false;
    if (range->range.min < 0) range->range.min = 0;
}

/* The newest record of the feed in the log up to `seq`: 1 and its place, 0 = there is none, <0 error. */
static int feed_newest(const struct flume_read *read, const struct ref *author, int64_t seq,
                       struct feed_entry *ret_entry)
{
    struct log_range range = { .min = 0, .max = seq, .reverse = true };
    struct filter filter = { 0 };
    struct query query;
    struct log_record record;
    struct message message;
    int err = filter_set_ref(&filter, "author", author);
    if (err == OK) err = query_open(read->flume, &filter, &range, &query);
    if (err != OK) return err;
    query_patience(&query, read);
    message_init(&message);
    int got = query_next(&query, read->flume, &ret_entry->seq, 1);
    if (got == 1) got = log_get(read->log, ret_entry->seq, &record) == OK;
    if (got == 1) {
        err = message_scan(&message, record.value.data, record.value.len);
        ret_entry->sequence = message.sequence;
        got = err != OK ? err : message.has_sequence;
    }
    message_free(&message);
    return got;
}

/* The client has what the log held of the feed up to a seq, most often that of the last record it was given: go on behind it. */
static int feed_resume(const struct flume_read *read, int64_t seen, struct feed_params *params)
{
    struct feed_entry entry, newest = { 0 };
    int found = feed_newest(read, &params->author, seen, &newest);
    if (found != 1) return found;
    const int64_t sequence = newest.sequence, seq = newest.seq;
    params->range.range.min = sequence;
    for (params->skip = 0;; params->skip++) {
        int got = feeds_range(read, &params->author, sequence, (size_t)params->skip, false, &entry, 1);
        if (got < 0) return got;
        if (got == 0 || entry.sequence != sequence) return OK;
        if (entry.seq == seq) break;
    }
    params->skip++;
    return OK;
}

static bool feed_read(const struct api_request *req, struct api_reply *reply, int format, struct feed_params *params)
{
    if (!range_read(req, reply, format, &params->range) ||
        !api_query_int(req, reply, "skip", 0, SEQ_MAX, &params->skip))
        return false;
    feed_include_ends(&params->range);
    params->hide_private = req->public_only;
    return true;
}

/* Is there such a feed, and where does a client that comes back go on? OK, ERR_NOTFOUND, ERR_ARG … */
static int feed_place(struct api_request *req, int format, struct feed_params *params)
{
    struct flume_read read;
    struct feed_latest latest;
    int64_t seen;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return err;
    err = feeds_latest(&read, &params->author, &latest);
    if (err == ERR_NOTFOUND && params->range.live) err = OK;
    if (err == OK && last_event_read(req, format, &seen) && seen >= 0 && !params->range.range.reverse)
        err = feed_resume(&read, seen, params);
    flume_read_end(&read);
    return err;
}

int api_feed_list(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { "gt",      "gte",   "lt",   "lte",         "skip",
                                         "reverse", "limit", "live", READER_PARAMS, API_FRESH_PARAMS,
                                         NULL };
    struct feed_params params = { .skip = 0 };
    struct rows *rows = NULL;
    int answer, format = reader_format(req, reply);
    if (format < 0 || !api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "@", &params.author))
        return API_DONE;
    const struct reader_source source = { .kind = READER_FEED, .id = params.author };
    if (format >= API_ATOM) return reader_answer(req, reply, format, &source);
    if (!feed_read(req, reply, format, &params)) return API_DONE;
    if (!api_fresh_now(req, reply, VIEW_MASK(feeds), &answer)) return answer;
    int64_t since = views_since(req->server->flume, VIEW_MASK(feeds));
    int err = feed_place(req, format, &params);
    if (err == ERR_NOTFOUND) {
        api_since_put(req, reply, since);
        return api_problem(reply, "not-found", NULL, "no message of that feed is in the log");
    }
    if (err != OK) return filter_params_problem(reply, err);
    if (!params.range.live && api_not_modified(req, reply, since)) return API_DONE;
    err = rows_feed_open(req->server, &params, &rows);
    return err == OK ? api_reply_rows(req, reply, rows) : api_problem_err(reply, err);
}

/* ---- /feeds/{id}/{sequence} ---- */

int api_feed_get(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { API_FRESH_PARAMS, NULL };
    struct flume_read read;
    struct log_record record;
    struct ref author;
    int64_t sequence;
    int answer;
    if (!api_query_only(req, reply, names) || !api_path_ref(req, reply, 0, "@", &author)) return API_DONE;
    if (!text_int(req->path_params[1].value, 0, SEQ_MAX, &sequence))
        return api_problem(reply, "bad-parameter", NULL, "sequence: a whole number from 1 to 2^53-1 is wanted");
    if (!api_fresh_now(req, reply, VIEW_MASK(feeds), &answer)) return answer;
    int err = api_read_begin(req->server, &read);
    if (err != OK) return api_problem_err(reply, err);
    int64_t since = flume_read_since(&read, flume_view(read.flume, VIEW_feeds));
    err = feeds_get(&read, &author, sequence, &record);
    flume_read_end(&read);
    if (err == ERR_NOTFOUND || (err == OK && api_record_hidden(req, &record))) {
        api_since_put(req, reply, since);
        return api_problem(reply, "not-found", NULL, "message %lld of that feed is not in the log",
                           (long long)sequence);
    }
    if (err != OK) return api_problem_err(reply, err);
    return api_not_modified(req, reply, since) ? API_DONE : api_record(req, reply, read.log, &record);
}
