/* The rules of the classic feed format: is this value a valid message, and does it follow the last one of its feed?
 * Exactly npm ssb-validate's answers (4.1.4), except that author and signature must be .ed25519: no other
 * curve can be verified, that previous must be null or a string (its loose comparison also takes ["%…"]), and that a
 * text longer than 1 MiB, white space included, is refused unread. Pure functions; any thread. */
#ifndef STORE_FEED_H
#define STORE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/ref.h"

#define FEED_MESSAGE_MAX 8192 /* UTF-16 units of the canonical text with signature */

/* Where a feed stands. A feed without messages: exists == false. */
struct feed_state {
    bool exists;
    struct ref id;    /* of its newest message */
    int64_t sequence; /* of its newest message */
    double timestamp; /* that its newest message claims, ms; NAN if it has no number there */
};

/* A message that was checked by itself, with what the chain rule and the log need. */
struct feed_message {
    struct ref id;
    struct ref author;
    bool has_previous;
    struct ref previous;
    int64_t sequence;
    double timestamp; /* what the author claims, ms; NAN if a later message than the first has no number there */
    struct buf record; /* {"key":…,"value":…,"timestamp":…} as ssb-db stores it; value in compact JSON.stringify form */
    size_t record_head; /* feed.c's own: bytes of the record before its time; 0 = not checked */
};

/* Shape, size, content, signature and id of one value ({previous, author, …}); not its place in the feed. `hmac_key` is 32
 * bytes or NULL (the main network). ERR_INVALID with the reason in the detail; ERR_JSON, ERR_LIMIT, ERR_NOMEM. The
 * record is not made yet: see feed_record. The caller frees with feed_message_free even after an error. */
int feed_check(const char *value, size_t len, const uint8_t *hmac_key, struct feed_message *ret_message);
void feed_message_free(struct feed_message *message); /* NULL is fine */

/* As feed_check without the signature, for `import --trust`. */
int feed_check_unsigned(const char *value, size_t len, struct feed_message *ret_message);

/* Does it come next? OK, ERR_FORK (same or older sequence, or another previous) or ERR_INVALID (a gap); the detail says both sides. */
int feed_check_next(const struct feed_state *state, const struct feed_message *message);

/* Fills message->record. `received` is the log's own timestamp in ms. */
int feed_record(struct feed_message *message, double received);

/* The message that comes next in the author's feed: signed, and checked by feed_check. `content` is compact JSON, an object or a string
 * (encrypted). It claims to be of `now` (ms), or of a moment after the feed's newest message if that claims to be of later. ERR_INVALID if it is no
 * valid message (too long, no type …), ERR_NOMEM. The caller frees with feed_message_free even after an error. */
int feed_next(const struct feed_state *state, const struct ref *author, const uint8_t secret_key[64], double now,
              struct slice content, struct feed_message *ret_message);

/* Signs the canonical text of a value without signature with a 64 byte ed25519 secret key (libsodium's form) and appends the
 * signed message in compact form to `out`. */
int feed_sign(const char *unsigned_value, size_t len, const uint8_t secret_key[64], const uint8_t *hmac_key,
              struct buf *out);

#endif
