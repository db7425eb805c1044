/* Distances in small graphs, each with a rule of its own. npm ssb-friends is asked about large ones in tests/conformance/social.test.js. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/graph.h"
#include "views/near.h"

#define EDGES_MAX 20
#define EDGE_TEXT 512

/* Edges as "0>1" (follows), "0x1" (blocks), "0-1" (ended), in the order of the log. */
static void serve_edges(const char *edges, struct corpus_flume *served)
{
    static char texts[EDGES_MAX][EDGE_TEXT];
    const char *pointers[EDGES_MAX];
    size_t count = 0;
    for (const char *at = edges; *at != '\0'; at += at[3] == ' ' ? 4 : 3, count++) {
        char from[REF_TEXT_MAX + 1], to[REF_TEXT_MAX + 1];
        corpus_text(REF_FEED, (unsigned)(at[0] - '0'), from);
        corpus_text(REF_FEED, (unsigned)(at[2] - '0'), to);
        const char *what = at[1] == '>'   ? "\"following\":true"
                           : at[1] == 'x' ? "\"blocking\":true"
                                          : "\"following\":false";
        (void)snprintf(
            texts[count], EDGE_TEXT,
            "{\"key\":\"%%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\",\"value\":{\"author\":\"%s\","
            "\"content\":{\"type\":\"contact\",\"contact\":\"%s\",%s}}}",
            from, to, what);
        pointers[count] = texts[count];
    }
    corpus_serve_texts(pointers, count, served);
}

/* The distances from 0, as "0=0 1=1 2=-2 ", in the order of the answer. */
static void distances_are(const char *edges, int max, const char *expected)
{
    struct corpus_flume served;
    struct flume_read read;
    struct graph graph;
    struct ref from, id;
    char text[256] = "";
    serve_edges(edges, &served);
    corpus_ref(REF_FEED, 0, &from);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(graph_read(&read, &from, max, GRAPH_FEEDS_MAX, &graph), OK);
    for (size_t i = 0; i < graph.count; i++)
        for (unsigned n = 0; n < CORPUS_AUTHORS; n++) {
            corpus_ref(REF_FEED, n, &id);
            if (!ref_equal(&id, &graph.feeds[i].id)) continue;
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%u=%d ", n, graph.feeds[i].hops);
        }
    cr_assert_str_eq(text, expected, "%s: %s", edges, text);
    graph_free(&graph);
    flume_read_end(&read);
    corpus_stop(&served);
}

Test(graph, follows_are_counted_up_to_the_most)
{
    distances_are("0>1 1>2 2>3 3>4", 3, "0=0 1=1 2=2 3=3 ");
    distances_are("0>1 1>2 2>3 3>4", 0, "0=0 ");
}

Test(graph, the_shortest_way_counts)
{
    distances_are("0>1 1>2 2>3 0>3 3>4", 3, "0=0 1=1 3=1 2=2 4=2 ");
}

static int read_at_most(const char *edges, size_t most, size_t *ret_count)
{
    struct corpus_flume served;
    struct flume_read read;
    struct graph graph = { .count = 0 };
    struct ref from;
    serve_edges(edges, &served);
    corpus_ref(REF_FEED, 0, &from);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    int err = graph_read(&read, &from, 100, most, &graph);
    *ret_count = graph.count;
    graph_free(&graph);
    flume_read_end(&read);
    corpus_stop(&served);
    return err;
}

Test(graph, as_many_feeds_as_that_may_be_reached_by_any_number_of_ways_and_not_one_more)
{
    size_t count;
    cr_expect_eq(read_at_most("0>1 0>2 1>2 2>1 1>3 2>3 3>0", 4, &count), OK);
    cr_expect_eq(count, 4);
    cr_expect_eq(read_at_most("0>1 0>2 1>2 2>1 1>3 2>3 3>0", 3, &count), ERR_LIMIT);
    cr_expect_eq(read_at_most("0>1", 1, &count), ERR_LIMIT);
    cr_expect_eq(read_at_most("1>0", 1, &count), OK);
}

Test(graph, who_is_blocked_is_at_a_negative_distance_and_leads_nowhere)
{
    distances_are("0>1 0x2 2>3", 3, "0=0 1=1 2=-1 ");
    distances_are("0>1 1x2 2>3", 3, "0=0 1=1 2=-2 ");
}

Test(graph, a_follow_weighs_as_much_as_a_block_from_the_same_distance)
{
    distances_are("0>1 1>3 0>2 2x3 3>4", 3, "0=0 1=1 2=1 3=2 4=3 ");
}

Test(graph, a_nearer_block_outweighs_a_follow)
{
    distances_are("0>1 1>2 0x2 2>3", 3, "0=0 1=1 2=-1 ");
}

Test(graph, who_is_followed_no_more_is_one_farther_than_a_block)
{
    distances_are("0>1 0-1", 3, "0=0 1=-2 ");
    distances_are("0>1 0-1 0>2 2>1 1>3", 3, "0=0 2=1 1=2 3=3 ");
}

Test(graph, the_last_word_counts)
{
    distances_are("0>1 0x1 0>1 1>2", 3, "0=0 1=1 2=2 ");
}

Test(graph, nobody_can_change_ones_own_distance)
{
    distances_are("0>1 1x0 0x0 1>2", 3, "0=0 1=1 2=2 ");
}

/* Who of 0 … 5 is near 0, as "012". */
static void near_are(const char *edges, int hops, const char *expected)
{
    struct corpus_flume served;
    struct flume_read read;
    struct graph graph;
    struct near *near = NULL;
    struct ref from, id;
    char text[CORPUS_AUTHORS + 1] = "";
    size_t count = 0;
    serve_edges(edges, &served);
    corpus_ref(REF_FEED, 0, &from);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(graph_read(&read, &from, hops, GRAPH_FEEDS_MAX, &graph), OK);
    cr_assert_eq(near_make(&graph, strlen(expected), &near), OK);
    for (unsigned n = 0; n < CORPUS_AUTHORS; n++) {
        corpus_ref(REF_FEED, n, &id);
        if (near_has(near, &id)) text[count++] = (char)('0' + n);
    }
    cr_expect_str_eq(text, expected, "%s: %s", edges, text);
    cr_expect_eq(near_count(near), strlen(expected));
    near_free(near);
    near = NULL;
    cr_expect_eq(near_make(&graph, strlen(expected) - 1, &near), ERR_LIMIT);
    graph_free(&graph);
    cr_expect_null(near);
    flume_read_end(&read);
    corpus_stop(&served);
}

Test(near, within_the_hops_and_not_one_farther)
{
    near_are("0>1 1>2 2>3 3>4", 0, "0");
    near_are("0>1 1>2 2>3 3>4", 1, "01");
    near_are("0>1 1>2 2>3 3>4", 2, "012");
}

Test(near, nobody_who_is_blocked_or_left_nor_whom_they_reach)
{
    near_are("0>1 0x2 2>3 1>4", 3, "014");
    near_are("0>1 0>2 0-2 2>3", 3, "01");
    near_are("0>1 1x2 2>3", 3, "01");
}

Test(near, what_is_no_feed_is_not_near)
{
    struct corpus_flume served;
    struct flume_read read;
    struct graph graph;
    struct near *near = NULL;
    struct ref from, none = { .kind = REF_NONE };
    serve_edges("0>1", &served);
    corpus_ref(REF_FEED, 0, &from);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(graph_read(&read, &from, 1, GRAPH_FEEDS_MAX, &graph), OK);
    cr_assert_eq(near_make(&graph, 10, &near), OK);
    graph_free(&graph);
    cr_expect_not(near_has(near, &none));
    from.kind = REF_MESSAGE;
    cr_expect_not(near_has(near, &from));
    near_free(near);
    flume_read_end(&read);
    corpus_stop(&served);
}

Test(graph, gives_up_in_time)
{
    struct corpus_flume served;
    struct flume_read read;
    serve_edges("0>1", &served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_expect_eq(flume_read_late(&read), OK);
    read.deadline_ms = flume_now_ms() + 100000;
    cr_expect_eq(flume_read_late(&read), OK);
    read.deadline_ms = flume_now_ms();
    cr_expect_eq(flume_read_late(&read), ERR_SLOW);
    read.deadline_ms = INT64_MAX;
    flume_give_up(served.flume);
    cr_expect_eq(flume_read_late(&read), ERR_CLOSED);
    flume_read_end(&read);
    corpus_stop(&served);
}

static int looks;

static void look(void)
{
    looks++;
}

Test(graph, who_goes_through_much_looks_up)
{
    struct corpus_flume served;
    struct flume_read read;
    serve_edges("0>1", &served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_expect_eq(flume_read_late(&read), OK);
    cr_expect_eq(looks, 0);
    flume_read_look(look);
    cr_expect_eq(flume_read_late(&read), OK);
    cr_expect_eq(looks, 1);
    flume_read_look(NULL);
    cr_expect_eq(flume_read_late(&read), OK);
    cr_expect_eq(looks, 1);
    flume_read_end(&read);
    corpus_stop(&served);
}

Test(graph, in_parts_it_is_the_same)
{
    struct corpus_flume served;
    struct flume_read read;
    struct graph_walk *walk = NULL;
    struct graph graph, whole;
    struct ref from;
    int err, parts = 1;
    serve_edges("0>1 1>2 2>3 3>4 4>0 0x3 1>4", &served);
    corpus_ref(REF_FEED, 0, &from);
    cr_assert_eq(graph_open(&from, 100, GRAPH_FEEDS_MAX, &walk), OK);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(graph_read(&read, &from, 100, GRAPH_FEEDS_MAX, &whole), OK);
    flume_read_end(&read);
    do {
        cr_assert_eq(flume_read_begin(served.flume, &read), OK);
        read.deadline_ms = flume_now_ms();
        err = graph_go(walk, &read);
        flume_read_end(&read);
        parts += err == ERR_SLOW;
    } while (err == ERR_SLOW && parts < 100);
    cr_assert_eq(err, OK);
    graph_take(walk, &graph);
    graph_close(walk);
    cr_assert_eq(graph.count, whole.count);
    for (size_t i = 0; i < graph.count; i++)
        cr_expect(ref_equal(&graph.feeds[i].id, &whole.feeds[i].id) && graph.feeds[i].hops == whole.feeds[i].hops);
    graph_free(&graph);
    graph_free(&whole);
    corpus_stop(&served);
}
