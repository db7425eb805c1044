/* The secret file of an SSB identity (~/.ssb/secret, as npm ssb-keys 8.5.0 writes it): the key that signs its feed and opens what is
 * encrypted to it.
 *
 * JSON, and comments from a '#' to the end of the line: {"curve":"ed25519","public":"<32 bytes>.ed25519","private":"<64 bytes>.ed25519",
 * "id":"@<32 bytes>.ed25519"}, bytes in base64. The private key is libsodium's form (seed, public key). An id without its sigil, or none at all,
 * is made of "public". Nothing of the file ever stands in an error text. */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "store/ref.h"

#define KEYS_SECRET_BYTES 64
#define KEYS_FILE_MAX 16384 /* bytes of a secret file */

struct keys {
    struct ref id;                     /* REF_FEED */
    uint8_t secret[KEYS_SECRET_BYTES]; /* ed25519, libsodium's form */
};

/* Reads the file into guarded memory (sodium_malloc: locked where the system allows it, left out of core dumps). Only the owner may have any
 * right to the file, else ERR_PERM; ERR_FORMAT: not a secret file, or its parts do not belong together; ERR_LIMIT: larger than KEYS_FILE_MAX;
 * ERR_NOFILE, ERR_IO, ERR_NOMEM. The caller frees with keys_free. Afterwards any thread may read it. */
int keys_open(const char *path, struct keys **ret_keys);
void keys_free(struct keys *keys); /* wipes it; NULL is fine */

/* The text of such a file, named `path` in errors. `text` is changed (comments become blanks); wiping it is the caller's. */
int keys_parse(const char *path, char *text, size_t len, struct keys *ret_keys);

#endif
