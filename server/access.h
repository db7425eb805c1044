/* Who may do what: Host and Origin rules, tokens, scopes. Pure over the header fields, so that HTTP and WebSocket share one rule. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include "server/api.h"

struct access;

/* Reads the token file (one token a line, # comments; mode must not let others read it: ERR_PERM). */
int access_open(const struct config *config, struct access **ret_access);
void access_free(struct access *access); /* NULL is fine */

struct access_request {
    struct slice host, origin, authorization; /* header fields; data NULL = absent */
    bool unsafe;                              /* POST, or a WebSocket handshake */
    bool open;                                /* a route that needs no token */
    bool loopback;                            /* came in through a loopback or Unix door */
};

struct access_grant {
    bool public_only;
    bool may_append;
    bool cors; /* the origin is on the list: answer with Access-Control-Allow-Origin */
    const char
        *problem; /* NULL, or the name of the problem to answer with (foreign-host, foreign-origin, token-needed) */
    const char *detail;
};

/* Host must be a name of ours (localhost, an address of loopback, the host of a --listen, --allow-host; any port); Origin, on unsafe requests, must be same as Host or on the
 * list of --allow-origin; with a token file a valid `Authorization: Bearer TOKEN` is needed (constant time), unless --public grants public reading. */
void access_check(const struct access *access, const struct access_request *request, struct access_grant *ret_grant);

#endif
