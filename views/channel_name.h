/* Names of channels, made equal the way npm ssb-ref (2.16.0, normalizeChannel) does it: in lower case as JavaScript's toLowerCase, without
 * white space and , . ? ! < > ( ) [ ] " #, cut to 30 UTF-16 units. */
#ifndef VIEWS_CHANNEL_NAME_H
#define VIEWS_CHANNEL_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_UNITS_MAX 30
#define CHANNEL_BYTES_MAX (3 * CHANNEL_UNITS_MAX)

/* `text` is UTF-8 (lone surrogates as three bytes; what is none of this becomes U+FFFD). Answers the length written; 0 = no name is left. */
size_t channel_normalize(const char *text, size_t len, char out[CHANNEL_BYTES_MAX]);

/* Is the text one hashtag: '#' and then at least one character, none of them white space or '#', fewer than 30 UTF-16 units in all? */
bool channel_tagged(const char *text, size_t len);

/* Unicode's simple mapping to lower case. */
uint32_t channel_lowercase(uint32_t c);

#endif
