/* Numbers in decimal: each row of an answer has one, so they are made two digits at a time. */
#ifndef STORE_DIGITS_H
#define STORE_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGITS_MAX 20

extern const char digits_pairs[201]; /* 00 01 … 99 */

/* Writes the digits up to the end of `room`; answers where they begin. */
static inline size_t digits_of(uint64_t n, char room[DIGITS_MAX])
{
    size_t at = DIGITS_MAX;
    for (; n >= 100; n /= 100)
        memcpy(room + (at -= 2), digits_pairs + 2 * (n % 100), 2);
    if (n >= 10)
        memcpy(room + (at -= 2), digits_pairs + 2 * n, 2);
    else
        room[--at] = (char)('0' + n);
    return at;
}

#endif
