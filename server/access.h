/* Who may do what: Host and Origin rules, tokens, scopes. Pure over the head of a request, so that HTTP and WebSocket share one rule.
 *
 * The token file: a token a line, behind it its scopes (read, append, private, publish), parted by blanks; without one read and
 * append. private holds read. What follows a '#' that begins a word is a comment. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include "server/api.h"

struct access;

/* Reads the token file. Its mode must not let others read it (ERR_PERM). */
int access_open(const struct config *config, struct access **ret_access);
void access_free(struct access *access); /* NULL is fine */

/* Is there a token with all of these scopes? */
bool access_names(const struct access *access, unsigned scopes);

struct access_request {
    struct slice host, origin, authorization, referer; /* header fields; data NULL = absent */
    struct slice
        protocols; /* Sec-WebSocket-Protocol of a handshake: where browsers can put a token, as "bearer.TOKEN" */
    struct slice target;
    unsigned needs; /* enum api_scope of the route: api_target_needs */
    bool loopback;  /* came in through a loopback or Unix door */
};

struct access_grant {
    bool public_only;
    bool may_append;
    bool may_private;    /* what the owner's secret opens may be seen; never public_only, too */
    bool may_publish;    /* in the owner's name */
    bool cors;           /* the origin is on the list: answer with Access-Control-Allow-Origin */
    bool may_embed;      /* a page on the list asks, without Origin as <img> does: it may show what it gets */
    bool short_token;    /* the token is known, but not good for this */
    const char *problem; /* NULL, or the name of the problem to answer with */
    const char *detail;  /* static text: nothing of the request stands in it */
};

/* Host must be a name of ours (localhost, an address of loopback, the host of a --listen, --allow-host; any port); Origin, where there is one, must be
 * the same as Host or on the list of --allow-origin; no token may stand in the target, where logs and histories would keep it; with a token file a valid
 * `Authorization: Bearer TOKEN` with the scopes of the route is needed (constant time), unless --public grants public reading. A Referer gives nothing but
 * may_embed: pages can leave it out, and cannot put another's into it. */
void access_check(const struct access *access, const struct access_request *request, struct access_grant *ret_grant);

#endif
