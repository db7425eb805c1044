/* View "channels": the channels of a message, their names made equal (channel_name.h): content.channel, and hashtags that its content links to
 * (hashtag.h). Field `channel`. */
#ifndef VIEWS_VIEW_CHANNELS_H
#define VIEWS_VIEW_CHANNELS_H

#include "views/said.h"

struct channel_count {
    uint64_t count;   /* messages; those that were deleted later are counted until a rebuild */
    int64_t seq;      /* of the newest */
    struct term term; /* to go on behind it; not of channels_get */
};

/* Channels in byte order: the first after that of the term `after` (NULL = from the start). 1 with its name appended to `name`, 0 = no more. */
int channels_next(const struct flume_read *read, const struct term *after, struct buf *name,
                  struct channel_count *ret_count);

/* The same of the channel of that term, if its newest message is the one at `seq`: 1, 0 = it is not. */
int channels_at(const struct flume_read *read, const struct term *term, int64_t seq, struct buf *name,
                struct channel_count *ret_count);

/* One channel, by its name as a query has it: 1, 0 = no message is in it, ERR_ARG = no channel can be called that. Its name made equal is appended. */
int channels_get(const struct flume_read *read, struct slice asked, struct buf *name, struct channel_count *ret_count);

#define CHANNELS_VIEWS (VIEW_MASK(channels) | VIEW_MASK(types))

/* Who is subscribed to it, by messages {"type":"channel","channel":NAME,"subscribed":true}; of each author the last one in the log counts. */
int channels_subscribers(const struct flume_read *read, struct slice asked, struct said_list *ret_subscribers);

/* 1 = the message, of type channel, subscribes its author, 0 = it ends that, -1 = it is about another channel. */
int channel_subscribes(struct slice asked, const struct message *message);

#endif
