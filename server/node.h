/* The SSB node whose log is followed: messages are published by handing their content to it, over the Unix socket that it keeps for its owner
 * (~/.ssb/socket; muxrpc, no handshake). The node signs, so that its feed has one writer.
 *
 * One thread has all connections; a call is one connection. Any thread. */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/ref.h"

#define NODE_CALLS_MAX 256 /* that wait or are under way */

struct node;

enum node_outcome {
    NODE_PUBLISHED,
    NODE_ABSENT,  /* nobody listens there: nothing was published */
    NODE_REFUSED, /* the node said no: nothing was published */
    NODE_LOST,    /* it hung up or talked nonsense: perhaps it was published, perhaps not */
    NODE_LATE,    /* no answer in time: the same */
    NODE_CLOSING, /* of ours: the same if it was sent */
};

struct node_call;
typedef void node_done_fn(struct node_call *call); /* once, on the node's thread; the call is its owner's again */

struct node_call {
    struct slice content; /* JSON; the owner's, kept until done */
    int64_t deadline_ms;  /* CLOCK_MONOTONIC */
    node_done_fn *done;
    void *ctx;

    enum node_outcome outcome;
    struct ref id;    /* NODE_PUBLISHED: of the message */
    char detail[512]; /* the other outcomes: the sentence */

    struct node_call *next; /* the queue's */
};

/* The socket need not be there yet. */
int node_start(const char *socket_path, struct node **ret_node);

/* OK = `done` will be called; ERR_QUEUE, ERR_CLOSED = it will not. */
int node_publish(struct node *node, struct node_call *call);

/* Ends all calls (NODE_CLOSING) and refuses new ones. NULL is fine, and so is again. */
void node_stop(struct node *node);
void node_free(struct node *node); /* stops it first; NULL is fine */

/* ".../.ssb/socket" for ".../.ssb/flume/log.offset", where ssb-server keeps both; NULL for other places. The caller frees. */
char *node_socket_of(const char *log_path);

#endif
