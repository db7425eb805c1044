/* The owner of a followed log puts another one in its place while a request is answered. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "server/rows_views.h"
#include "store/err.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

#define MESSAGES 6

static char *dir;
static char path[SCRATCH_PATH];
static struct fake_disk *disk;
static struct kit_events events;
static struct flume *flume;
static struct config config = { .limit_max = 100, .query_timeout = 10, .wait_timeout = 10 };

static bool changed(void *ctx)
{
    return flume_log(flume) != ctx;
}

/* Each feed says something; the texts of the first log are longer, so that no place of a record in it is one in the other. */
static void log_write(int pad)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        char text[400], author[REF_TEXT_MAX + 1];
        (void)corpus_text(REF_FEED, i, author);
        (void)snprintf(
            text, sizeof text,
            "{\"key\":\"k\",\"value\":{\"author\":\"%s\",\"sequence\":1,\"content\":{\"type\":\"post\",\"text\":"
            "\"%*s\"}}}",
            author, pad, "");
        (void)fake_disk_write(disk, text);
    }
}

static void log_replace(void)
{
    struct log *old = flume_log(flume);
    fake_disk_replace(disk, false);
    log_write(1);
    (void)flume_head(flume);
    cr_assert(kit_until(changed, old));
}

/* ---- handlers in whose midst it happens ---- */

static int refuse(struct api_request *req, struct api_reply *reply)
{
    if (api_query(req, "replaced") != NULL) log_replace();
    return api_problem_err(reply, err_set(ERR_BOUNDARY, "no record starts at 7"));
}

static int list_feeds(struct api_request *req, struct api_reply *reply)
{
    const struct feeds_params params = { .limit = 50, .follow = FOLLOW_NONE };
    struct rows *rows = NULL;
    struct buf first;
    buf_init(&first, 65536);
    cr_assert_eq(rows_feeds_open(req->server, &params, &rows), OK);
    cr_assert_eq(rows_next(rows, &first), 1, "the list was read before");
    buf_free(&first);
    if (api_query(req, "replaced") != NULL) log_replace();
    return api_reply_rows(req, reply, rows);
}

static const struct api_route routes[] = {
    { API_GET, "/refused", refuse, "refused", API_SCOPE_READ, false },
    { API_POST, "/refused", refuse, "posted", API_SCOPE_APPEND, false },
    { API_GET, "/listed", list_feeds, "listed", API_SCOPE_READ, true },
    { 0 },
};

static struct server server = { .config = &config, .routes = routes };

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(true);
    scratch_path(dir, "log.offset", path);
    scratch_write(path, "", 0);
    log_write(50);
    struct flume_options options = kit_options(disk, dir, &events);
    options.follow_path = path;
    options.views = NULL;
    flume = server.flume = kit_open(&options);
    cr_assert_eq(kit_wait_head(flume, VIEW_MASK(feeds)), OK);
}

static void teardown(void)
{
    flume_close(flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(log_replaced, .init = setup, .fini = teardown, .timeout = 300);

static int ask(enum api_method method, const char *target, const char *accept, struct api_reply *ret_reply)
{
    struct api_request req = { .server = &server, .method = method, .target = { target, strlen(target) } };
    if (accept != NULL) req.accept = (struct slice){ accept, strlen(accept) };
    api_reply_init(ret_reply);
    cr_assert_eq(api_dispatch(&req, ret_reply), API_DONE);
    api_request_free(&req);
    return ret_reply->status;
}

static int status_of(enum api_method method, const char *target)
{
    struct api_reply reply;
    int status = ask(method, target, NULL, &reply);
    bool again = memmem(reply.body.data, reply.body.len, "/problems/not-ready", 19) != NULL;
    cr_assert_eq(again, status == 503);
    api_reply_free(&reply);
    return status;
}

/* The end of a page was taken from what the views knew of the one log, and looked for in the other: 400, that seq is no record. */
Test(log_replaced, a_read_that_was_refused_in_between_is_to_be_asked_again)
{
    cr_expect_eq(status_of(API_GET, "/refused"), 400);
    cr_expect_eq(status_of(API_GET, "/refused?replaced=1"), 503);
    cr_expect_eq(status_of(API_HEAD, "/refused?replaced=1"), 503);
    cr_expect_eq(status_of(API_GET, "/refused"), 400);
    cr_expect_eq(status_of(API_POST, "/refused?replaced=1"), 400, "who writes is told what became of it");
}

Test(log_replaced, a_page_is_made_from_one_log)
{
    cr_expect_eq(status_of(API_GET, "/listed"), 200);
    cr_expect_eq(status_of(API_GET, "/listed?replaced=1"), 503);
}

Test(log_replaced, a_stream_is_made_from_one_log)
{
    struct api_reply reply;
    struct buf out;
    buf_init(&out, 65536);
    cr_assert_eq(ask(API_GET, "/listed", "application/x-ndjson", &reply), 200);
    cr_assert_eq(rows_next(reply.stream, &out), 1);
    size_t given = out.len;
    log_replace();
    cr_expect_eq(rows_next(reply.stream, &out), ERR_CHANGED);
    cr_expect_eq(out.len, given);
    api_reply_free(&reply);
    buf_free(&out);
}
