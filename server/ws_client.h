/* One WebSocket connection, between libwebsockets' callbacks and live.h. Service thread only. */
#ifndef SERVER_WS_CLIENT_H
#define SERVER_WS_CLIENT_H

#include "server/api.h"
#include "server/gate.h"
#include "server/live.h"

struct lws;

/* A socket on its way to the service thread, and until its handshake is answered. */
struct ws_arrival {
    struct ws_arrival *next;
    int fd;
    struct gate_place place;
    bool public_only, may_private;
    struct buf target, head;
};

struct ws_client {
    struct ws_client *next, *prev;
    struct lws *wsi;
    struct gate_place place;
    struct live *live;
    struct buf text;       /* of a message that comes in pieces */
    int close_status;      /* once nothing is left to send; 0 = stays open */
    const char *close_why; /* static text */
    bool given_up;         /* closed without sending what is left */
    int64_t asked_ms;      /* since when a writable socket is waited for; 0 = it is not */
    bool deaf;             /* nothing is read from it: what it was given is not out yet */
    bool heard;            /* it has said something, which is read before it is given more */
};

/* The frames of one turn, LWS_PRE bytes of room in front. */
struct ws_turn {
    struct buf out;
    int frames;
    bool more;   /* than one turn takes; false = there was nothing more for the client */
    bool common; /* clients that stand at `from` get the same, and are at `to` then */
    struct live_place from, to;
};

/* What all clients share. */
struct ws_clients {
    struct server *server;
    struct ws_client *first;
    struct ws_turn turn; /* the last one */
    bool closing;
};

#define WS_FRAME_BYTES ((size_t)32 << 20) /* the largest record as base64, with room */

/* Each answers what the lws callback answers: 0, or -1 = close. */
int ws_client_open(struct ws_clients *clients, struct ws_client *client, struct lws *wsi,
                   const struct ws_arrival *arrival);
int ws_client_receive(struct ws_clients *clients, struct ws_client *client, const char *data, size_t len);
/* The client closes; `payload` is that of his close frame. */
int ws_client_peer_close(struct ws_client *client, const char *payload, size_t len);
int ws_client_writable(struct ws_clients *clients, struct ws_client *client);
int ws_client_timer(const struct ws_clients *clients, struct ws_client *client);
void ws_client_closed(struct ws_clients *clients, struct ws_client *client);

/* The head or a view moved. */
void ws_clients_wake(struct ws_clients *clients);
/* Every client is closed with 1001 as soon as its socket takes it. */
void ws_clients_close(struct ws_clients *clients);

#endif
