/* If-Match and If-None-Match of POST /log: what whoever appends believes of the feed, or of the log. */
#ifndef SERVER_APPEND_EXPECT_H
#define SERVER_APPEND_EXPECT_H

#include "server/api.h"

/* A header field has room for more, and a batch of more feeds is better sent in parts. */
#define APPEND_HEADS_MAX EXPECT_FEEDS_MAX

struct append_expect {
    struct flume_expect expect;
    struct ref heads[APPEND_HEADS_MAX];
};

/* 1 = something is expected, 0 = nothing. ERR_ARG: the field is not a list of ids (accept any: a seq) in quotes, or *. */
int append_expect_read(const struct api_request *req, bool any, struct append_expect *ret_expect);

#endif
