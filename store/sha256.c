#include "store/sha256.h"

#include <string.h>

/* What OpenSSL has instead asks the allocator for memory with every hash, and so could fail. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

_Static_assert(sizeof(struct sha256) == sizeof(SHA256_CTX), "struct sha256 holds an SHA256_CTX");

/* Its functions answer 1 always, but for arguments that these never give. */

void sha256_begin(struct sha256 *ret_state)
{
    SHA256_CTX ctx;
    (void)SHA256_Init(&ctx);
    memcpy(ret_state, &ctx, sizeof ctx);
}

void sha256_add(struct sha256 *state, const void *data, size_t len)
{
    SHA256_CTX ctx;
    memcpy(&ctx, state, sizeof ctx);
    (void)SHA256_Update(&ctx, data, len);
    memcpy(state, &ctx, sizeof ctx);
}

void sha256_end(struct sha256 *state, uint8_t ret_hash[SHA256_BYTES])
{
    SHA256_CTX ctx;
    memcpy(&ctx, state, sizeof ctx);
    (void)SHA256_Final(ret_hash, &ctx);
}
