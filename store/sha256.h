/* SHA-256 by what the processor has for it: OpenSSL's, in about a quarter of the time that libsodium's takes. Cannot fail; any thread. */
#ifndef STORE_SHA256_H
#define STORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32

/* May be copied, to go on from here twice. */
struct sha256 {
    uint32_t words[28]; /* an SHA256_CTX */
};

void sha256_begin(struct sha256 *ret_state);
void sha256_add(struct sha256 *state, const void *data, size_t len);
void sha256_end(struct sha256 *state, uint8_t ret_hash[SHA256_BYTES]);

#endif
