#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/api_kit.h"

static struct api_kit kit;

static void begin(void)
{
    api_kit_open(&kit, true);
}

static void end(void)
{
    api_kit_close(&kit);
}

TestSuite(api_fresh, .init = begin, .fini = end, .timeout = 300);

/* The seq of the new record. */
static int64_t append(void)
{
    int64_t seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(kit.flume, "{\"value\":1}", false, &seq), OK);
    return seq;
}

static int status_of(const char *target)
{
    struct api_told told;
    api_kit_get(&kit, target, &told);
    int status = told.status;
    api_told_free(&told);
    return status;
}

static void *append_later(void *ctx)
{
    (void)ctx;
    (void)usleep(100000);
    (void)append();
    return NULL;
}

Test(api_fresh, a_seq_that_is_to_come_is_waited_for)
{
    char target[64];
    pthread_t thread;
    int64_t first = append(), second = append();
    kit.config.wait_timeout = 10;
    (void)snprintf(target, sizeof target, "/types?after=%lld", (long long)(second + second - first));
    cr_assert_eq(pthread_create(&thread, NULL, append_later, NULL), 0);
    cr_expect_eq(status_of(target), 200);
    (void)pthread_join(thread, NULL);
    cr_expect_eq(flume_head(kit.flume), second + second - first);
    (void)snprintf(target, sizeof target, "/log?after=%lld", (long long)(second + 2 * (second - first)));
    cr_assert_eq(pthread_create(&thread, NULL, append_later, NULL), 0);
    cr_expect_eq(status_of(target), 200, "also where no view is asked");
    (void)pthread_join(thread, NULL);
}

Test(api_fresh, a_seq_that_does_not_come_is_not_waited_for_longer_than_told)
{
    kit.config.wait_timeout = 1;
    (void)append();
    int64_t began = flume_now_ms();
    struct api_told told;
    api_kit_get(&kit, "/types?after=99999", &told);
    cr_expect_eq(told.status, 503);
    cr_expect(strstr(told.body, "/problems/not-ready") != NULL, "%s", told.body);
    cr_expect(flume_now_ms() - began >= 900 && flume_now_ms() - began < 5000);
    api_told_free(&told);
}

Test(api_fresh, parameters_are_checked)
{
    cr_expect_eq(status_of("/types?stale=ok"), 200);
    cr_expect_eq(status_of("/types?stale=yes"), 400);
    cr_expect_eq(status_of("/types?after=x"), 400);
    cr_expect_eq(status_of("/types?after=-1"), 400);
    cr_expect_eq(status_of("/types?after=1&stale=ok"), 400);
}

static void nothing(void *ctx)
{
    (void)ctx;
    cr_assert(false, "a wait that was cancelled must not resume");
}

Test(api_fresh, a_wait_can_be_cancelled_once)
{
    (void)append();
    kit.config.wait_timeout = 60;
    struct api_request req = {
        .server = &kit.server, .arrived_ms = flume_now_ms(), .fresh_seq = 99999, .resume = nothing
    };
    struct api_reply reply;
    api_reply_init(&reply);
    cr_expect_eq(api_fresh(&req, &reply, VIEW_MASK(types)), API_WAIT);
    cr_expect(api_fresh_cancel(&req));
    cr_expect_eq(req.wait_err, ERR_CLOSED);
    cr_expect(!api_fresh_cancel(&req));
    cr_expect_eq(api_fresh(&req, &reply, VIEW_MASK(types)), -1);
    cr_expect_eq(reply.status, 503);
    api_reply_free(&reply);
}

static const char *tag_of(const struct api_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, "ETag") == 0) return reply->headers[i].value;
    return "";
}

static int conditional(const char *target, const char *fields, char tag[64])
{
    struct api_request req = { .server = &kit.server, .target = { target, strlen(target) } };
    struct api_reply reply;
    if (fields != NULL) req.if_none_match = (struct slice){ fields, strlen(fields) };
    api_reply_init(&reply);
    (void)api_not_modified(&req, &reply, 7);
    (void)snprintf(tag, 64, "%s", tag_of(&reply));
    int status = reply.status;
    api_reply_free(&reply);
    return status;
}

Test(api_fresh, a_tag_stands_for_target_and_log)
{
    char tag[64], other[64], list[200];
    (void)append();
    cr_expect_eq(conditional("/a", NULL, tag), 200);
    cr_expect_eq(conditional("/b", tag, other), 200);
    cr_expect_str_neq(tag, other);
    cr_expect_eq(conditional("/a", tag, other), 304);
    cr_expect_eq(conditional("/a", tag + 2, other), 304, "weak comparison");
    cr_expect_eq(conditional("/a", "*", other), 304);
    cr_expect_eq(conditional("/a", "", other), 200);
    (void)snprintf(list, sizeof list, "\"x\", %s, \"y\"", tag);
    cr_expect_eq(conditional("/a", list, other), 304);
    (void)append();
    cr_expect_eq(conditional("/a", tag, other), 200);
}

/* After an upgrade a copy of an answer that reads otherwise now was confirmed. */
Test(api_fresh, a_tag_is_not_that_of_a_program_that_answers_otherwise)
{
    static const char *const targets[] = { "/log", "/log/0" };
    (void)append();
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct api_told told;
        char tag[64];
        kit.server.tag_seed = api_tag_seed();
        cr_assert_neq(kit.server.tag_seed, 0);
        api_kit_get(&kit, targets[i], &told);
        (void)snprintf(tag, sizeof tag, "%s", api_told_header(&told, "ETag"));
        api_told_free(&told);
        for (int status = 304; status >= 200; status -= 104) {
            api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = targets[i], .if_none_match = tag },
                        &told);
            cr_expect_eq(told.status, status, "%s", targets[i]);
            api_told_free(&told);
            kit.server.tag_seed ^= 1;
        }
    }
}
