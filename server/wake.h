/* The way from the indexer to the servers: a flume event wakes the streams of HTTP and WebSocket. Between wake_attach and wake_detach only, so
 * that an event can neither meet a server that is not there yet nor one that is gone. */
#ifndef SERVER_WAKE_H
#define SERVER_WAKE_H

#include <pthread.h>

#include "views/flume.h"

struct http;
struct ws;

struct wake {
    pthread_mutex_t lock; /* held while an event is handed on, so that wake_detach waits for it */
    struct flume *flume;
    struct http *http;
    struct ws *ws;
    struct flume *above; /* a flume over this one's log, which is to look at it as well; may be NULL */
    bool quiet;          /* another one tells of the log */
    bool failed;         /* an event FLUME_FAILED came before there was a flume to ask */
};

void wake_init(struct wake *wake);
void wake_attach(struct wake *wake, struct flume *flume, struct http *http, struct ws *ws);
void wake_above(struct wake *wake, struct flume *above); /* until wake_detach */
void wake_detach(struct wake *wake);                     /* no event reaches the servers any more when it returns */

/* A flume_event_fn; ctx is the struct wake. Indexer thread. */
void wake_event(void *ctx, enum flume_event event);

#endif
