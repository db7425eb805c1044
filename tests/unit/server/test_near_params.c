/* Filters by hops have a limit in all: what each holds is counted while it is open. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/limits.h"
#include "tests/support/api_kit.h"

static struct api_kit kit;
static struct kit_author ann;
static char target[256];

/* Ann follows two: within one hop are three feeds. */
static void begin(void)
{
    static const char *const followed[] = { "@AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519",
                                            "@AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519" };
    char id[REF_TEXT_MAX + 1], content[256];
    api_kit_open(&kit, false);
    kit_author_make(&ann, 7);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(content, sizeof content, "{\"type\":\"contact\",\"contact\":\"%s\",\"following\":true}",
                       followed[i]);
        char *message = api_kit_message(&ann, content);
        (void)api_kit_post(&kit, message);
        free(message);
    }
    id[ref_print(&ann.id, id)] = '\0';
    (void)snprintf(target, sizeof target, "/log?hops=1&from=%s", id);
}

static void end(void)
{
    api_kit_close(&kit);
}

TestSuite(near_params, .init = begin, .fini = end, .timeout = 300);
#define NEAR 3

static int status_of(const char *accept, struct api_told *told)
{
    api_kit_ask(&kit, &(struct api_ask){ .method = API_GET, .target = target, .accept = accept }, told);
    return told->status;
}

Test(near_params, all_filters_together_have_a_limit)
{
    struct api_told told;
    const int64_t others = LIMIT_NEAR_FEEDS - NEAR;
    kit.server.near_feeds = others;
    cr_expect_eq(status_of(NULL, &told), 200, "at it: %s", told.body);
    api_told_free(&told);
    cr_expect_eq(kit.server.near_feeds, others, "a page gives back what it held");
    kit.server.near_feeds = others + 1;
    cr_expect_eq(status_of(NULL, &told), 503, "one past it: %s", told.body);
    cr_expect(strstr(told.body, "/problems/overloaded") != NULL, "%s", told.body);
    api_told_free(&told);
    cr_expect_eq(kit.server.near_feeds, others + 1, "so does who was refused");
}

Test(near_params, what_a_stream_holds_counts_until_it_ends)
{
    struct api_told first, second;
    cr_expect_eq(status_of("application/x-ndjson", &first), 200);
    cr_expect_eq(kit.server.near_feeds, NEAR);
    cr_expect_eq(status_of("application/x-ndjson", &second), 200);
    cr_expect_eq(kit.server.near_feeds, 2 * NEAR);
    api_told_free(&first);
    cr_expect_eq(kit.server.near_feeds, NEAR);
    api_told_free(&second);
    cr_expect_eq(kit.server.near_feeds, 0);
}
