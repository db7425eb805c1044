#include <string.h>

#include "server/text.h"
#include "store/err.h"

void json_one_line(struct buf *out, size_t start)
{
    char *end = out->data + out->len;
    for (char *p = out->data + start; (p = memchr(p, '\n', (size_t)(end - p))) != NULL;)
        *p++ = ' ';
    for (char *p = out->data + start; (p = memchr(p, '\r', (size_t)(end - p))) != NULL;)
        *p++ = ' ';
}

void json_put_line(struct buf *out, struct slice text)
{
    size_t start = out->len;
    if (buf_append(out, text.data, text.len) == OK && text.len > 0) json_one_line(out, start);
}

void json_put_valid(struct buf *out, struct slice text)
{
    if (json_valid(text))
        json_put_line(out, text);
    else
        (void)buf_puts(out, "null");
}
