/* References of SSB: %message, @feed and &blob ids, as text, as 33 bytes, and as `ssb:` URIs.
 *
 * Text form (npm ssb-ref): sigil, 44 characters of canonical base64 (32 bytes), suffix. Only canonical base64 is
 * taken, so that text -> bytes -> text gives the same text again. Sources: ssb-ref 2.16.0, ssb-uri2 2.4.1. */
#ifndef STORE_REF_H
#define STORE_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

enum ref_kind {
    REF_NONE = 0,
    REF_MESSAGE = '%',     /* %….sha256 */
    REF_CLOAKED = 'c',     /* %….cloaked, the id of a private group */
    REF_FEED = '@',        /* @….ed25519 */
    REF_FEED_SHA256 = 'a', /* @….sha256: ssb-ref calls it a feed; no such key can sign */
    REF_BLOB = '&',        /* &….sha256 */
};

struct ref {
    uint8_t kind; /* enum ref_kind */
    uint8_t id[32];
};

#define REF_TEXT_MAX 53 /* "@" + 44 + ".ed25519", without a terminator */
#define REF_URI_MAX 80

/* Exactly one reference and nothing else: OK or ERR_REF. */
int ref_parse(const char *text, size_t len, struct ref *ret_ref);

/* As ref_parse, but leaves no error text: for places where most texts are no reference. */
bool ref_try(const char *text, size_t len, struct ref *ret_ref);

/* An id as people paste it: the text form, percent-encoded (once, whole or in part), with spaces where a form decoder ate
 * the plusses, URL-safe base64 with or without padding and sigil-led, or an ssb: URI (ssb:message|feed|blob/classic/…, the
 * spellings ssb:x:classic:…, ssb://x/classic/…, and the older format names sha256 and ed25519). */
int ref_parse_any(const char *text, size_t len, struct ref *ret_ref);

/* How many bytes at the start of `text` are one raw text-form id ("%abc…=.sha256/raw" -> 52), 0 if none. For finding
 * an unescaped id in a raw request target, before any percent-decoding. */
size_t ref_prefix(const char *text, size_t len);

/* Text form, at most REF_TEXT_MAX bytes, not terminated. Answers its length. */
size_t ref_print(const struct ref *ref, char *out);

/* ssb: URI, at most REF_URI_MAX bytes, not terminated. Answers its length; 0 for kinds without a URI. */
size_t ref_print_uri(const struct ref *ref, char *out);

/* Canonical base64 of the bytes of a signature, without its suffix? */
#define REF_SIGNATURE_TEXT 88
#define REF_SIGNATURE_BYTES 64
bool ref_signature(const char text[REF_SIGNATURE_TEXT], uint8_t ret_bytes[REF_SIGNATURE_BYTES]);

bool ref_equal(const struct ref *a, const struct ref *b);

#endif
