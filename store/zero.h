/* Is a run of bytes all zero? In every log format of the family that is how a deleted record looks. */
#ifndef STORE_ZERO_H
#define STORE_ZERO_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* True for an empty run. */
static inline bool bytes_zero(const void *data, size_t len)
{
    const char *bytes = data;
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

#endif
