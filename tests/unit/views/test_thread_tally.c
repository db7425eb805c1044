/* What is counted for all messages of a thread at once is what the lists of votes and roots say of each. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/unit/views/play.h"
#include "views/thread_tally.h"
#include "views/view_links.h"
#include "views/votes.h"

#define RECORDS 500
#define TEXTS_MAX 96
#define TEXT_BYTES 600

static char texts[TEXTS_MAX][TEXT_BYTES];
static size_t text_count;

/* Message `n` of an author; `rest` of its content may hold one %s for the id of message `about`. */
static void say(unsigned n, unsigned author, const char *type, unsigned root, const char *rest, unsigned about)
{
    char own[REF_TEXT_MAX + 1], whose[REF_TEXT_MAX + 1], from[REF_TEXT_MAX + 1], what[REF_TEXT_MAX + 1], more[256];
    corpus_text(REF_MESSAGE, n, own);
    corpus_text(REF_FEED, author, whose);
    corpus_text(REF_MESSAGE, root, from);
    corpus_text(REF_MESSAGE, about, what);
    const char *at = strstr(rest, "ID");
    (void)snprintf(more, sizeof more, "%.*s%s%s", at == NULL ? 0 : (int)(at - rest), rest, at == NULL ? "" : what,
                   at == NULL ? rest : at + 2);
    text_count++;
    (void)snprintf(texts[text_count - 1], TEXT_BYTES,
                   "{\"key\":\"%s\",\"value\":{\"author\":\"%s\",\"timestamp\":5,\"content\":{\"type\":\"%s\","
                   "\"root\":\"%s\"%s}},\"timestamp\":%zu}",
                   own, whose, type, from, more, text_count);
}

static void serve(struct corpus_flume *served)
{
    const char *pointers[TEXTS_MAX];
    for (size_t i = 0; i < text_count; i++)
        pointers[i] = texts[i];
    corpus_serve_texts(pointers, text_count, served);
}

/* Answers how much was counted. */
static uint64_t check_thread(const struct flume_read *read, const struct ref *root, unsigned long long seed)
{
    struct thread thread;
    struct thread_tally *tallies;
    uint64_t sum = 0;
    if (thread_read(read, root, false, &thread) == ERR_NOTFOUND) return 0;
    cr_assert_eq(thread_tallies(read, &thread, root, &tallies), OK, "SLUICE_TEST_SEED=%llu", seed);
    for (size_t i = 0; i < thread.count; i++) {
        const struct ref *id = &thread.messages[i].id;
        uint64_t votes, forks;
        cr_assert_eq(votes_tally(read, id, &votes), OK);
        cr_assert_eq(links_count_root(read, id, &forks), OK);
        cr_assert_eq(tallies[i].votes, votes, "SLUICE_TEST_SEED=%llu", seed);
        if (!ref_equal(id, root)) cr_assert_eq(tallies[i].forks, forks, "SLUICE_TEST_SEED=%llu", seed);
        sum += votes + (ref_equal(id, root) ? 0 : forks);
    }
    free(tallies);
    thread_free(&thread);
    return sum;
}

static uint64_t check_one(const struct corpus_flume *served, unsigned root)
{
    struct flume_read read;
    struct ref id;
    corpus_ref(REF_MESSAGE, root, &id);
    cr_assert_eq(flume_read_begin(served->flume, &read), OK);
    uint64_t sum = check_thread(&read, &id, 0);
    flume_read_end(&read);
    return sum;
}

Test(thread_tally, is_that_of_the_lists)
{
    struct play play;
    uint64_t sum = 0;
    play_open(&play, RECORDS);
    for (unsigned n = 0; n < 8; n++) {
        struct ref root;
        corpus_ref(REF_MESSAGE, n, &root);
        sum += check_thread(&play.read, &root, play.dice.seed);
    }
    cr_assert_gt(sum, 5, "SLUICE_TEST_SEED=%llu", (unsigned long long)play.dice.seed);
    play_close(&play);
}

#define VOTE(value) ",\"vote\":{\"link\":\"ID\",\"value\":" #value "}"

Test(thread_tally, votes_that_are_messages_of_the_thread_count)
{
    struct corpus_flume served;
    say(0, 0, "post", 30, "", 0);
    say(2, 1, "post", 0, "", 0);
    say(4, 2, "vote", 0, VOTE(1), 2);  /* of the thread itself */
    say(6, 3, "vote", 30, VOTE(1), 2); /* of another one */
    say(8, 3, "vote", 0, VOTE(0), 2);  /* who takes it back */
    say(10, 4, "vote", 2, VOTE(1), 2); /* a fork, too */
    say(12, 4, "post", 2, "", 0);
    serve(&served);
    cr_assert_eq(check_one(&served, 0), 2 + 2);
    corpus_stop(&served);
}

Test(thread_tally, what_many_refer_to_is_counted_as_well)
{
    struct corpus_flume served;
    say(0, 0, "post", 30, "", 0);
    say(2, 1, "post", 0, "", 0);
    for (unsigned i = 0; i < 80; i++)
        say(4, i % CORPUS_AUTHORS, "vote", i % 4 == 0 ? 2 : 30, VOTE(1), i % 2 == 0 ? 2 : 0);
    serve(&served);
    cr_assert_eq(check_one(&served, 0), CORPUS_AUTHORS + CORPUS_AUTHORS + 20);
    corpus_stop(&served);
}

Test(thread_tally, a_fork_that_was_deleted_still_counts_and_a_vote_does_not)
{
    struct corpus_flume served;
    struct log_range all = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    int64_t seqs[8];
    size_t count = 0;
    say(0, 0, "post", 30, "", 0);
    say(2, 1, "post", 0, "", 0);
    say(4, 2, "post", 2, "", 0);
    say(6, 3, "vote", 30, VOTE(1), 2);
    say(8, 4, "vote", 30, VOTE(1), 2);
    serve(&served);
    cr_assert_eq(check_one(&served, 0), 1 + 2);
    cr_assert_eq(log_cursor_open(flume_log(served.flume), &all, &cursor), OK);
    while (log_next(&cursor, &record) == 1)
        seqs[count++] = record.seq;
    cr_assert_eq(count, 5);
    corpus_delete(&served, seqs[2]);
    corpus_delete(&served, seqs[3]);
    cr_assert_eq(check_one(&served, 0), 1 + 1);
    corpus_stop(&served);
}
