#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/unit/views/play.h"
#include "tests/support/flume_kit.h"
#include "views/view_feeds.h"

#define RECORDS 500

/* The author's messages by sequence, those of one sequence in log order. */
static size_t naive_feed(const struct play *play, const struct ref *author, struct feed_entry *entries)
{
    size_t count = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        const struct message *message = &play->corpus.messages[i];
        if (!message->has_sequence || !ref_equal(&message->author_ref, author)) continue;
        size_t at = count++;
        for (; at > 0 && entries[at - 1].sequence > message->sequence; at--)
            entries[at] = entries[at - 1];
        entries[at] = (struct feed_entry){ message->sequence, play->corpus.records[i].seq };
    }
    return count;
}

static size_t naive_range(const struct feed_entry *feed, size_t count, int64_t sequence, size_t skip, bool reverse,
                          struct feed_entry *entries, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < count && n < max; i++) {
        const struct feed_entry *entry = &feed[reverse ? count - 1 - i : i];
        if (reverse ? entry->sequence > sequence : entry->sequence < sequence) continue;
        if (entry->sequence == sequence && skip > 0) {
            skip--;
            continue;
        }
        entries[n++] = *entry;
    }
    return n;
}

Test(view_feeds, ranges_are_those_of_a_loop)
{
    struct play play;
    struct feed_entry feed[RECORDS], expected[RECORDS], got[RECORDS];
    play_open(&play, RECORDS);
    for (unsigned author = 0; author <= CORPUS_AUTHORS; author++) {
        struct ref id;
        corpus_ref(REF_FEED, author, &id);
        size_t count = naive_feed(&play, &id, feed);
        for (int round = 0; round < 200; round++) {
            bool reverse = round % 2 == 1;
            int64_t sequence = count > 0 && round % 3 > 0 ? feed[dice_roll(&play.dice, count)].sequence
                                                          : (int64_t)dice_roll(&play.dice, RECORDS + 9) - 4;
            size_t skip = dice_roll(&play.dice, 3), max = dice_roll(&play.dice, 40);
            size_t n = naive_range(feed, count, sequence, skip, reverse, expected, max);
            PLAY_ASSERT(&play, feeds_range(&play.read, &id, sequence, skip, reverse, got, max) == (int)n);
            PLAY_ASSERT(&play, memcmp(got, expected, n * sizeof *got) == 0);
        }
    }
    play_close(&play);
}

Test(view_feeds, newest_messages_and_single_ones_are_those_of_a_loop)
{
    struct play play;
    struct feed_entry feed[RECORDS];
    struct feed_latest latest;
    struct log_record record;
    play_open(&play, RECORDS);
    for (unsigned author = 0; author <= CORPUS_AUTHORS; author++) {
        struct ref id;
        corpus_ref(REF_FEED, author, &id);
        size_t count = naive_feed(&play, &id, feed);
        PLAY_ASSERT(&play, feeds_latest(&play.read, &id, &latest) == (count > 0 ? OK : ERR_NOTFOUND));
        size_t newest = count;
        while (newest > 0 && feed[newest - 1].sequence == feed[count - 1].sequence)
            newest--;
        PLAY_ASSERT(&play, count == 0 || (latest.sequence == feed[newest].sequence && latest.seq == feed[newest].seq));
        PLAY_ASSERT(&play, count == 0 || ref_equal(&latest.author, &id));
        for (size_t i = 0; i < count; i++) {
            if (i > 0 && feed[i].sequence == feed[i - 1].sequence) continue;
            PLAY_ASSERT(&play, feeds_get(&play.read, &id, feed[i].sequence, &record) == OK);
            PLAY_ASSERT(&play, record.seq == feed[i].seq);
        }
        PLAY_ASSERT(&play, feeds_get(&play.read, &id, RECORDS + 1, &record) == ERR_NOTFOUND);
        PLAY_ASSERT(&play, feeds_get(&play.read, &id, -1, &record) == ERR_NOTFOUND);
    }
    play_close(&play);
}

Test(view_feeds, authors_come_in_the_order_of_their_bytes)
{
    struct play play;
    struct feed_latest forward[CORPUS_AUTHORS + 1], latest;
    size_t count = 0;
    play_open(&play, RECORDS);
    while (feeds_next(&play.read, count > 0 ? &forward[count - 1].author : NULL, false, &forward[count]) == 1) {
        if (count > 0) PLAY_ASSERT(&play, memcmp(forward[count - 1].author.id, forward[count].author.id, 32) < 0);
        count++;
    }
    PLAY_ASSERT(&play, count == CORPUS_AUTHORS);
    for (size_t i = count; i > 0; i--) {
        PLAY_ASSERT(&play, feeds_next(&play.read, i < count ? &forward[i].author : NULL, true, &latest) == 1);
        PLAY_ASSERT(&play, ref_equal(&latest.author, &forward[i - 1].author));
    }
    PLAY_ASSERT(&play, feeds_next(&play.read, &forward[0].author, true, &latest) == 0);
    play_close(&play);
}

/* Two messages of one sequence, by the first author who has such: the dice give a single author none once in a hundred and fifty
 * times. The place of the first of them in `feed`. */
static size_t find_fork(const struct play *play, struct ref *ret_author, struct feed_entry *feed)
{
    for (unsigned author = 0; author < CORPUS_AUTHORS; author++) {
        corpus_ref(REF_FEED, author, ret_author);
        size_t count = naive_feed(play, ret_author, feed);
        for (size_t i = 0; i + 1 < count; i++)
            if (feed[i].sequence == feed[i + 1].sequence) return i;
    }
    cr_assert_fail("SLUICE_TEST_SEED=%llu gives no fork", (unsigned long long)play->dice.seed);
    return 0;
}

Test(view_feeds, a_deleted_message_gives_way_to_the_next_of_its_sequence)
{
    struct play play;
    struct feed_entry feed[RECORDS];
    struct ref id;
    struct log_record record;
    play_open(&play, RECORDS);
    size_t i = find_fork(&play, &id, feed);
    corpus_delete(&play.served, feed[i].seq);
    PLAY_ASSERT(&play, feeds_get(&play.read, &id, feed[i].sequence, &record) == OK);
    PLAY_ASSERT(&play, record.seq == feed[i + 1].seq);
    play_close(&play);
}

Test(view_feeds, of_two_newest_messages_the_first_one_stays)
{
    char author[REF_TEXT_MAX + 1], lines[3][200];
    struct corpus_flume served;
    struct flume_read read;
    struct feed_latest latest;
    struct ref id;
    int64_t seq;
    corpus_ref(REF_FEED, 0, &id);
    corpus_text(REF_FEED, 0, author);
    for (int i = 0; i < 3; i++)
        (void)snprintf(lines[i], sizeof lines[i],
                       "{\"value\":{\"author\":\"%s\",\"sequence\":9,\"content\":{\"n\":%d}}}", author, i);
    const char *const texts[] = { lines[0], lines[1] };
    corpus_serve_texts(texts, 2, &served);
    cr_assert_eq(kit_append_text(served.flume, lines[2], false, &seq), OK);
    corpus_settle(&served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(feeds_latest(&read, &id, &latest), OK);
    cr_assert(latest.sequence == 9 && latest.seq == 0);
    flume_read_end(&read);
    corpus_stop(&served);
}
