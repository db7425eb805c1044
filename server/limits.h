/* Limits that are not options. limits.def is the list of all, with what comes of going past them: GET /limits and README.md show it. */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include <stddef.h>

#define LIMIT_HEAD_BYTES \
    ((size_t)12 << 10) /* of a request beside --target-max; more would not fit libmicrohttpd's memory */
#define HEAD_TOO_LARGE "the header fields have more bytes than this server takes (cookies count twice)"
#define LIMIT_FIELDS 100                   /* the library spends memory on each field, cookie and parameter, too */
#define LIMIT_ABOUT_IDS 50                 /* of one GET /about */
#define LIMIT_LINK_BYTES ((size_t)4 << 10) /* of the URL in a Link field: it has to fit beside the largest head */
#define LIMIT_PAGE_BYTES ((size_t)4 << 20) /* of a JSON page: then `next` goes on */
#define LIMIT_WHOLE_BYTES \
    ((size_t)16 << 20) /* of an answer that has no pages: /about, and /contacts/{id} with all its lists */
#define LIMIT_APPENDS_WAITING ((size_t)64 << 20) /* bytes of messages in the queue of the indexer */
#define LIMIT_NEAR_FEEDS \
    ((int64_t)1 << 22)        /* in the filters by hops and the followed graphs of all clients; 33 and 40 bytes each */
#define LIMIT_EXPRESSIONS 100 /* of the votes on a message, counted one by one; others are in the sum alone */
#define LIMIT_OPERATIONS 64   /* of a WebSocket client, whose answers it has not read */
#define LIMIT_FRAMES_AHEAD ((size_t)128 << 10) /* bytes of frames made for a client at once */

#endif
