/* Base64 of ASCII alone. libsodium 1.0.18 takes every byte beyond ASCII for a slash (underscore in the URL-safe variants), so that one value could
 * be written in several ways. */
#ifndef STORE_BASE64_H
#define STORE_BASE64_H

#include <stdbool.h>

#include "store/buf.h"

/* The whole of `text`, in a variant of libsodium's (sodium_base64_VARIANT_…). false = it is none, or has more than `max` bytes. */
bool base64_read(struct slice text, int variant, uint8_t *ret_bytes, size_t max, size_t *ret_len);

/* The same, of just `len` bytes. */
bool base64_read_exactly(struct slice text, int variant, uint8_t *ret_bytes, size_t len);

#endif
