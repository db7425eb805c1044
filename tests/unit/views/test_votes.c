/* Votes against a loop over the records. */
#include <criterion/criterion.h>

#include "store/err.h"
#include "store/json.h"
#include "tests/unit/views/play.h"
#include "views/view_record.h"
#include "views/votes.h"

#define RECORDS 600

/* Does the message vote on the target? */
static bool votes_on(const struct message *message, const struct ref *target)
{
    struct slice vote, link;
    struct ref ref;
    return !message->is_private && message->author_ref.kind != REF_NONE &&
           slice_equal(message->type, SLICE_LITERAL("vote")) && json_find(message->content, "vote", &vote) == 1 &&
           json_find(vote, "link", &link) == 1 && record_ref(link, &ref) == OK && ref_equal(&ref, target);
}

static int64_t last_vote(const struct corpus *corpus, const struct ref *author, const struct ref *target)
{
    int64_t seq = SEQ_EMPTY;
    for (size_t i = 0; i < RECORDS; i++)
        if (ref_equal(&corpus->messages[i].author_ref, author) && votes_on(&corpus->messages[i], target))
            seq = corpus->records[i].seq;
    return seq;
}

static size_t check_target(const struct corpus *corpus, const struct flume_read *read, const struct ref *target,
                           unsigned long long seed)
{
    struct said_list votes;
    size_t expected = 0;
    cr_assert_eq(votes_read(read, target, &votes), OK);
    for (size_t i = 0; i < votes.count; i++)
        cr_assert_eq(votes.items[i].seq, last_vote(corpus, &votes.items[i].author, target), "SLUICE_TEST_SEED=%llu",
                     seed);
    for (unsigned n = 0; n < CORPUS_AUTHORS; n++) {
        struct ref author;
        corpus_ref(REF_FEED, n, &author);
        expected += last_vote(corpus, &author, target) != SEQ_EMPTY;
    }
    cr_assert_eq(votes.count, expected, "SLUICE_TEST_SEED=%llu", seed);
    said_free(&votes);
    return expected;
}

Test(votes, are_those_of_a_loop)
{
    struct play play;
    size_t votes = 0;
    play_open(&play, RECORDS);
    for (unsigned n = 0; n < 4; n++) {
        struct ref message, blob;
        corpus_ref(REF_MESSAGE, n, &message);
        corpus_ref(REF_BLOB, n, &blob);
        votes += check_target(&play.corpus, &play.read, &message, play.dice.seed);
        votes += check_target(&play.corpus, &play.read, &blob, play.dice.seed);
    }
    cr_assert_gt(votes, 10, "SLUICE_TEST_SEED=%llu", (unsigned long long)play.dice.seed);
    play_close(&play);
}

Test(votes, a_deleted_vote_is_not_given)
{
    static const char *const texts[] = {
        "{\"key\":\"%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\",\"value\":{\"author\":"
        "\"@AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519\",\"content\":{\"type\":\"vote\",\"vote\":{\"link\":"
        "\"%AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\",\"value\":1,\"expression\":\"Like\"}}}}",
    };
    struct corpus_flume served;
    struct flume_read read;
    struct said_list votes;
    struct vote vote;
    struct ref target;
    corpus_serve_texts(texts, 1, &served);
    cr_assert(ref_try("%AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256", 52, &target));
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(votes_read(&read, &target, &votes), OK);
    cr_assert_eq(votes.count, 1);
    cr_assert_eq(vote_read(read.log, &votes.items[0], &vote), 1);
    cr_assert(vote.value > 0.9 && slice_equal(vote.expression, SLICE_LITERAL("\"Like\"")));
    corpus_delete(&served, 0);
    cr_assert_eq(vote_read(read.log, &votes.items[0], &vote), 0);
    said_free(&votes);
    cr_assert_eq(votes_read(&read, &target, &votes), OK);
    cr_assert_eq(votes.count, 0);
    said_free(&votes);
    flume_read_end(&read);
    corpus_stop(&served);
}

static int any_message(void *ctx, const struct message *message)
{
    (void)ctx;
    (void)message;
    return 0;
}

Test(votes, of_as_many_authors_as_that_and_not_one_more)
{
    struct play play;
    struct said_list all, same;
    const struct filter every = { 0 };
    play_open(&play, RECORDS);
    cr_assert_eq(said_read(&play.read, &every, SAID_AUTHORS_MAX, any_message, NULL, &all), OK);
    cr_assert_gt(all.count, 2);
    cr_assert_eq(said_read(&play.read, &every, all.count, any_message, NULL, &same), OK);
    cr_expect_eq(same.count, all.count);
    said_free(&same);
    cr_expect_eq(said_read(&play.read, &every, all.count - 1, any_message, NULL, &same), ERR_LIMIT);
    said_free(&all);
    play_close(&play);
}
