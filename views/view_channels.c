/* View "channels": the channel of a message (content.channel), its name made equal. Field `channel`. */
#include "store/err.h"
#include "views/channel_name.h"
#include "views/view.h"

static int channel_parse(const char *text, size_t len, struct term *ret_term, bool *ret_negate)
{
    char name[CHANNEL_BYTES_MAX];
    size_t n = channel_normalize(text, len, name);
    if (n == 0) return err_set(ERR_ARG, "channel: a name like solarpunk is wanted");
    term_of_string(name, n, ret_term);
    *ret_negate = false;
    return OK;
}

static int channel_emit(const struct message *message, term_fn *fn, void *ctx)
{
    char name[CHANNEL_BYTES_MAX];
    struct term term;
    if (message->channel.data == NULL) return 0;
    size_t n = channel_normalize(message->channel.data, message->channel.len, name);
    if (n == 0) return 0;
    term_of_string(name, n, &term);
    return fn(ctx, &term);
}

const struct view_ops view_channels_ops = {
    .name = "channels",
    .version = 2,
    .fields = (const struct field[]){ { "channel", channel_parse, channel_emit }, { NULL, NULL, NULL } },
};
