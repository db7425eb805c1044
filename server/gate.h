/* Who is connected: one count for all and one for every address, over HTTP and WebSocket alike, and through which
 * kind of door each came. A connection enters when it is accepted and leaves when its descriptor is closed, by
 * whoever closes it (just before). Any thread. */
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/config.h"
#include "server/metrics.h"

struct gate;
int gate_open(const struct config *config, struct metrics *metrics, struct gate **ret_gate);
void gate_free(struct gate *gate); /* NULL is fine */

/* OK, ERR_QUEUE when all connections are taken, ERR_LIMIT when those of this address are (counted as refused). `loopback`: the
 * door is a loopback address or a Unix socket. Unix sockets count for all only: there is no address to tell their
 * clients apart. An IPv6 address stands for its /64. */
int gate_enter(struct gate *gate, int fd, const struct sockaddr *address, bool loopback);

/* Before close(fd). NULL and descriptors that did not enter are fine. */
void gate_leave(struct gate *gate, int fd);

/* A place in the gate, for those who learn of the end of a connection only when its descriptor may be somebody else's
 * already. */
struct gate_place {
    struct gate *gate; /* NULL = none */
    int fd;
    uint64_t ticket;
};
struct gate_place gate_place_of(struct gate *gate, int fd); /* while fd is open */
void gate_place_leave(struct gate_place *place);            /* once; again is fine */

/* A query that takes long, as one of its address. */
struct gate_query {
    struct gate *gate; /* NULL = of none */
    struct gate_address *address;
};

/* ERR_SHARE when the address of who came in at `place` has --queries-per-address under way. Unix sockets, and who has left, have none that
 * could be counted. */
int gate_query_enter(const struct gate_place *place, struct gate_query *ret_query);
void gate_query_leave(struct gate_query *query); /* once, also after the connection has left; again is fine */

/* What a connection waits for; its owner writes here whenever he likes. */
struct gate_times {
    _Atomic int64_t waiting_ms;    /* since when for its next request to begin; 0 = it does not, or nobody minds */
    _Atomic int64_t body_until_ms; /* by when for more of a body; 0 = for none, <0 = gate_tell was called then */
};

/* Has gate_sweep look at `times` until `fd` leaves. */
void gate_watch(struct gate *gate, int fd, struct gate_times *times);

/* Shuts down what has waited for a request for more than `patience_ms`: a head that comes drop by drop is never silent. Whose
 * body is late is told so (408), and shut down when it has had time to read that. Shuts down the reading side of what is waited for and has
 * ended. The owner sees the end and closes. */
void gate_sweep(struct gate *gate, int64_t now_ms, int64_t patience_ms);

/* Ends a request whose body has not ended: the problem is its answer, and the last that is sent. false = gate_tell or gate_body_over
 * was first. While `fd` is open. */
bool gate_tell(struct gate_times *times, int fd, int64_t now_ms, const char *problem, const char *detail);

/* The body is there, and the request will be answered. false = gate_tell was first: nothing may be sent any more. */
bool gate_body_over(struct gate_times *times);

bool gate_loopback(struct gate *gate, int fd); /* false if fd did not enter */

#endif
