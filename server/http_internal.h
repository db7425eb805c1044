/* What the files http*.c share. An exchange is one request with its answer, from the request
 * line until libmicrohttpd says that it is over; then, and only then, it is freed or used for another request.
 *
 * Locks: http->lock may be held while libmicrohttpd's suspend and resume are called, and is never held while a
 * handler or a reader of rows runs. */
#ifndef SERVER_HTTP_INTERNAL_H
#define SERVER_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/access.h"
#include "server/api.h"
#include "server/body_rooms.h"
#include "server/gate.h"
#include "server/jobs.h"

struct exchange;

struct exchange_list {
    struct exchange *first;
};

/* http_ready.c: responses kept for the next answers of that length, and the longest body that they are kept for. */
#define READY_SLOTS 1024
#define READY_SLOT_MAX 32   /* in one of them: as many are answered at once, and sent after that */
#define READY_SPARE_MAX 256 /* besides the first one of each */
#define READY_BODY_MAX ((size_t)2 << 10)
struct ready;
struct ready_slot {
    struct ready *first; /* the one used last */
    size_t count;
};

/* What belongs to a connection. libmicrohttpd tells of a request as soon as its first line is there, but of its end only if
 * a handler was called: a request that the library refuses itself is found again here. */
struct http_connection {
    struct exchange *open;
    struct gate_times times; /* see gate_watch */
    struct gate_place place; /* not to be left by it: on_connection does that */
    bool loopback;           /* which door it came through: gate.h */
    bool slow;               /* its last query took long: the next one is not even tried on an HTTP thread */
    int wary;  /* how many of its next queries are tried on a thread for pages, because one before them took long */
    int heavy; /* how many of its last answers, up to HTTP_HEAVY_TIMES, took not so long but as long as many others */
};

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct MHD_Daemon *bulk; /* connections that began with a large body: between two of its pieces nobody else waits */
    pthread_t beat_thread;
    struct jobs *jobs;  /* what takes longer than others can wait for it */
    struct jobs *pages; /* pages of many rows; as many as there are connections */
    struct turns *turns;
    struct body_rooms *rooms; /* large bodies that are under way */

    pthread_mutex_t lock;
    pthread_cond_t
        changed;         /* the server stops; from then on also: an exchange is over, a handler has left or was woken */
    uint64_t generation; /* counts wakes: a stream that found nothing looks again if this moved meanwhile */
    struct exchange_list live;   /* suspended streams */
    struct exchange_list parked; /* suspended requests whose handler waits */
    size_t exchanges;            /* under way */
    struct exchange *spare;      /* over; by `next` */
    size_t spare_count;
    struct ready_slot ready[READY_SLOTS]; /* by length */
    size_t ready_spare;                   /* besides the first one of each slot */
    size_t waiting;  /* suspended, and not resumed yet: handlers that answered API_WAIT, and jobs */
    int64_t streams; /* live streams open */

    /* without the lock: */
    _Atomic int64_t held;    /* bytes of bodies and answers in memory: exchange_hold */
    _Atomic int64_t flowing; /* streams, and bodies of many bytes, that are not suspended */
    _Atomic int64_t wide;    /* of them, those whose send buffer is free */
    _Atomic size_t handling; /* handlers running now; counted before `ending` is looked at */
    _Atomic bool stopping;   /* streams end after what they have, connections close after their answer */
    _Atomic bool ending;     /* no handler is called and nothing suspended any more */
};

/* The handler's wait. resume() may come on any thread as soon as the handler has arranged it, also before it has
 * returned. */
enum exchange_state {
    EXCHANGE_RUNNING,
    EXCHANGE_PARKED,     /* suspended, in http->parked */
    EXCHANGE_CANCELLING, /* suspended, http_stop is asking for the end of its wait */
    EXCHANGE_WOKEN,
};

struct exchange_fields {
    struct slice host, origin, referer, authorization, content_length, content_encoding, transfer_encoding, upgrade,
        socket_protocol, preflight_method;
    size_t bytes;   /* of all of them, cookies twice */
    bool ambiguous; /* a field that decides something stands twice */
    bool odd;       /* a field that others would read differently */
    bool old;       /* HTTP/1.0 */
};

struct exchange {
    struct http *http;
    struct MHD_Connection *connection;
    struct http_connection *owner;
    struct exchange *next, **link; /* in a list of http; link == NULL: in none */
    struct buf target;             /* as sent, terminated */
    struct api_request req;
    struct api_reply reply;
    struct exchange_fields fields;
    struct access_grant grant;
    struct ready *ready; /* whose response is being sent; NULL = one made for this answer */
    struct buf body;
    uint64_t received; /* bytes of body, kept or not */
    int64_t held;      /* its share of http->held */
    bool begun;
    bool refused; /* the reply is a problem made before any handler */
    bool close;   /* the connection is no good any more */
    enum exchange_state state;
    struct job job;
    struct gate_query query; /* while it is one of the jobs */
    bool done;               /* a job has made the reply */

    /* the stream of the reply */
    struct buf out; /* framed rows not yet given to libmicrohttpd */
    size_t out_at;
    uint64_t seen;   /* http->generation before the last look */
    int64_t last_ms; /* when bytes were given last */
    bool finished;   /* nothing follows `out` */
    bool slow;       /* the next row has to be looked for by a job */
    bool counted;    /* in http->streams */
    bool flows;      /* in http->flowing; also a body of many bytes */
    bool wide;       /* in http->wide */
    size_t flown;    /* bytes since it began to flow, up to when it was looked at */
    uint64_t turn;   /* http_turns.c; 0 = none */
    size_t given;    /* bytes in this turn */
};

void exchange_list_add(struct exchange_list *list, struct exchange *exchange); /* under http->lock */
void exchange_list_remove(struct exchange *exchange); /* under http->lock; in no list is fine */

/* ---- http_exchange.c: callbacks of libmicrohttpd ---- */

void *exchange_open(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result exchange_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **state);
void exchange_over(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why);

/* Counts what the exchange keeps in memory for its client now; false = all of them together keep more than
 * --buffered-max. */
bool exchange_hold(struct exchange *exchange);

void exchange_free_spare(struct http *http);
/* Gives back the exchange that the library never ended. */
void connection_drop(struct http *http, struct http_connection *owner);

struct buf buf_renew(struct buf old, size_t max); /* empty, with the memory of `old` */

/* ---- http_head.c ---- */

/* Takes the method, the fields and the target over from the library and judges them: framing, length of the target, access, kind and announced
 * length of the body. What is wrong is in the reply then, and exchange->refused; with exchange->close nothing may be read after it. A body that
 * goes into a file has its req.upload from here on. */
void head_judge(struct exchange *exchange, const char *method, const char *version);

/* The problem that was made is the answer, and no handler is called. false, for whoever answers with it. */
bool exchange_refuse(struct exchange *exchange);

/* ---- http_body.c ---- */

/* More of the body, or its end, is waited for: gate_sweep ends a request whose body is silent, or comes drop by drop. */
void body_awaited(struct exchange *exchange, int64_t now_ms);

/* A piece of the body is kept, or given to the upload, or thrown away where the request is refused; exchange->refused if it is now. MHD_NO = the
 * connection is cut. */
enum MHD_Result body_take(struct exchange *exchange, const char *data, size_t len);

/* Makes the problem; false. */
bool body_too_large(struct exchange *exchange);

/* ---- http_handler.c ---- */

/* Calls the handler until it is done; true = it waits, or was given away: the exchange is not touched any more. */
bool handler_run(struct exchange *exchange);
void handler_resume(void *ctx); /* ends its wait, from any thread */

bool handler_enter(struct exchange *exchange); /* false = the server ends, and no handler may be called */
void handler_left(struct http *http);          /* after an enter that was true */
void handler_closing(struct exchange *exchange);

/* One round over the handlers that wait: ends those waits that can be ended. Only http_stop. */
void exchange_cancel_waits(struct http *http);

void time_after(int64_t ms, struct timespec *ret_time);

/* ---- http_turns.c ---- */

struct turns;
int turns_start(size_t count, struct turns **ret_turns);
void turns_stop(struct turns *turns); /* NULL is fine */

/* Do so many clients take bytes that they have to take turns? */
bool turns_crowded(const struct http *http);

/* Before a block of an answer is made: true = others are to have theirs first, and the connection is suspended until then. What is given is
 * counted in exchange->given. */
bool turn_wait(struct exchange *exchange);
void turn_end(struct exchange *exchange); /* it has all that it wants, or waits for something else than its turn */

void stream_flows(struct exchange *exchange,
                  bool flows); /* counted among those that take bytes; more than once is fine */

/* ---- http_slow.c ---- */

/* What may be looked for on an HTTP thread, in ms; what takes longer is begun anew, or gone on with, by a job. The less, the more jobs there are. */
#define HTTP_PATIENCE 5
#define HTTP_PATIENCE_BUSY 1
#define PAGE_PATIENCE 100 /* on a thread for pages */
int64_t http_patience(const struct http *http);

int64_t clock_us(clockid_t clock);

/* What a query of a connection may take on an HTTP thread, in us, before the next one is begun on a thread for pages: much more than a message costs. */
#define HTTP_HEAVY 150
#define HTTP_HEAVY_TIMES 2 /* one after the other: a thread that was interrupted takes long, too */
#define HTTP_WARY_TIMES 8  /* queries of a connection after one that took long */
/* What an answer took: nothing is said of a handler that waits, or is begun anew. */
void owner_weigh(struct http_connection *owner, int64_t took_us);

/* Suspends the connection and gives the exchange away to job.work, which ends with exchange_give_back: from then on it is not touched. Not under
 * http->lock. OK; ERR_QUEUE = there are too many jobs, or the server ends; ERR_SHARE = too many of its address. */
int exchange_give(struct exchange *exchange, struct jobs *jobs, void (*work)(void *ctx));
void exchange_give_back(struct exchange *exchange); /* resumes it */

/* The handler is begun anew by a job, because of what it has just answered; false = it cannot be, and the problem is made. */
bool handler_give(struct exchange *exchange);
/* The handler is begun by a job if this connection's queries take long; false = it has to be called here. */
bool handler_give_first(struct exchange *exchange);

/* ---- http_answer.c ---- */

enum MHD_Result exchange_answer(struct exchange *exchange);

/* ---- http_ready.c ---- */

/* The response for a short ordinary answer, which is the exchange's until ready_over; NULL = one has to be made.
 * *ret_complete: it has the fields that are the same in every answer. */
struct MHD_Response *ready_response(struct exchange *exchange, bool *ret_complete);
void ready_over(struct exchange *exchange); /* the library is done with it */
void ready_free_all(struct http *http);

/* ---- http_stream.c ---- */

/* Takes a place among the live streams and gives the response; NULL and *ret_full if there is none left. */
struct MHD_Response *stream_response(struct exchange *exchange, bool *ret_full);
void stream_over(struct exchange *exchange);
/* Resumes suspended streams: all, or those that were silent for `silent_ms`. Under http->lock. */
void stream_resume(struct http *http, int64_t silent_ms);

#endif
