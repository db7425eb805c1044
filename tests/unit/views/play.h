/* A random corpus, served and read: what a view says of it is held against a loop over it. */
#ifndef TESTS_UNIT_VIEWS_PLAY_H
#define TESTS_UNIT_VIEWS_PLAY_H

#include <criterion/criterion.h>

#include "tests/support/corpus.h"

struct play {
    struct dice dice;
    struct corpus corpus;
    struct corpus_flume served;
    struct flume_read read;
};

void play_open(struct play *play, size_t records);
void play_close(struct play *play);

#define PLAY_ASSERT(play, condition) \
    cr_assert(condition, "SLUICE_TEST_SEED=%llu: " #condition, (unsigned long long)(play)->dice.seed)

#endif
