/* Pages of links that end because the time for a query is over. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/api_kit.h"
#include "tests/support/corpus.h"

#define LINKING 3
#define OTHERS 100 /* more records than are looked at between two looks at the clock */

static struct api_kit kit;
static char who[REF_TEXT_MAX + 1];

static void say(unsigned author, int64_t number, const char *link)
{
    char value[500], from[REF_TEXT_MAX + 1];
    (void)corpus_text(REF_FEED, author, from);
    (void)snprintf(
        value, sizeof value,
        "{\"key\":\"k\",\"value\":{\"author\":\"%s\",\"content\":{\"type\":\"post\",\"n\":%lld,\"link\":\"%s\"}}}",
        from, (long long)number, link);
    (void)api_kit_post(&kit, value);
}

/* One author links to a blob in the first messages and in the last one; what is between is by another one. */
static void setup(void)
{
    char blob[REF_TEXT_MAX + 1];
    api_kit_open(&kit, true);
    (void)corpus_text(REF_FEED, 0, who);
    (void)corpus_text(REF_BLOB, 0, blob);
    for (int i = 0; i < LINKING + OTHERS; i++)
        say(i >= LINKING - 1 && i < LINKING - 1 + OTHERS, i, blob);
}

static void teardown(void)
{
    api_kit_close(&kit);
}

TestSuite(rows_links, .init = setup, .fini = teardown, .timeout = 300);

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

/* The rows of a page, and where it goes on: empty = nowhere. */
static size_t page(const char *target, char next[600])
{
    struct api_told told;
    api_kit_get(&kit, target, &told);
    cr_assert_eq(told.status, 200, "%s: %s", target, told.body);
    const char *link = strstr(told.body, "\"next\":\"");
    (void)snprintf(next, 600, "%.*s", link == NULL ? 0 : (int)strcspn(link + 8, "\""), link == NULL ? "" : link + 8);
    size_t count = times(told.body, "\"rel\":\"link\"");
    api_told_free(&told);
    return count;
}

static void goes_on_where_it_was(const char *more)
{
    char target[300], next[600], again[600];
    (void)snprintf(target, sizeof target, "/links?from=%s&hops=0&limit=10%s", who, more);
    (void)page(target, next);
    kit.config.query_timeout = 0;
    size_t first = page(target, next);
    cr_expect(first > 0 && first < LINKING, "%zu rows", first);
    kit.config.query_timeout = 10;
    cr_expect_eq(page(next, again), LINKING - first, "%s", next);
    cr_expect_str_empty(again);
}

Test(rows_links, a_page_that_time_ended_goes_on_behind_its_last_record)
{
    goes_on_where_it_was("");
    goes_on_where_it_was("&reverse=true");
}
