#include "server/rows.h"

#include <stdio.h>
#include <string.h>

#include "server/ids.h"
#include "server/limits.h"
#include "server/patience.h"
#include "server/step_back.h"
#include "server/text.h"

#define PAGE_ROWS_DEFAULT 50

/* A page ends early when it holds LIMIT_PAGE_BYTES, so that limit=1000 over huge records is a bounded answer, too, and when
 * the time for a query is over, which is looked at every so many rows: `next` goes on. */
#define PAGE_ROWS_PER_LOOK 64

int rows_next(struct rows *rows, struct buf *out)
{
    if (rows->ended) return 0;
    if (rows->limit == 0) {
        rows->ended = true;
        return 0;
    }
    step_let();
    size_t start = out->len;
    int got = rows->ops->next(rows, out);
    if (rows->log != NULL && flume_log(rows->server->flume) != rows->log) {
        out->len = start;
        return err_set(ERR_CHANGED, "the log was replaced by its owner: read again from the start");
    }
    if (got == 1 && rows->uri_ids && ids_to_uris(out, start) != OK) got = out->err;
    if (got == 1 && rows->limit > 0 && --rows->limit == 0) rows->ended = true;
    return got;
}

void rows_free(struct rows *rows)
{
    if (rows == NULL) return;
    if (rows->watched) flume_watch(rows->server->flume, rows->views, false);
    rows->ops->free(rows);
}

void rows_watch(struct rows *rows)
{
    rows->watched = rows->views != 0;
    if (rows->watched) flume_watch(rows->server->flume, rows->views, true);
}

/* ---- frames ---- */

/* The id of an event is known only when its row is there: it is put in front afterwards. */
static int event_head(struct buf *out, size_t at, int64_t cursor)
{
    char head[64];
    int len = cursor == SEQ_EMPTY ? snprintf(head, sizeof head, "data: ")
                                  : snprintf(head, sizeof head, "id: %lld\ndata: ", (long long)cursor);
    size_t head_len = (size_t)len;
    int err = buf_reserve(out, head_len);
    if (err != OK) return err;
    memmove(out->data + at + head_len, out->data + at, out->len - at);
    memcpy(out->data + at, head, head_len);
    out->len += head_len;
    return OK;
}

int rows_next_framed(struct rows *rows, enum api_format format, struct buf *out)
{
    size_t at = out->len;
    int got = rows_next(rows, out);
    if (got == 1) {
        if (format == API_SSE) (void)event_head(out, at, rows->cursor);
        buf_puts(out, format == API_SSE ? "\n\n" : "\n");
        if (out->err != OK) got = err_set(out->err, "a row of the stream is too large");
    }
    /* what a failed row left behind is not for the client */
    if (got != 1) {
        out->len = at;
        out->err = OK;
    }
    return got;
}

void rows_copy_framed(struct rows *rows, enum api_format format, struct buf *out)
{
    if (rows->ops->copy == NULL || format != API_NDJSON || rows->limit >= 0 || rows->uri_ids || rows->ended) return;
    rows->ops->copy(rows, out);
}

int rows_error_framed(int err, enum api_format format, struct buf *out)
{
    struct api_reply reply;
    api_reply_init(&reply);
    (void)api_problem_err(&reply, err);
    buf_puts(out, format == API_SSE ? "event: error\ndata: " : "{\"error\":");
    buf_append(out, reply.body.data, reply.body.len);
    buf_puts(out, format == API_SSE ? "\n\n" : "}\n");
    api_reply_free(&reply);
    return out->err;
}

/* ---- the URL of the next page ---- */

static bool url_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~/:@%", c) != NULL;
}

/* The path as it was sent, but as a URL: an unescaped id is escaped, and so is what has no place in a URL. */
static void url_put_path(struct buf *out, struct slice path)
{
    for (size_t at = 0; at < path.len;) {
        size_t id_len = ref_prefix(path.data + at, path.len - at);
        if (id_len > 0) {
            text_put_query(out, (struct slice){ path.data + at, id_len });
            at += id_len;
            continue;
        }
        if (path.data[at] != '\0' && url_char(path.data[at]))
            buf_putc(out, path.data[at]);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)path.data[at]);
        at++;
    }
}

/* Is `name` a parameter of the query text `cursor`, or one of those that say where a page starts? */
static bool cursor_names(struct slice cursor, struct slice name)
{
    static const char *const places[] = { "gt", "gte", "lt", "lte" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (text_is(name, places[i])) return true;
    for (size_t at = 0; at < cursor.len;) {
        const char *end = memchr(cursor.data + at, '&', cursor.len - at);
        size_t len = end == NULL ? cursor.len - at : (size_t)(end - (cursor.data + at));
        if (len > name.len && memcmp(cursor.data + at, name.data, name.len) == 0 && cursor.data[at + name.len] == '=')
            return true;
        at += len + 1;
    }
    return false;
}

static void url_put(struct buf *out, const struct api_request *req, struct slice cursor)
{
    url_put_path(out, req->path);
    char separator = '?';
    for (size_t i = 0; i < req->query_count; i++) {
        if (cursor_names(cursor, req->query[i].name)) continue;
        buf_putc(out, separator);
        text_put_query(out, req->query[i].name);
        buf_putc(out, '=');
        text_put_query(out, req->query[i].value);
        separator = '&';
    }
    buf_putc(out, separator);
    buf_append(out, cursor.data, cursor.len);
}

/* ---- pages ---- */

/* false = the reply is made. */
static bool page_limit(const struct api_request *req, struct api_reply *reply, struct rows *rows)
{
    int64_t max = req->server->config->limit_max;
    if (rows->limit > max) {
        (void)api_problem(
            reply, "bad-parameter", NULL,
            "limit=%lld: a JSON page has at most %lld rows; NDJSON (Accept: application/x-ndjson) has no limit",
            (long long)rows->limit, (long long)max);
        return false;
    }
    if (rows->live) {
        (void)api_problem(reply, "bad-parameter", NULL,
                          "live=true needs a stream: say Accept: application/x-ndjson or text/event-stream");
        return false;
    }
    if (rows->limit < 0) rows->limit = max < PAGE_ROWS_DEFAULT ? max : PAGE_ROWS_DEFAULT;
    return true;
}

/* Both from `<URL`. */
static void next_put(struct api_reply *reply, struct buf *url)
{
    size_t len = url->len - 1;
    buf_puts(&reply->body, ",\"next\":");
    buf_put_json(&reply->body, url->data + 1, len);
    if (len <= LIMIT_LINK_BYTES && buf_puts(url, ">; rel=\"next\"") == OK)
        (void)api_header_put(reply, "Link", (struct slice){ url->data, url->len });
}

/* Appends ,"next":… and makes the Link header, if there is one more row than the page holds. */
static int page_next(const struct api_request *req, struct api_reply *reply, struct rows *rows)
{
    struct buf cursor, url;
    buf_init(&cursor, 4096);
    buf_init(&url, 512 << 10);
    int got = rows->ops->next_page(rows, &cursor);
    if (got >= 0) {
        size_t end = reply->body.len;
        rows->ended = false;
        got = rows->ops->next(rows, &reply->body);
        reply->body.len = end;
        if (got == ERR_SLOW && !patience_limited()) got = 1; /* there may be one: whoever asks goes on looking */
    }
    if (got == 1) {
        buf_putc(&url, '<');
        url_put(&url, req, (struct slice){ cursor.data, cursor.len });
        got = url.err != OK ? url.err : cursor.err;
    } else if (got == 0) {
        buf_reset(&url);
    }
    if (got >= 0 && url.len > 0)
        next_put(reply, &url);
    else
        buf_puts(&reply->body, ",\"next\":null");
    buf_free(&cursor);
    buf_free(&url);
    return got < 0 ? got : OK;
}

static int page_collect(const struct api_request *req, struct api_reply *reply, struct rows *rows)
{
    struct buf *body = &reply->body;
    bool wanted = rows->limit > 0, full = false;
    size_t count = 0;
    int64_t deadline = flume_now_ms() + patience_of_query(req->server);
    int got = 0;
    buf_putc(body, '{');
    int err = rows->ops->head != NULL ? rows->ops->head(rows, body) : OK;
    if (err != OK) return err;
    buf_putc(body, '"');
    buf_puts(body, rows->member);
    buf_puts(body, "\":[");
    do {
        size_t mark = body->len;
        if (count > 0) buf_putc(body, ',');
        got = rows_next(rows, body);
        if (got < 0 && (got != ERR_SLOW || count == 0 || patience_limited())) return got;
        if (got != 1) body->len = mark;
        if (body->err != OK) return err_set(body->err, "the page is too large: ask for fewer rows");
        count += got == 1;
        full = got == ERR_SLOW || (got == 1 && (rows->limit == 0 || body->len >= LIMIT_PAGE_BYTES));
        if (full || got != 1 || count % PAGE_ROWS_PER_LOOK != 0 || flume_now_ms() < deadline) continue;
        if (patience_limited()) return err_set(ERR_SLOW, "the page takes longer than others can wait for it");
        full = true;
    } while (got == 1 && !full);
    buf_puts(body, "],\"since\":");
    buf_put_int(body, rows->since);
    if (wanted && full)
        err = page_next(req, reply, rows);
    else
        buf_puts(body, ",\"next\":null");
    buf_putc(body, '}');
    if (err == OK && reply->uri_ids) err = ids_to_uris(body, 0);
    return err == OK ? body->err : err;
}

int api_reply_rows(struct api_request *req, struct api_reply *reply, struct rows *rows)
{
    int format = api_format_of(req, reply);
    rows->log = req->log;
    if (format < 0 || (format == API_JSON && !page_limit(req, reply, rows))) {
        rows_free(rows);
        return API_DONE;
    }
    reply->format = (enum api_format)format;
    if (format != API_JSON) {
        reply->content_type = format == API_SSE ? "text/event-stream" : "application/x-ndjson";
        reply->stream = rows;
        rows->uri_ids = reply->uri_ids;
        if (rows->live) rows_watch(rows);
        return API_DONE;
    }
    reply->long_page = !patience_for_page(rows->limit);
    int err = reply->long_page ? err_set(ERR_SLOW, "others would wait for a page of so many rows")
                               : page_collect(req, reply, rows);
    rows_free(rows);
    return err == OK ? API_DONE : api_problem_err(reply, err);
}
