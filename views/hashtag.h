/* Strings of content that are exactly one hashtag, as mentions link to channels: '#' and 1 to 28 characters without white space or another '#'
 * (npm ssb-backlinks 2.1.1, emit-links). */
#ifndef VIEWS_HASHTAG_H
#define VIEWS_HASHTAG_H

#include <stdbool.h>

#include "store/buf.h"

#define HASHTAG_UNITS_MAX 29 /* UTF-16 units, '#' included */
#define HASHTAG_BYTES_MAX (3 * HASHTAG_UNITS_MAX)

/* The next one in `json` from *at on: true, its text (with '#', unescaped) in `out` and its length; *at moves behind it. `json` is text that a
 * parser accepts; of other bytes something is found or not, and nothing outside is read. Keys of objects are no values. */
bool hashtag_next(struct slice json, size_t *at, char out[HASHTAG_BYTES_MAX], size_t *ret_len);

#endif
