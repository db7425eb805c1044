/* One range of bytes (RFC 9110 14): what a Range field asks of something of a known length. */
#ifndef SERVER_BYTE_RANGE_H
#define SERVER_BYTE_RANGE_H

#include <stdint.h>

#include "store/buf.h"

/* RANGE_ALL: no range, one that cannot be understood or several of them, all of which may be answered with the whole. */
enum byte_range { RANGE_ALL, RANGE_PART, RANGE_OUTSIDE };

/* *ret_first and *ret_len are set for RANGE_PART. */
enum byte_range byte_range_read(struct slice field, int64_t length, int64_t *ret_first, int64_t *ret_len);

#endif
