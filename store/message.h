/* The message scan: one pass over a record's JSON that finds what the views need. No tree, no allocation in the
 * steady state: a struct message is made once and used for many records.
 *
 * A record of an SSB log is {"key":"%…","value":{"previous","author","sequence","timestamp","hash","content","signature"},
 * "timestamp":T}. Records of any other shape (or any bytes at all) are fine: what is not there is absent.
 * The scan is no validator; it promises that for every text that a JSON parser accepts its answers are those the
 * parser would give (of a key that stands twice, the last counts), and that no bytes make it read
 * outside the record or fail to end. */
#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/ref.h"

/* A string anywhere in value.content, which must be an object, that is exactly one reference. One entry for each place it
 * stands at, in text order. */
struct message_ref {
    struct ref ref;
    struct slice rel; /* the top-level key of content it stands under, unescaped */
    uint32_t at;      /* offset of its opening quote in the record; message_ref_path makes a path of it */
};

struct message {
    struct slice record; /* the bytes scanned */

    /* Strings are unescaped; those that needed it live in `scratch`. data == NULL = absent or not a string. */
    struct slice key; /* as written, whether or not it is a valid id */
    struct slice author;
    struct slice type;    /* content.type */
    struct slice channel; /* content.channel, as written */
    struct slice content; /* raw JSON of value.content; data == NULL = absent */
    struct slice value;   /* raw JSON of value */

    struct ref id;         /* key as a reference; kind REF_NONE = it is none */
    struct ref author_ref; /* kind REF_NONE = author is no feed id */
    struct ref root;       /* content.root, if it is a message id */

    bool has_sequence; /* a whole number from 0 to 2^53-1 */
    int64_t sequence;
    bool has_timestamp; /* value.timestamp is a number that fits a double: what the author claims, ms */
    double timestamp;
    bool has_received; /* the record's own timestamp is a number: when the log got it, ms with fractions */
    double received;

    bool is_private; /* content is a string: an encrypted message */
    bool is_opened;  /* it was one: content is an object, and value.private is true (private_record.h) */

    struct message_ref *refs;
    size_t ref_count;

    /* the scan's own */
    size_t ref_cap;
    struct buf scratch;
    struct message_keys *keys; /* of the objects that are open; NULL before the first scan */
};

/* Text deeper than JSON_DEPTH_MAX, or longer than this, counts as no JSON. */
#define MESSAGE_BYTES_MAX (UINT32_C(1) << 30)

/* References taken from one record; those past it are not found. A message of 8 KiB holds at most 150 of them. */
#define MESSAGE_REFS_MAX 65536

void message_init(struct message *message);
void message_free(struct message *message); /* NULL is fine */

/* Scans `len` bytes, which must stay valid as long as the result is used. OK or ERR_NOMEM: bytes whose brackets, commas,
 * colons and quotes are not JSON's give a message with nothing in it but `record`. Earlier results in `message` are
 * overwritten. One thread at a time for one struct message. */
int message_scan(struct message *message, const char *data, size_t len);

/* Where refs[i] stands, as a JSON Pointer (RFC 6901) into content: "/mentions/0/link". Appends to `out`. */
int message_ref_path(const struct message *message, size_t i, struct buf *out);

/* It is encrypted, or was: not for everybody. */
static inline bool message_is_secret(const struct message *message)
{
    return message->is_private || message->is_opened;
}

/* The time a reader sorts by: min(received, claimed), as ssb-query's rts; what is absent does not count. 0 if both are. */
double message_rts(const struct message *message);

#endif
