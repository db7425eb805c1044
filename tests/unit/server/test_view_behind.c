/* What readers get while a view is behind the log: a view that is held back for as long as a test looks. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "server/live.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

#define POST "{\"key\":\"%1\",\"value\":{\"content\":{\"type\":\"post\"}},\"timestamp\":1}"

extern const struct view_ops view_types_ops;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER, resumed = PTHREAD_COND_INITIALIZER;
static bool held, was_resumed;

static int held_gather(struct view_batch *batch, const struct view_record *record)
{
    (void)batch;
    (void)record;
    (void)pthread_mutex_lock(&lock);
    while (held)
        (void)pthread_cond_wait(&opened, &lock);
    (void)pthread_mutex_unlock(&lock);
    return OK;
}

static void hold(bool on)
{
    (void)pthread_mutex_lock(&lock);
    held = on;
    (void)pthread_cond_broadcast(&opened);
    (void)pthread_mutex_unlock(&lock);
}

static char *dir;
static struct fake_disk *disk;
static struct config config;
static struct server server;
static struct view_ops held_types;
static const struct view_ops *views[] = { &held_types, NULL };

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
    held_types = view_types_ops;
    held_types.gather = held_gather;
    struct flume_options options = kit_options(disk, dir, NULL);
    options.views = views;
    config = (struct config){ .wait_timeout = 60, .query_timeout = 60, .limit_max = 100, .subscriptions_max = 4 };
    server = (struct server){ .config = &config, .flume = kit_open(&options), .owned = true };
    hold(true);
}

static void teardown(void)
{
    hold(false);
    flume_close(server.flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(view_behind, .init = setup, .fini = teardown, .timeout = 300);

static void append(const char *text)
{
    cr_assert_eq(kit_append_text(server.flume, text, false, NULL), OK);
}

static void frame(struct live *live, const char *expected)
{
    struct buf out;
    buf_init(&out, 4096);
    cr_expect_eq(live_next(live, &out), 1);
    cr_expect(out.len == strlen(expected) && memcmp(out.data, expected, out.len) == 0, "%.*s instead of %s",
              (int)out.len, out.data, expected);
    buf_free(&out);
}

Test(view_behind, a_socket_is_not_in_sync_before_the_view_is)
{
    static const char target[] = "/live?type=post";
    struct live *live = NULL;
    struct buf out;
    append(POST);
    cr_assert_eq(live_open(&server, (struct slice){ target, sizeof target - 1 }, false, NULL, &live), OK);
    buf_init(&out, 4096);
    cr_expect_eq(live_next(live, &out), 0, "%.*s", (int)out.len, out.data);
    buf_free(&out);
    hold(false);
    cr_assert_eq(kit_wait_head(server.flume, VIEW_MASK(types)), OK);
    cr_expect(live_wake(live));
    frame(live, "{\"seq\":0,\"key\":\"%1\",\"value\":{\"content\":{\"type\":\"post\"}},\"timestamp\":1}");
    frame(live, "{\"sync\":true,\"since\":0}");
    live_free(live);
}

static void resume(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    was_resumed = true;
    (void)pthread_cond_signal(&resumed);
    (void)pthread_mutex_unlock(&lock);
}

static struct api_request ask(const char *target)
{
    return (struct api_request){ .server = &server,
                                 .method = API_GET,
                                 .target = { target, strlen(target) },
                                 .arrived_ms = flume_now_ms(),
                                 .fresh_seq = SEQ_EMPTY,
                                 .resume = resume };
}

Test(view_behind, an_answer_waits_for_what_was_appended_before_it)
{
    append(POST);
    struct api_request req = ask("/types");
    struct api_reply reply;
    api_reply_init(&reply);
    cr_assert_eq(api_dispatch(&req, &reply), API_WAIT);
    hold(false);
    (void)pthread_mutex_lock(&lock);
    while (!was_resumed)
        (void)pthread_cond_wait(&resumed, &lock);
    (void)pthread_mutex_unlock(&lock);
    cr_assert_eq(api_dispatch(&req, &reply), API_DONE);
    cr_expect_eq(reply.status, 200);
    (void)buf_putc(&reply.body, '\0');
    cr_expect_not_null(strstr(reply.body.data, "\"type\":\"post\",\"count\":1"), "%s", reply.body.data);
    api_reply_free(&reply);
    api_request_free(&req);
}

Test(view_behind, an_answer_that_may_be_stale_does_not_wait)
{
    append(POST);
    struct api_request req = ask("/types?stale=ok");
    struct api_reply reply;
    api_reply_init(&reply);
    cr_expect_eq(api_dispatch(&req, &reply), API_DONE);
    cr_expect_eq(reply.status, 200);
    api_reply_free(&reply);
    api_request_free(&req);
}
