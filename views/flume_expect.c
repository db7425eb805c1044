#include "views/flume_expect.h"

#include <inttypes.h>

#include "store/err.h"
#include "store/log.h"

static bool expect_fits(const struct flume_expect *expect, const struct feed_state *state)
{
    if (!state->exists) return expect->none;
    if (expect->some) return true;
    for (size_t i = 0; i < expect->count; i++)
        if (ref_equal(&expect->heads[i], &state->id)) return true;
    return false;
}

static int expect_stale(const struct ref *author, const struct feed_state *state)
{
    char feed[REF_TEXT_MAX], id[REF_TEXT_MAX];
    int feed_len = (int)ref_print(author, feed);
    if (!state->exists) return err_set(ERR_STALE, "the feed %.*s has no message yet", feed_len, feed);
    int id_len = (int)ref_print(&state->id, id);
    return err_set(ERR_STALE, "the newest message of %.*s is %.*s, its %" PRId64 ".: that is not what was expected",
                   feed_len, feed, id_len, id, state->sequence);
}

/* Was that feed looked at before? */
static bool expect_seen(const struct feed_message *messages, const size_t *feeds, size_t feed_count, size_t i)
{
    for (size_t k = 0; k < feed_count; k++)
        if (ref_equal(&messages[feeds[k]].author, &messages[i].author)) return true;
    return false;
}

int expect_feeds(const struct flume_expect *expect, const struct feed_message *messages, size_t count,
                 expect_state_fn *state, void *ctx, size_t *ret_index, struct ref *ret_head)
{
    size_t feeds[EXPECT_FEEDS_MAX], feed_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct feed_state now;
        if (expect_seen(messages, feeds, feed_count, i)) continue;
        *ret_index = i;
        if (feed_count == EXPECT_FEEDS_MAX)
            return err_set(ERR_INVALID, "messages of more than %d feeds cannot be made to depend on where these are",
                           EXPECT_FEEDS_MAX);
        feeds[feed_count++] = i;
        int err = state(ctx, &messages[i].author, &now);
        if (err != OK) return err;
        if (expect_fits(expect, &now)) continue;
        *ret_head = now.exists ? now.id : (struct ref){ .kind = REF_NONE };
        return expect_stale(&messages[i].author, &now);
    }
    return OK;
}

int expect_log(const struct flume_expect *expect, int64_t since)
{
    if (since == SEQ_EMPTY ? expect->none || expect->head == since : expect->some || expect->head == since) return OK;
    return err_set(ERR_STALE, "the newest record of the log is %" PRId64 ": that is not what was expected", since);
}
