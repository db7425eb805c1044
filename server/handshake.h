/* A look at the head of a request that was peeked from a socket: just enough to know where the connection belongs. */
#ifndef SERVER_HANDSHAKE_H
#define SERVER_HANDSHAKE_H

#include <stdbool.h>

#include "store/buf.h"

struct handshake {
    struct slice method, target;
    struct slice host, origin, authorization; /* trimmed; data NULL = absent */
    bool upgrade;                             /* a WebSocket is asked for: Upgrade and Connection say so */
};

/* The length of the head with its empty line at the start of `data`, 0 if it is not whole yet. */
size_t handshake_end(const char *data, size_t len);

/* Reads a whole head. false if it is anything unusual (folded or nameless fields, one of the fields above twice, control characters): libmicrohttpd is the
 * judge of those. Slices point into `data`. */
bool handshake_parse(const char *data, size_t len, struct handshake *ret_handshake);

/* A whole, well-formed handshake for /live? */
bool handshake_live(const struct handshake *handshake);

/* Does a comma-separated field hold this word, in any case? */
bool handshake_has_word(struct slice field, const char *word);

#endif
