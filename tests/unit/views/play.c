#include "tests/unit/views/play.h"

#include "store/err.h"

void play_open(struct play *play, size_t records)
{
    play->dice = dice_make();
    corpus_make(&play->dice, records, &play->corpus);
    corpus_serve(&play->corpus, &play->served);
    PLAY_ASSERT(play, flume_read_begin(play->served.flume, &play->read) == OK);
}

void play_close(struct play *play)
{
    flume_read_end(&play->read);
    corpus_stop(&play->served);
    corpus_free(&play->corpus);
}
