/* The parameters of a list as a query text: read as GET /log and WS /live read them, and answered from the views. What is answered is
 * what a loop over all records with the live filter gives; the bounds, their errors, both directions, the limit and what the public
 * may see included. Numbers are read as the C library reads them. Run with tests/fuzz/corpus/query. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/near_params.h"
#include "server/rows_log.h"
#include "server/text.h"
#include "tests/support/stock.h"
#include "views/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool right, const char *what)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_query: %s (%s)\n", what, err_detail(OK));
    abort();
}

/* ---- reading ---- */

static struct filter_params read_params;
static int read_err;

/* strtoll with the spellings left out that text_int does not take. */
static void check_number(struct slice text)
{
    char copy[32], *end;
    int64_t got = 0;
    bool taken = text_int(text, -1000, SEQ_MAX, &got);
    if (text.len == 0 || text.len >= sizeof copy) {
        must(!taken, "a number of no or too many digits");
        return;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    size_t minus = copy[0] == '-' ? 1 : 0;
    errno = 0;
    long long n = strtoll(copy, &end, 10);
    bool plain = copy[minus] >= '0' && copy[minus] <= '9' && (copy[minus] != '0' || (copy[1] == '\0')) && errno == 0 &&
                 end == copy + text.len && n >= -1000 && n <= SEQ_MAX;
    must(plain == taken && (!taken || n == got), "a number is read otherwise");
}

static int read_query(struct api_request *req, struct api_reply *reply)
{
    (void)reply;
    read_err = OK;
    for (size_t i = 0; i < req->query_count && read_err == OK; i++) {
        check_number(req->query[i].value);
        read_err = filter_params_set(&read_params, req->query[i].name, req->query[i].value);
    }
    return API_DONE;
}

static const struct api_route routes[] = { { API_GET, "/q", read_query, "q", 0, false }, { 0 } };

/* false = there is nothing to ask for. */
static bool read_text(struct stock *stock, const uint8_t *data, size_t size, bool public_only)
{
    char target[4096] = "/q?";
    struct server only = { .config = &stock->config, .flume = stock->server.flume, .routes = routes };
    struct api_reply reply;
    memcpy(target + 3, data, size);
    struct api_request req = { .server = &only, .method = API_GET, .target = { target, 3 + size } };
    api_reply_init(&reply);
    filter_params_init(&read_params);
    (void)api_dispatch(&req, &reply);
    bool good = reply.status == 200 && read_err == OK;
    if (reply.status == 200)
        must(read_err == OK || read_err == ERR_ARG || read_err == ERR_REF || read_err == ERR_NOTFOUND, "an odd error");
    if (good) {
        int err = filter_params_finish(&read_params, public_only, flume_head(stock->server.flume));
        must(err == OK || err == ERR_ARG || err == ERR_PERM, "an odd error at the end");
        good = err == OK;
    }
    api_reply_free(&reply);
    api_request_free(&req);
    return good;
}

/* ---- what the answer has to be ---- */

static bool is_record(const struct stock *stock, int64_t seq)
{
    for (size_t i = 0; i < stock->corpus.count; i++)
        if (stock->corpus.records[i].seq == seq) return true;
    return false;
}

static int expected_err(const struct stock *stock)
{
    const struct log_range *range = &read_params.range;
    int64_t since = log_since(flume_log(stock->served.flume)), min = range->min < 0 ? 0 : range->min, max = range->max;
    if (!read_params.live && max > since) max = since;
    if (max < min) return OK;
    if (min <= since && !is_record(stock, min)) return ERR_BOUNDARY;
    return max <= since && !is_record(stock, max) ? ERR_BOUNDARY : OK;
}

static struct near *near; /* authors within the hops that were asked for; NULL = all */

static void near_read(struct stock *stock)
{
    struct graph_walk *walk = NULL;
    near = NULL;
    if (!near_params_given(&read_params.near)) return;
    must(near_open(&stock->server, &read_params.near, 60000, &walk, &near) == OK, "a walk that does not end");
    graph_close(walk);
}

static bool wanted(const struct stock *stock, size_t i)
{
    const struct log_range *range = &read_params.range;
    int64_t seq = stock->corpus.records[i].seq;
    if (seq < range->min || seq > range->max || stock->deleted[i]) return false;
    if ((read_params.above && seq == range->min) || (read_params.below && seq == range->max)) return false;
    if (near != NULL && !near_has(near, &stock->corpus.messages[i].author_ref)) return false;
    return filter_match(&read_params.filter, &stock->corpus.messages[i]);
}

static void check_rows(const struct stock *stock, struct rows *rows, bool public_only)
{
    struct buf out;
    size_t count = stock->corpus.count;
    int64_t left = read_params.limit;
    buf_init(&out, (size_t)1 << 22);
    for (size_t n = 0; n < count && left != 0; n++) {
        size_t i = read_params.range.reverse ? count - 1 - n : n;
        if (!wanted(stock, i)) continue;
        must(!public_only || !stock->corpus.messages[i].is_private, "an encrypted message for the public");
        buf_reset(&out);
        must(rows_next(rows, &out) == 1, "a record is missing");
        must(rows->cursor == stock->corpus.records[i].seq, "another record than a loop gives");
        must(json_valid((struct slice){ out.data, out.len }), "a row that is no JSON");
        if (left > 0) left--;
    }
    must(rows_next(rows, &out) == 0, "a record more than a loop gives");
    if (!read_params.live) must(rows->ended, "an answer without an end");
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4000) return 0;
    struct stock *stock = stock_open();
    bool public_only = data[0] % 2 == 1;
    if (!read_text(stock, data + 1, size - 1, public_only)) return 0;
    struct rows *rows = NULL;
    int err = rows_log_open_params(&stock->server, &read_params, &rows);
    must(err == expected_err(stock), "a bound is judged otherwise");
    if (err != OK) return 0;
    near_read(stock);
    check_rows(stock, rows, public_only);
    near_close(&stock->server, near);
    rows_free(rows);
    return 0;
}
