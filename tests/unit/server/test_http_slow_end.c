/* A server that ends while an HTTP thread finds out that what it looks for takes long. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/http_internal.h"
#include "server/rows.h"
#include "tests/support/flume_kit.h"
#include "tests/support/http_kit.h"

static struct http_kit kit;
static atomic_bool looked_for, busy, over;

static bool is_set(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

/* To find its first row takes until the server ends, and longer. */
static int last_next(struct rows *rows, struct buf *out)
{
    (void)rows;
    (void)out;
    atomic_store(&looked_for, true);
    (void)kit_until(is_set, &kit.http->ending);
    return err_set(ERR_SLOW, "not here");
}

static int last_page(struct rows *rows, struct buf *out)
{
    (void)rows;
    (void)out;
    return OK;
}

static void last_free(struct rows *rows)
{
    free(rows);
    atomic_store(&over, true);
}

static const struct rows_ops last_ops = { .next = last_next, .next_page = last_page, .free = last_free };

static int handle_last(struct api_request *req, struct api_reply *reply)
{
    struct rows *rows = calloc(1, sizeof *rows);
    *rows = (struct rows){ .ops = &last_ops, .server = req->server, .limit = -1, .cursor = SEQ_EMPTY };
    return api_reply_rows(req, reply, rows);
}

static const struct api_route routes[] = {
    { API_GET, "/last", handle_last, "last", API_SCOPE_READ, false },
    { 0 },
};

/* The thread for queries is busy until the stream is over. */
static void other_work(void *ctx)
{
    (void)ctx;
    atomic_store(&busy, true);
    (void)kit_until(is_set, &over);
}

Test(http_slow, a_stream_that_turns_slow_when_the_server_ends_is_cut, .timeout = 300)
{
    struct job other = { .work = other_work };
    http_kit_config(&kit);
    kit.config.query_threads = 1;
    kit.stop_ms = 0;
    http_kit_start(&kit, routes);
    int fd = http_kit_connect(&kit);
    http_kit_send(fd, "GET /last HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n");
    cr_assert(kit_until(is_set, &looked_for));
    cr_assert(jobs_reserve(kit.http->jobs));
    jobs_add(kit.http->jobs, &other);
    cr_assert(kit_until(is_set, &busy));
    http_kit_stop(&kit);
    cr_expect(atomic_load(&over));
    (void)close(fd);
}
