/* What an answer is worth: waiting until views are fresh, telling the client what it has already, and the format it
 * wants. */
#include <string.h>
#include <strings.h>

#include "server/api.h"
#include "server/embed.h"
#include "server/patience.h"
#include "server/text.h"

/* ---- freshness ---- */

static void fresh_ready(void *ctx, int err)
{
    struct api_request *req = ctx;
    req->wait_err = err;
    req->resume(req->resume_ctx);
}

int64_t api_head(struct api_request *req)
{
    struct flume *flume = req->server->flume;
    if (req->looked) return log_durable(flume_log(flume));
    req->looked = true;
    return flume_head(flume);
}

/* false = the reply is made. Leaves fresh_seq at what has to be reached, SEQ_EMPTY for nothing. */
static bool fresh_wanted(struct api_request *req, struct api_reply *reply)
{
    if (req->fresh_seq != SEQ_EMPTY) return true;
    int64_t after = SEQ_EMPTY;
    if (!api_query_int(req, reply, "after", 0, SEQ_MAX, &after)) return false;
    const struct slice *stale = api_query(req, "stale");
    if (stale != NULL && (stale->len != 2 || memcmp(stale->data, "ok", 2) != 0)) {
        (void)api_problem(reply, "bad-parameter", NULL, "stale: only \"ok\" is a value of it");
        return false;
    }
    if (stale != NULL && after != SEQ_EMPTY) {
        (void)api_problem(reply, "bad-parameter", NULL, "after and stale=ok contradict each other: give one of them");
        return false;
    }
    if (stale == NULL) req->fresh_seq = after != SEQ_EMPTY ? after : api_head(req);
    return true;
}

static const char *fresh_why(int err)
{
    switch (err) {
    case ERR_CLOSED: return "the server is closing";
    case ERR_TIMEOUT: return "the views have not reached it in time";
    default: return err_detail(err); /* they cannot be written: what they say already is there to be read */
    }
}

static int fresh_late(struct api_request *req, struct api_reply *reply, int err)
{
    if (err == ERR_QUEUE) {
        (void)api_problem_err(reply, err);
        return -1;
    }
    (void)api_header_add(reply, "Retry-After", "1");
    (void)api_problem(reply, "not-ready", NULL, "seq %lld: %s; ask again, see /views, or say stale=ok",
                      (long long)req->fresh_seq, fresh_why(err));
    return -1;
}

int api_fresh(struct api_request *req, struct api_reply *reply, uint32_t views)
{
    req->fresh_ticket = 0;
    if (req->wait_err != OK) return fresh_late(req, reply, req->wait_err);
    if (!fresh_wanted(req, reply)) return -1;
    if (req->fresh_seq == SEQ_EMPTY) return API_DONE;
    if (views == 0) {
        if (req->fresh_seq <= api_head(req)) return API_DONE;
        /* No view is asked, but the log has to reach the seq: the view that every log has is as good a bell as any. */
        views = VIEW_MASK(messages);
    }
    int64_t deadline = req->arrived_ms + req->server->config->wait_timeout * 1000;
    int ready = flume_wait(req->server->flume, views, req->fresh_seq, deadline, fresh_ready, req, &req->fresh_ticket);
    if (ready < 0) return fresh_late(req, reply, ready);
    return ready == 1 ? API_DONE : API_WAIT;
}

bool api_fresh_cancel(struct api_request *req)
{
    if (req->wait_cancel != NULL) return req->wait_cancel(req);
    if (req->fresh_ticket == 0 || !flume_wait_cancel(req->server->flume, req->fresh_ticket)) return false;
    req->wait_err = ERR_CLOSED;
    return true;
}

int api_read_begin(const struct server *server, struct flume_read *ret_read)
{
    int err = flume_read_begin(server->flume, ret_read);
    if (err == OK) ret_read->deadline_ms = flume_now_ms() + patience_of_query(server);
    return err;
}

/* ---- conditional requests ---- */

/* Weak comparison (RFC 9110 8.8.3.2) of our tag's opaque part with a list of tags. */
static bool etag_listed(struct slice list, const char *tag)
{
    if (list.len == 1 && list.data[0] == '*') return true;
    size_t len = strlen(tag);
    const char *at = list.data;
    for (size_t left = list.len; left >= len;) {
        const char *hit = memmem(at, left, tag, len);
        if (hit == NULL) return false;
        const char *end = hit + len;
        if (end == list.data + list.len || *end == ',' || *end == ' ') return true;
        left -= (size_t)(end - at);
        at = end;
    }
    return false;
}

/* The state that an answer was made from, mixed with what was asked. */
static uint64_t tag_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint64_t tag_mix_text(uint64_t hash, struct slice text)
{
    size_t at = 0;
    for (; at + 8 <= text.len; at += 8) {
        uint64_t word;
        memcpy(&word, text.data + at, 8);
        hash = tag_mix(hash, word);
    }
    uint64_t rest = 0;
    if (at < text.len) memcpy(&rest, text.data + at, text.len - at);
    return tag_mix(tag_mix(hash, rest), text.len);
}

#define TAG_LEN 20 /* W/"16 digits" */

static void tag_print(uint64_t hash, char out[TAG_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "W/\"", 3);
    for (int i = 0; i < 16; i++)
        out[3 + i] = digits[hash >> (60 - 4 * i) & 15];
    memcpy(out + TAG_LEN - 1, "\"", 2);
}

static void header_put_int(struct api_reply *reply, const char *name, int64_t n)
{
    char text[TEXT_INT_MAX];
    (void)api_header_put(reply, name, text_of_int(n, text));
}

uint64_t api_tag_seed(void)
{
    return tag_mix_text(0, (struct slice){ embed_openapi_yaml, embed_openapi_yaml_len });
}

uint64_t api_tag_of_log(const struct api_request *req)
{
    return log_identity(flume_log(req->server->flume)) ^ req->server->tag_seed;
}

void api_since_put(struct api_request *req, struct api_reply *reply, int64_t since)
{
    header_put_int(reply, "Sluice-Since", since);
    header_put_int(reply, "Sluice-Log-Since", api_head(req));
}

bool api_not_modified_of(struct api_request *req, struct api_reply *reply, int64_t since, uint64_t state)
{
    uint64_t hash = tag_mix(api_tag_of_log(req), state);
    hash = tag_mix(hash, req->public_only);
    hash = tag_mix_text(tag_mix_text(hash, req->accept), req->target);
    char tag[TAG_LEN + 1];
    tag_print(hash, tag);

    api_since_put(req, reply, since);
    (void)api_header_put(reply, "ETag", (struct slice){ tag, TAG_LEN });
    if (req->if_none_match.data == NULL || !etag_listed(req->if_none_match, tag + 2)) return false;
    reply->status = 304;
    buf_reset(&reply->body);
    return true;
}

bool api_not_modified(struct api_request *req, struct api_reply *reply, int64_t since)
{
    return api_not_modified_of(req, reply, since, tag_mix(tag_mix(0, (uint64_t)since), (uint64_t)api_head(req)));
}

/* ---- formats ---- */

struct accepted {
    int quality;   /* thousandths; -1 = not named */
    int exactness; /* 2 = the type by name, 1 = its family, 0 = anything */
};

static const struct {
    const char *type;
    enum api_format format;
} media_types[] = {
    { "application/json", API_JSON },     { "application/x-ndjson", API_NDJSON },
    { "application/ndjson", API_NDJSON }, { "application/jsonl", API_NDJSON },
    { "text/event-stream", API_SSE },     { "application/atom+xml", API_ATOM },
    { "application/rss+xml", API_RSS },   { "application/feed+json", API_JSON_FEED },
};
#define FORMATS (API_JSON_FEED + 1)

static struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts off what stands before the next `separator`; false at the end. */
static bool slice_cut(struct slice *rest, char separator, struct slice *ret_part)
{
    if (rest->data == NULL) return false;
    const char *end = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
    size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
    *ret_part = slice_trim((struct slice){ rest->data, len });
    *rest = end == NULL ? (struct slice){ NULL, 0 } : (struct slice){ end + 1, rest->len - len - 1 };
    return true;
}

/* q=0.5 -> 500; 1000 if it is absent, 0 if it makes no sense. */
static int quality_of(struct slice parameters)
{
    struct slice part;
    while (slice_cut(&parameters, ';', &part)) {
        if (part.len < 2 || (part.data[0] | 32) != 'q' || part.data[1] != '=') continue;
        const char *text = part.data + 2;
        size_t len = part.len - 2;
        if (len == 0 || len > 5 || (text[0] != '0' && text[0] != '1') || (len > 1 && text[1] != '.')) return 0;
        int quality = (text[0] - '0') * 1000;
        for (size_t i = 2, unit = 100; i < len; i++, unit /= 10) {
            if (text[i] < '0' || text[i] > '9') return 0;
            quality += (text[i] - '0') * (int)unit;
        }
        return quality > 1000 ? 1000 : quality;
    }
    return 1000;
}

static bool slice_same(struct slice a, const char *b, size_t len)
{
    return a.len == len && strncasecmp(a.data, b, len) == 0;
}

static void accept_range(struct slice range, int quality, struct accepted accepted[FORMATS])
{
    for (size_t i = 0; i < sizeof media_types / sizeof *media_types; i++) {
        const char *type = media_types[i].type;
        size_t family = (size_t)(strchr(type, '/') - type) + 1;
        int exactness =
            slice_same(range, type, strlen(type))                                                                ? 2
            : range.len == family + 1 && range.data[family] == '*' && strncasecmp(range.data, type, family) == 0 ? 1
            : slice_same(range, "*/*", 3)                                                                        ? 0
                                                                                                                 : -1;
        struct accepted *seen = &accepted[media_types[i].format];
        if (exactness > seen->exactness || (exactness == seen->exactness && exactness >= 0 && quality > seen->quality))
            *seen = (struct accepted){ quality, exactness };
    }
}

/* The best of the formats up to `last`; of equal ones the first. */
static int format_best(const struct api_request *req, int last)
{
    struct accepted accepted[FORMATS];
    for (int format = 0; format < FORMATS; format++)
        accepted[format] = (struct accepted){ -1, -1 };
    struct slice rest = req->accept, range, type;
    while (slice_cut(&rest, ',', &range)) {
        if (slice_cut(&range, ';', &type)) accept_range(type, quality_of(range), accepted);
    }
    int best = -1;
    for (int format = API_JSON; format <= last; format++) {
        const struct accepted *a = &accepted[format];
        if (a->quality <= 0) continue;
        if (best < 0 || a->quality > accepted[best].quality ||
            (a->quality == accepted[best].quality && a->exactness > accepted[best].exactness))
            best = format;
    }
    return best;
}

/* Every answer of a route that has several formats depends on what was asked for: a 304 and a problem, too. Handlers ask more than once. */
static void vary_by_accept(struct api_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, "Vary") == 0 && strcmp(reply->headers[i].value, "Accept") == 0) return;
    (void)api_header_put(reply, "Vary", SLICE_LITERAL("Accept"));
}

static int format_of(const struct api_request *req, struct api_reply *reply, int last, const char *more)
{
    vary_by_accept(reply);
    if (req->accept.data == NULL || req->accept.len == 0) return API_JSON;
    int best = format_best(req, last);
    if (best < 0)
        (void)api_problem(reply, "not-acceptable", NULL,
                          "Accept: %.*s: application/json, application/x-ndjson%s and text/event-stream can be had",
                          req->accept.len < 200 ? (int)req->accept.len : 200, req->accept.data, more);
    return best;
}

int api_format_of(const struct api_request *req, struct api_reply *reply)
{
    return format_of(req, reply, API_SSE, "");
}

int api_format_wide(const struct api_request *req, struct api_reply *reply)
{
    return format_of(req, reply, API_JSON_FEED, ", application/atom+xml, application/rss+xml, application/feed+json");
}
