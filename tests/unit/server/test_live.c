#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/gate.h"
#include "server/jobs.h"
#include "server/limits.h"
#include "server/live.h"
#include "server/live_list.h"
#include "server/rows_log.h"
#include "tests/support/api_kit.h"
#include "tests/support/scratch.h"

static struct api_kit kit;
static struct live *live;

static void open_any(void)
{
    api_kit_open(&kit, true);
}

static void open_ssb(void)
{
    api_kit_open(&kit, false);
}

static void shut(void)
{
    live_free(live);
    live = NULL;
    cr_expect_eq(kit.server.metrics.ws_subscriptions, 0);
    api_kit_close(&kit);
}

TestSuite(live, .init = open_any, .fini = shut);
TestSuite(live_ssb, .init = open_ssb, .fini = shut);

static void connect_to(const char *target)
{
    int err = live_open(&kit.server, (struct slice){ target, strlen(target) }, false, NULL, &live);
    cr_assert_eq(err, OK, "%s: %s", target, err_detail(err));
}

/* The next frame, which has to be there. Valid until the next call. */
static const char *next_frame(void)
{
    static char text[4096];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    int got = live_next(live, &out);
    cr_assert_eq(got, 1, "no frame: %d", got);
    memcpy(text, out.data, out.len);
    text[out.len] = '\0';
    buf_free(&out);
    return text;
}

static void frame(const char *expected)
{
    const char *text = next_frame();
    cr_assert_str_eq(text, expected, "%s instead of %s", text, expected);
}

static void frame_with(const char *part)
{
    const char *text = next_frame();
    cr_assert_not_null(strstr(text, part), "%s without %s", text, part);
}

static void silence(void)
{
    struct buf out;
    buf_init(&out, 4096);
    cr_assert_eq(live_next(live, &out), 0, "%.*s", (int)out.len, out.data);
    buf_free(&out);
}

static void say(const char *text)
{
    cr_assert_eq(live_text(live, text, strlen(text)), OK, "%s", text);
}

static void append(const char *value)
{
    (void)api_kit_post(&kit, value);
    live_wake(live);
}

Test(live, gives_old_then_sync_then_new)
{
    (void)api_kit_post(&kit, "1");
    connect_to("/live");
    frame("{\"seq\":0,\"value\":1}");
    frame("{\"sync\":true,\"since\":0}");
    silence();
    append("2");
    frame("{\"seq\":17,\"value\":2}");
    silence();
}

Test(live, an_empty_log_is_in_sync_at_once)
{
    connect_to("/live");
    frame("{\"sync\":true,\"since\":-1}");
    silence();
    append("1");
    frame("{\"seq\":0,\"value\":1}");
}

Test(live, what_comes_before_old_is_read_is_new)
{
    (void)api_kit_post(&kit, "1");
    connect_to("/live");
    append("2");
    frame("{\"seq\":0,\"value\":1}");
    frame("{\"sync\":true,\"since\":0}");
    frame("{\"seq\":17,\"value\":2}");
    silence();
}

Test(live, without_old_only_what_comes_is_given)
{
    (void)api_kit_post(&kit, "1");
    connect_to("/live?old=false");
    frame("{\"sync\":true,\"since\":0}");
    silence();
    append("2");
    frame("{\"seq\":17,\"value\":2}");
}

Test(live, without_live_it_ends_after_the_old)
{
    (void)api_kit_post(&kit, "1");
    (void)api_kit_post(&kit, "2");
    connect_to("/live?subscribe=false");
    silence();
    say("{\"op\":\"sub\",\"id\":\"a\",\"live\":false,\"reverse\":true}");
    append("3");
    frame("{\"id\":\"a\",\"seq\":17,\"value\":2}");
    frame("{\"id\":\"a\",\"seq\":0,\"value\":1}");
    frame("{\"id\":\"a\",\"sync\":true,\"since\":17}");
    frame("{\"id\":\"a\",\"closed\":true}");
    silence();
    cr_assert_eq(live_subscriptions(live), 0);
}

Test(live, resumes_behind_a_seq)
{
    (void)api_kit_post(&kit, "1");
    (void)api_kit_post(&kit, "2");
    connect_to("/live?gt=0");
    frame("{\"seq\":17,\"value\":2}");
    frame("{\"sync\":true,\"since\":17}");
    silence();
}

Test(live, a_limit_closes_the_subscription)
{
    (void)api_kit_post(&kit, "1");
    (void)api_kit_post(&kit, "2");
    connect_to("/live?limit=1");
    frame("{\"seq\":0,\"value\":1}");
    frame("{\"closed\":true}");
    silence();
}

Test(live, an_upper_bound_closes_the_subscription_when_it_is_reached)
{
    (void)api_kit_post(&kit, "1");
    (void)api_kit_post(&kit, "2");
    connect_to("/live?lte=0");
    frame("{\"seq\":0,\"value\":1}");
    frame("{\"sync\":true,\"since\":17}");
    frame("{\"closed\":true}");
    silence();
}

Test(live, several_subscriptions_take_turns)
{
    (void)api_kit_post(&kit, "1");
    (void)api_kit_post(&kit, "2");
    connect_to("/live?subscribe=false");
    say("{\"op\":\"sub\",\"id\":\"a\"}");
    say("{\"op\":\"sub\",\"id\":\"b\",\"gt\":0}");
    frame("{\"id\":\"a\",\"seq\":0,\"value\":1}");
    frame("{\"id\":\"b\",\"seq\":17,\"value\":2}");
    frame("{\"id\":\"a\",\"seq\":17,\"value\":2}");
    frame("{\"id\":\"b\",\"sync\":true,\"since\":17}");
    frame("{\"id\":\"a\",\"sync\":true,\"since\":17}");
    silence();
    say("{\"op\":\"unsub\",\"id\":\"a\"}");
    append("3");
    frame("{\"id\":\"a\",\"closed\":true}");
    frame("{\"id\":\"b\",\"seq\":34,\"value\":3}");
    silence();
}

#define IN_TURNS 40000

/* Two authors in turns, the first of whom never votes but in his very last record. His id in a URL. */
static const char *post_in_turns(void)
{
    static char id[REF_TEXT_MAX * 3];
    struct kit_author authors[2];
    char texts[2][REF_TEXT_MAX + 1] = { 0 };
    struct buf body;
    for (uint8_t i = 0; i < 2; i++) {
        kit_author_make(&authors[i], i + 1);
        (void)ref_print(&authors[i].id, texts[i]);
    }
    buf_init(&body, (size_t)64 << 20);
    for (int i = 0; i < IN_TURNS; i++)
        (void)buf_printf(&body, "{\"key\":\"k\",\"value\":{\"author\":\"%s\",\"content\":{\"type\":\"%s\"}}}\n",
                         texts[i % 2], i % 2 == 1 || i == IN_TURNS - 2 ? "vote" : "post");
    (void)buf_putc(&body, '\0');
    cr_assert_eq(body.err, OK);
    kit.config.batch_max = IN_TURNS;
    struct api_told told;
    const struct api_ask ask = {
        .method = API_POST, .target = "/log", .content_type = "application/x-ndjson", .body = body.data
    };
    api_kit_ask(&kit, &ask, &told);
    cr_assert_eq(told.status, 201, "%s", told.body);
    api_told_free(&told);
    buf_free(&body);
    cr_assert_eq(kit_wait_head(kit.flume, VIEW_MASK(feeds) | VIEW_MASK(types)), OK);
    for (size_t i = 0, at = 0; texts[0][i] != '\0'; i++)
        at += (size_t)snprintf(id + at, sizeof id - at, strchr("+/@=", texts[0][i]) ? "%%%02X" : "%c", texts[0][i]);
    return id;
}

/* Asked until there is a frame, or nothing. How often it said: later. */
static int laters(struct buf *out, int *ret_got)
{
    int count = 0;
    while ((*ret_got = live_next(live, out)) == LIVE_LATER)
        count++;
    return count;
}

Test(live, a_long_look_is_made_in_parts)
{
    char target[400];
    struct buf out;
    int got;
    buf_init(&out, 4096);
    kit.config.query_timeout = 1; /* parts of a millisecond */
    (void)snprintf(target, sizeof target, "/live?type=vote&author=%s", post_in_turns());
    connect_to(target);
    cr_assert_gt(laters(&out, &got), 0, "everybody waits for one client");
    cr_assert_eq(got, 1, "%d: %s", got, err_detail(got));
    (void)buf_putc(&out, '\0');
    cr_assert_not_null(strstr(out.data, "\"type\":\"vote\""), "%s", out.data);
    frame_with("\"sync\":true");
    silence();
    buf_free(&out);
}

Test(live, a_look_that_never_ends_is_given_up_in_all)
{
    char target[400];
    struct buf out;
    int got;
    buf_init(&out, 4096);
    kit.config.query_timeout = 0;
    (void)snprintf(target, sizeof target, "/live?type=vote&author=%s", post_in_turns());
    connect_to(target);
    cr_assert_eq(laters(&out, &got), 0);
    cr_assert_eq(got, 1);
    (void)buf_putc(&out, '\0');
    cr_assert_not_null(strstr(out.data, "/problems/query-timeout"), "%s", out.data);
    silence();
    buf_free(&out);
}

static struct gate_place come_in(struct gate *gate, int fd, uint32_t host)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(host) };
    cr_assert_eq(gate_enter(gate, fd, (const struct sockaddr *)&address, false), OK);
    return gate_place_of(gate, fd);
}

static void wait_for(void *ctx)
{
    pthread_mutex_t *held = ctx;
    (void)pthread_mutex_lock(held);
    (void)pthread_mutex_unlock(held);
}

static bool list_is_back(void *ctx)
{
    return !live_list_away(ctx);
}

Test(live, a_list_that_takes_long_is_one_of_its_address)
{
    static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    const struct config limits = { .connections_max = 9, .connections_per_address = 9, .queries_per_address = 1 };
    struct metrics metrics = { 0 };
    struct gate *gate;
    struct gate_query taken = { 0 };
    struct job first = { .work = wait_for, .ctx = &held };
    struct live_list *list, *other;
    struct buf out;
    char target[400];
    buf_init(&out, 4096);
    cr_assert_eq(gate_open(&limits, &metrics, &gate), OK);
    const struct gate_place near = come_in(gate, 3, 0x0a000001), far = come_in(gate, 4, 0x0a000002);
    cr_assert_eq(jobs_start(1, 64, &kit.server.jobs), OK);
    (void)pthread_mutex_lock(&held);
    cr_assert(jobs_reserve(kit.server.jobs));
    jobs_add(kit.server.jobs, &first);
    kit.config.query_timeout = 0;
    (void)snprintf(target, sizeof target, "/log?type=vote&author=%s", post_in_turns());
    const struct slice text = { target, strlen(target) };
    cr_assert_eq(live_list_open(&kit.server, text, SEQ_EMPTY, false, &near, &list), OK);
    cr_assert_eq(live_list_open(&kit.server, text, SEQ_EMPTY, false, &far, &other), OK);
    cr_assert_eq(gate_query_enter(&near, &taken), OK);
    cr_expect_eq(live_list_next(list, &out), LIST_LATER);
    cr_expect_eq(live_list_next(other, &out), LIST_WENT);
    gate_query_leave(&taken);
    cr_expect_eq(live_list_next(list, &out), LIST_WENT);
    cr_expect_eq(gate_query_enter(&near, &taken), ERR_SHARE);
    (void)pthread_mutex_unlock(&held);
    cr_assert(kit_until(list_is_back, list));
    cr_expect_eq(gate_query_enter(&near, &taken), OK);
    jobs_stop(kit.server.jobs);
    kit.server.jobs = NULL;
    live_list_close(list);
    live_list_close(other);
    gate_free(gate);
    buf_free(&out);
}

/* A list of the votes in what post_in_turns posted, and the one thread for what takes long: it is at work until `held` is let go. */
static struct live_list *votes_open(int64_t jobs_max, pthread_mutex_t *held)
{
    static struct job first;
    struct live_list *list;
    char target[400];
    first = (struct job){ .work = wait_for, .ctx = held };
    kit.config.queries_max = jobs_max;
    cr_assert_eq(jobs_start(1, jobs_max, &kit.server.jobs), OK);
    (void)pthread_mutex_lock(held);
    cr_assert(jobs_reserve(kit.server.jobs));
    jobs_add(kit.server.jobs, &first);
    (void)snprintf(target, sizeof target, "/log?type=vote&author=%s", post_in_turns());
    cr_assert_eq(live_list_open(&kit.server, (struct slice){ target, strlen(target) }, SEQ_EMPTY, false, NULL, &list),
                 OK);
    return list;
}

static void votes_close(struct live_list *list)
{
    jobs_stop(kit.server.jobs);
    kit.server.jobs = NULL;
    live_list_close(list);
}

/* What live_list_rows shows, which is nobody else's as long as it is held. */
static struct rows *rows_of(struct live_list *list)
{
    const struct rows *seen = live_list_rows(list);
    struct rows *rows;
    memcpy(&rows, &seen, sizeof rows);
    cr_assert_not_null(rows);
    return rows;
}

Test(live, a_row_that_another_thread_found_is_given_when_the_list_is_back)
{
    static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    struct buf out;
    buf_init(&out, 4096);
    struct live_list *list = votes_open(64, &held);
    struct rows *rows = rows_of(list);
    rows_log_patience(rows, 0);
    (void)live_list_returned(list);
    cr_expect_eq(live_list_next(list, &out), LIST_WENT);
    cr_expect_null(live_list_rows(list), "it is not to be touched");
    cr_expect_not(live_list_returned(list));
    rows_log_patience(rows, 60000);
    (void)pthread_mutex_unlock(&held);
    cr_assert(kit_until(list_is_back, list));
    cr_expect(live_list_returned(list));
    cr_assert_eq(buf_puts(&out, "before "), OK);
    cr_expect_eq(live_list_next(list, &out), 1);
    (void)buf_putc(&out, '\0');
    cr_expect_eq(strncmp(out.data, "before {\"seq\":", 14), 0, "%s", out.data);
    cr_expect_not_null(strstr(out.data, "\"type\":\"vote\""), "%s", out.data);
    buf_reset(&out);
    int got = live_list_next(list, &out);
    cr_expect(got == 0 || got == LIST_WENT, "given twice: %d", got);
    votes_close(list);
    buf_free(&out);
}

Test(live, a_list_that_takes_long_goes_on_where_it_is_if_there_is_no_room)
{
    static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
    struct buf out;
    buf_init(&out, 4096);
    struct live_list *list = votes_open(1, &held);
    rows_log_patience(rows_of(list), 0);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(live_list_next(list, &out), LIST_LATER);
    cr_expect_not(live_list_away(list));
    cr_expect_eq(out.len, 0);
    (void)pthread_mutex_unlock(&held);
    votes_close(list);
    buf_free(&out);
}

static struct live *another(const char *target)
{
    struct live *other = NULL;
    struct buf sync;
    cr_assert_eq(live_open(&kit.server, (struct slice){ target, strlen(target) }, false, NULL, &other), OK);
    buf_init(&sync, 4096);
    while (live_next(other, &sync) == 1) {
    }
    buf_free(&sync);
    return other;
}

Test(live, clients_that_are_alike_stand_at_one_place)
{
    struct live_place place, there;
    (void)api_kit_post(&kit, "1");
    live = another("/live");
    struct live *other = another("/live?old=false");
    cr_assert(live_place(live, &place) && live_place(other, &there));
    cr_assert(live_place_same(&place, &there));
    append("2");
    frame("{\"seq\":17,\"value\":2}");
    silence();
    cr_assert(live_place(live, &place));
    cr_assert_not(live_place_same(&place, &there));
    cr_assert_not(live_go(other, &place), "there was nothing more");
    cr_assert_not(live_wake(other));
    live_free(other);
}

/* Frames made earlier are given to a client that was slow: what came after them is not forgotten. */
Test(live, a_client_that_goes_on_from_an_old_place_gets_what_came_since)
{
    struct live_place place;
    live = another("/live");
    struct live *slow = another("/live");
    append("1");
    frame("{\"seq\":0,\"value\":1}");
    silence();
    cr_assert(live_place(live, &place));
    append("2");
    cr_assert(live_wake(slow));
    cr_assert(live_go(slow, &place), "there is more");
    struct live *first = live;
    live = slow;
    frame("{\"seq\":17,\"value\":2}");
    silence();
    live_free(first);
}

Test(live, clients_with_something_of_their_own_are_not_alike)
{
    static const char *const own[] = { "/live?subscribe=false", "/live?limit=5", "/live?lte=100", "/live?type=post" };
    struct live_place place;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        struct live *other = another(own[i]);
        cr_assert_not(live_place(other, &place), "%s", own[i]);
        live_free(other);
    }
    (void)api_kit_post(&kit, "1");
    connect_to("/live");
    cr_assert_not(live_place(live, &place), "its sync frame is owed");
    frame("{\"seq\":0,\"value\":1}");
    frame("{\"sync\":true,\"since\":0}");
    cr_assert(live_place(live, &place));
    say("{\"op\":\"sub\",\"id\":\"a\"}");
    cr_assert_not(live_place(live, &place), "it has two subscriptions");
    say("{\"op\":\"unsub\",\"id\":\"a\"}");
    cr_assert_not(live_place(live, &place), "an answer is owed");
    frame("{\"id\":\"a\",\"closed\":true}");
    cr_assert(live_place(live, &place));
}

Test(live, mistakes_are_answered_and_change_nothing)
{
    connect_to("/live?subscribe=false");
    static const char *const bad[] = {
        "",
        "[]",
        "{\"op\":\"sing\",\"id\":\"a\"}",
        "{\"op\":\"sub\"}",
        "{\"op\":\"sub\",\"id\":\"\"}",
        "{\"op\":\"sub\",\"id\":7}",
        "{\"op\":\"sub\",\"id\":\"a\",\"nonsense\":1}",
        "{\"op\":\"sub\",\"id\":\"a\",\"gt\":1.5}",
        "{\"op\":\"sub\",\"id\":\"a\",\"gt\":null}",
        "{\"op\":\"sub\",\"id\":\"a\",\"reverse\":true}",
        "{\"op\":\"sub\",\"id\":\"a\",\"old\":false,\"gt\":3}",
        "{\"op\":\"sub\",\"id\":\"a\",\"root\":\"x\"}",
        "{\"op\":\"sub\",\"id\":\"a\",\"id\":\"b\"}",
        "{\"op\":\"unsub\",\"id\":\"a\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        say(bad[i]);
        frame_with("\"error\":{\"type\":\"/problems/");
    }
    silence();
    cr_assert_eq(live_subscriptions(live), 0);
}

Test(live, an_id_is_free_again_only_after_unsub)
{
    connect_to("/live?subscribe=false");
    say("{\"op\":\"sub\",\"id\":\"a\"}");
    frame("{\"id\":\"a\",\"sync\":true,\"since\":-1}");
    say("{\"op\":\"sub\",\"id\":\"a\"}");
    frame_with("{\"id\":\"a\",\"error\":");
    say("{\"op\":\"unsub\",\"id\":\"a\",\"type\":\"post\"}");
    frame_with("{\"id\":\"a\",\"error\":");
    cr_assert_eq(live_subscriptions(live), 1);
    say("{\"op\":\"unsub\",\"id\":\"a\"}");
    frame("{\"id\":\"a\",\"closed\":true}");
    say("{\"op\":\"sub\",\"id\":\"a\"}");
    frame("{\"id\":\"a\",\"sync\":true,\"since\":-1}");
}

Test(live, there_is_a_most_of_subscriptions)
{
    connect_to("/live");
    frame("{\"sync\":true,\"since\":-1}");
    for (int i = 0; i < 4; i++) {
        char op[64];
        (void)snprintf(op, sizeof op, "{\"op\":\"sub\",\"id\":\"s%d\"}", i);
        say(op);
        frame_with(i < 3 ? "\"sync\":true" : "/problems/too-many");
    }
}

Test(live, a_client_that_does_not_read_its_answers_is_sent_away)
{
    connect_to("/live?subscribe=false");
    for (int i = 0; i < LIMIT_OPERATIONS; i++)
        cr_assert_eq(live_text(live, "x", 1), OK, "%d", i);
    frame_with("\"error\"");
    cr_assert_eq(live_text(live, "x", 1), OK, "one was read");
    cr_assert_eq(live_text(live, "x", 1), ERR_LIMIT, "one past it");
}

Test(live, a_bad_target_gets_a_problem)
{
    static const char *const bad[] = { "/live?gt=x",
                                       "/live?nonsense=1",
                                       "/live?id=a",
                                       "/live?gt=1&gt=2",
                                       "/live?root=x",
                                       "/live?subscribe=false&type=post",
                                       "/live?subscribe=maybe",
                                       "/live?old=false&gte=0",
                                       "/live?gt=%zz",
                                       "/live?gt=5" };
    (void)api_kit_post(&kit, "1");
    (void)api_kit_post(&kit, "2");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_lt(live_open(&kit.server, (struct slice){ bad[i], strlen(bad[i]) }, false, NULL, &live), 0, "%s",
                     bad[i]);
        frame_with("{\"error\":{\"type\":\"/problems/");
        silence();
        live_free(live);
        live = NULL;
    }
}

/* ---- filters ---- */

static void post_type(struct kit_author *author, const char *type)
{
    char content[100];
    (void)snprintf(content, sizeof content, "{\"type\":\"%s\",\"text\":\"x\"}", type);
    char *message = api_kit_message(author, content);
    (void)api_kit_post(&kit, message);
    free(message);
}

static void settle(void)
{
    cr_assert_eq(kit_wait_head(kit.flume, (UINT32_C(1) << VIEW_COUNT) - 1), OK);
    live_wake(live);
}

Test(live_ssb, a_filter_lets_only_its_messages_through)
{
    struct kit_author author;
    kit_author_make(&author, 1);
    post_type(&author, "post");
    post_type(&author, "vote");
    connect_to("/live?type=vote");
    settle();
    frame_with("\"type\":\"vote\"");
    frame_with("\"sync\":true");
    silence();
    post_type(&author, "post");
    post_type(&author, "vote");
    settle();
    frame_with("\"sequence\":4");
    silence();
}

Test(live_ssb, the_public_sees_no_encrypted_message)
{
    struct kit_author author;
    static const char target[] = "/live";
    kit_author_make(&author, 1);
    post_type(&author, "post");
    char *secret = api_kit_message(&author, "\"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=.box\"");
    (void)api_kit_post(&kit, secret);
    free(secret);
    cr_assert_eq(live_open(&kit.server, (struct slice){ target, strlen(target) }, true, NULL, &live), OK);
    settle();
    frame_with("\"type\":\"post\"");
    frame_with("\"sync\":true");
    silence();
}

static int rows_in_list(bool public_only)
{
    static const char target[] = "/log";
    struct live_list *list;
    struct buf out;
    int got, count = 0;
    buf_init(&out, 4096);
    cr_assert_eq(
        live_list_open(&kit.server, (struct slice){ target, strlen(target) }, SEQ_EMPTY, public_only, NULL, &list), OK);
    while ((got = live_list_next(list, &out)) == 1)
        count++;
    cr_expect_eq(got, 0);
    live_list_close(list);
    buf_free(&out);
    return count;
}

Test(live_ssb, the_public_sees_no_encrypted_message_in_a_list)
{
    struct kit_author author;
    kit_author_make(&author, 1);
    post_type(&author, "post");
    char *secret = api_kit_message(&author, "\"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=.box\"");
    (void)api_kit_post(&kit, secret);
    free(secret);
    cr_assert_eq(kit_wait_head(kit.flume, VIEW_MASK(types)), OK);
    cr_expect_eq(rows_in_list(false), 2);
    cr_expect_eq(rows_in_list(true), 1);
}

/* Appends, wakes and reads at random: every matching record comes once, in order. */
Test(live_ssb, no_gap_and_no_duplicate_across_the_seam)
{
    struct dice dice = dice_make();
    struct kit_author author;
    kit_author_make(&author, 1);
    for (int i = 0; i < 20; i++)
        post_type(&author, dice_roll(&dice, 2) ? "vote" : "post");
    connect_to("/live?subscribe=false");
    say("{\"op\":\"sub\",\"id\":\"all\"}");
    say("{\"op\":\"sub\",\"id\":\"votes\",\"type\":\"vote\"}");
    int64_t all = 0, votes = 0, syncs = 0;
    for (int step = 0; step < 400; step++) {
        if (step < 300 && dice_roll(&dice, 8) == 0) post_type(&author, dice_roll(&dice, 2) ? "vote" : "post");
        if (step >= 300) settle();
        if (dice_roll(&dice, 3) == 0) live_wake(live);
        for (uint64_t n = dice_roll(&dice, 4); n > 0; n--) {
            struct buf out;
            buf_init(&out, 4096);
            if (live_next(live, &out) == 1) {
                (void)buf_putc(&out, '\0');
                const char *sequence = strstr(out.data, "\"sequence\":");
                bool vote = strstr(out.data, "\"id\":\"votes\"") != NULL;
                syncs += sequence == NULL;
                if (sequence != NULL && vote) {
                    cr_assert_not_null(strstr(out.data, "\"type\":\"vote\""), "seed %llu",
                                       (unsigned long long)dice.seed);
                    int64_t n_votes = strtoll(sequence + 11, NULL, 10);
                    cr_assert_gt(n_votes, votes, "seed %llu", (unsigned long long)dice.seed);
                    votes = n_votes;
                } else if (sequence != NULL) {
                    cr_assert_eq(strtoll(sequence + 11, NULL, 10), all + 1, "seed %llu", (unsigned long long)dice.seed);
                    all++;
                }
            }
            buf_free(&out);
        }
    }
    cr_assert_eq(syncs, 2, "seed %llu", (unsigned long long)dice.seed);
    cr_assert_eq(all, author.sequence, "seed %llu", (unsigned long long)dice.seed);
}
