/* The language of `q`, ranks and snippets. What a search finds is held against a loop in test_query.c. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "tests/support/flume_kit.h"
#include "views/search.h"

static int set(struct filter *filter, const char *text)
{
    return filter_set(filter, "q", text, strlen(text));
}

static void refuses(const char *text)
{
    struct filter filter = { .count = 0 };
    int err = set(&filter, text);
    cr_assert(err == ERR_ARG || err == ERR_REF, "%s: %d", text, err);
    cr_assert_eq(filter.count, 0, "%s", text);
}

static size_t kinds(const struct filter *filter, enum filter_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < filter->count; i++)
        count += filter->terms[i].kind == kind;
    return count;
}

static void takes(const char *text, size_t terms, size_t prefixes, size_t phrases, size_t times)
{
    struct filter filter = { .count = 0 };
    cr_assert_eq(set(&filter, text), OK, "%s: %s", text, err_detail(OK));
    cr_assert_eq(kinds(&filter, FILTER_TERM), terms, "%s", text);
    cr_assert_eq(kinds(&filter, FILTER_PREFIX), prefixes, "%s", text);
    cr_assert_eq(kinds(&filter, FILTER_PHRASE), phrases, "%s", text);
    cr_assert_eq(kinds(&filter, FILTER_TIME), times, "%s", text);
}

Test(search, words_prefixes_phrases_and_filters)
{
    takes("boat", 1, 0, 0, 0);
    takes("  boat  Boat BOAT ", 1, 0, 0, 0);
    takes("boat garden", 2, 0, 0, 0);
    takes("boa*", 0, 1, 0, 0);
    takes("rain-bar*", 1, 1, 0, 0);
    takes("\"rain barrel\"", 2, 0, 1, 0);
    takes("rain-barrel", 2, 0, 1, 0);
    takes("\"rain barrel", 2, 0, 1, 0);
    takes("猫", 0, 1, 0, 0);
    takes("猫犬", 1, 0, 0, 0);
    takes("猫犬鳥", 2, 0, 1, 0);
    takes("type:post", 2, 0, 0, 0);
    takes("before:2021 after:2020-02-29", 1, 0, 0, 1);
    takes("color:red", 2, 0, 1, 0);
}

Test(search, says_what_is_wrong)
{
    refuses("");
    refuses(" \"\" *** ");
    refuses("before:yesterday");
    refuses("after:2021-02-29");
    refuses("after:2020-13");
    refuses("after:2020-01-01T24:00");
    refuses("author:ada");
    refuses("type:post type:vote");
    refuses("channel:#");
    refuses("a b c d e f g h i j k l m n o p q");
    char text[SEARCH_QUERY_MAX + 2];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    refuses(text);
    text[SEARCH_QUERY_MAX] = '\0';
    takes(text, 1, 0, 0, 0);
}

static bool matches(const char *q, const char *record)
{
    struct filter filter = { .count = 0 };
    struct message message;
    cr_assert_eq(set(&filter, q), OK, "%s", q);
    message_init(&message);
    cr_assert_eq(message_scan(&message, record, strlen(record)), OK);
    bool match = filter_match(&filter, &message);
    message_free(&message);
    return match;
}

Test(search, a_phrase_stays_in_one_place)
{
    const char *record =
        "{\"value\":{\"content\":{\"type\":\"post\",\"text\":\"a rain barrel\",\"title\":\"full of water\"}}}";
    cr_assert(matches("\"rain barrel\"", record));
    cr_assert(matches("barrel full", record));
    cr_assert_not(matches("\"barrel full\"", record));
    cr_assert_not(matches("\"barrel rain\"", record));
}

Test(search, times_are_those_that_messages_are_sorted_by)
{
    const char *record =
        "{\"value\":{\"timestamp\":1577836800000,\"content\":{\"text\":\"x\"}},\"timestamp\":1609459200000}";
    cr_assert(matches("after:2020", record));
    cr_assert(matches("after:2020-01-01T00:00Z before:2020-01-01T00:01", record));
    cr_assert_not(matches("before:2020-01", record));
    cr_assert_not(matches("after:2020-01-02", record));
}

static const char *const texts[] = {
    "{\"value\":{\"content\":{\"text\":\"boat\"}}}",
    "{\"value\":{\"content\":{\"text\":\"boat garden\"}}}",
    "{\"value\":{\"content\":{\"text\":\"boat boat boat garden\"}}}",
    "{\"value\":{\"content\":{\"text\":\"garden boat\"}}}",
    "{\"value\":{\"content\":{\"text\":\"kettle\"}}}",
};

Test(search, ranks_by_how_often_and_then_the_newest_first)
{
    struct corpus_flume served;
    struct filter filter = { .count = 0 };
    struct log_range range = LOG_RANGE_ALL;
    struct search_hit *hits = NULL;
    size_t count = 0;
    bool complete = false;
    corpus_serve_texts(texts, sizeof texts / sizeof *texts, &served);
    cr_assert_eq(set(&filter, "garden boat"), OK);
    range.max = log_since(flume_log(served.flume));
    cr_assert_eq(search_rank(served.flume, &filter, &range, (struct search_ends){ false, false }, INT64_MAX, &hits,
                             &count, &complete),
                 OK);
    cr_assert(complete);
    cr_assert_eq(count, 3);
    cr_assert(hits[0].rank > hits[1].rank && hits[1].rank == hits[2].rank);
    cr_assert(hits[0].seq < hits[1].seq && hits[1].seq > hits[2].seq);
    free(hits);
    corpus_stop(&served);
}

/* Pieces one behind the other, marked ones in brackets. */
static void shows(const char *q, const char *text, const char *expected)
{
    struct filter filter = { .count = 0 };
    struct message message;
    struct snippet snippet;
    struct buf record, shown;
    cr_assert_eq(set(&filter, q), OK);
    buf_init(&record, 1 << 20);
    buf_init(&shown, 1 << 20);
    (void)buf_printf(&record, "{\"value\":{\"content\":{\"text\":\"%s\"}}}", text);
    message_init(&message);
    cr_assert_eq(message_scan(&message, record.data, record.len), OK);
    search_snippet(&filter, &message, &snippet);
    if (snippet.cut_before) (void)buf_puts(&shown, "…");
    for (size_t i = 0; i < snippet.count; i++)
        (void)buf_printf(&shown, snippet.pieces[i].mark ? "[%.*s]" : "%.*s", (int)snippet.pieces[i].text.len,
                         snippet.pieces[i].text.data);
    if (snippet.cut_after) (void)buf_puts(&shown, "…");
    (void)buf_putc(&shown, '\0');
    cr_assert_str_eq(shown.data, expected, "%s: %s", q, shown.data);
    message_free(&message);
    buf_free(&record);
    buf_free(&shown);
}

Test(search, a_snippet_marks_what_was_found)
{
    shows("cafe", "The <b>Café</b>!", "The <b>[Café]</b>!");
    shows("\"rain barrel\" th*", "The rain\\nbarrel", "[The] [rain]\\n[barrel]");
    shows("猫犬鳥", "小猫犬鳥です", "小[猫犬鳥]です");
    shows("type:post", "nothing to mark", "nothing to mark");
    shows("x", "", "");
}

Test(search, a_snippet_is_short_and_cut_at_words)
{
    char text[2048] = "";
    for (int i = 0; i < 60; i++)
        strcat(text, "filling ");
    strcat(text, "\\u00e9t\\u00e9 boat ");
    for (int i = 0; i < 60; i++)
        strcat(text, "filling ");
    char expected[1024] = "…";
    for (int i = 0; i < 7; i++)
        strcat(expected, "filling ");
    strcat(expected, "[\\u00e9t\\u00e9] boat");
    for (int i = 0; i < 20; i++)
        strcat(expected, " filling");
    strcat(expected, "…");
    shows("ete", text, expected);
}
