/* The posts of a feed, a channel or a thread for programs that read feeds: Atom (RFC 4287), RSS 2.0, JSON Feed 1.1. Newest first, public posts only:
 * what a reader fetches it keeps and syncs. */
#ifndef SERVER_READER_H
#define SERVER_READER_H

#include "server/api.h"

enum reader_kind { READER_FEED, READER_CHANNEL, READER_THREAD };

struct reader_source {
    enum reader_kind kind;
    struct ref id; /* of the feed, of the root */
    struct slice channel;
};

/* What the client wants of a route that has feeds for readers, too: by format=, else by Accept. An enum api_format, those of readers among them, or
 * -1: the problem is made. */
int reader_format(const struct api_request *req, struct api_reply *reply);
#define READER_PARAMS "format"

/* The answer, once *format is one of them: API_WAIT or API_DONE. `limit` is the only parameter beside those of freshness. */
int reader_answer(struct api_request *req, struct api_reply *reply, int format, const struct reader_source *source);

#endif
