/* A look at the head of a request that was peeked from a socket: is it one that everybody reads the same way, and where
 * does the connection belong? */
#ifndef SERVER_HANDSHAKE_H
#define SERVER_HANDSHAKE_H

#include <stdbool.h>

#include "store/buf.h"

struct handshake {
    struct slice method, target;
    struct slice host, origin, authorization; /* trimmed; data NULL = absent */
    struct slice content_type, content_length, transfer_encoding;
    struct slice socket_key, socket_version; /* Sec-WebSocket-… */
    struct slice socket_protocol;            /* the first such field: it may stand several times */
    size_t cookies;                          /* bytes of them: the library keeps them twice */
    int minor;                               /* of the version: HTTP/1.0, HTTP/1.1 … */
    bool websocket, hop;                     /* Upgrade asks for a WebSocket, Connection for an upgrade */
    bool upgrade;                            /* both */
};

/* Why a head is refused: a name of problems.def and a sentence. Static texts. */
struct handshake_fault {
    const char *problem;
    const char *detail;
};

/* Where the request line begins: one empty line before it is passed over (RFC 9112 2.2). */
size_t handshake_start(const char *data, size_t len);

/* The length of the head with its empty line at the start of `data`, 0 if it is not whole yet. */
size_t handshake_end(const char *data, size_t len);

/* Judges bytes that belong to a head before all of it is there: `data` begins at its start, the bytes before `seen` were
 * found good. NULL if they are good so far. */
const struct handshake_fault *handshake_glance(const char *data, size_t len, size_t seen);

/* Judges a whole head, more strictly than libmicrohttpd reads it: whatever two readers could take differently is refused.
 * NULL if it is good; only then ret_handshake is filled. Its slices point into `data`. */
const struct handshake_fault *handshake_judge(const char *data, size_t len, struct handshake *ret_handshake);

/* A whole, good head of HTTP/1.1? */
bool handshake_parse(const char *data, size_t len, struct handshake *ret_handshake);

/* Does a good head ask for a WebSocket of the version that is spoken, at /live? */
bool handshake_live(const struct handshake *handshake);

/* What is wrong with a handshake for /live: a key that is none, a body. NULL if nothing is. */
const struct handshake_fault *handshake_live_judge(const struct handshake *handshake);

/* Does a comma-separated field hold this word, in any case? */
bool handshake_has_word(struct slice field, const char *word);

/* A method or the name of a field (RFC 9110 5.6.2)? */
bool handshake_token(struct slice text);

/* A value of a field without control characters? */
bool handshake_value(struct slice text);

#endif
