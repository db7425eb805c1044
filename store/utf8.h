/* Is this UTF-8? */
#ifndef STORE_UTF8_H
#define STORE_UTF8_H

#include <stddef.h>

/* The length of the well-formed UTF-8 character at `s` (RFC 3629), of which `left` > 0 bytes may be read; 0 if there is none. */
static inline size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t need = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (need <= 1 || need > left) return need == 1 ? 1 : 0;
    unsigned char min = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char max = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < min || s[1] > max) return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    return need;
}

#endif
