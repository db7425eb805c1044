#include "store/base64.h"

#include <sodium.h>

bool base64_read(struct slice text, int variant, uint8_t *ret_bytes, size_t max, size_t *ret_len)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] >= 0x80) return false;
    return sodium_base642bin(ret_bytes, max, text.data, text.len, NULL, ret_len, NULL, variant) == 0;
}

bool base64_read_exactly(struct slice text, int variant, uint8_t *ret_bytes, size_t len)
{
    size_t got = 0;
    return base64_read(text, variant, ret_bytes, len, &got) && got == len;
}
