#include "store/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/digits.h"
#include "store/err.h"
#include "store/utf8.h"

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max };
}

void buf_lend(struct buf *buf, char *data, size_t cap, size_t max)
{
    *buf = (struct buf){ .data = data, .cap = cap, .max = max, .lent = true };
}

void buf_free(struct buf *buf)
{
    if (buf == NULL) return;
    if (!buf->lent) free(buf->data);
    *buf = (struct buf){ .max = buf->max };
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->err = OK;
}

static int buf_fail(struct buf *buf, int code)
{
    buf->err = code;
    return code;
}

int buf_reserve(struct buf *buf, size_t extra)
{
    if (buf->err != OK) return buf->err;
    if (extra > buf->max || buf->len > buf->max - extra) return buf_fail(buf, ERR_LIMIT);
    size_t need = buf->len + extra;
    if (need <= buf->cap) return OK;
    size_t cap = buf->cap < 256 ? 256 : buf->cap + buf->cap / 2;
    if (cap < need) cap = need;
    if (cap > buf->max) cap = buf->max;
    char *data = realloc(buf->lent ? NULL : buf->data, cap);
    if (data == NULL) return buf_fail(buf, ERR_NOMEM);
    if (buf->lent) memcpy(data, buf->data, buf->len);
    buf->lent = false;
    buf->data = data;
    buf->cap = cap;
    return OK;
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
    bool fits = buf->err == OK && len <= buf->cap - buf->len;
    int err = fits ? OK : buf_reserve(buf, len);
    if (err != OK || len == 0) return err;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return OK;
}

int buf_putc(struct buf *buf, char c)
{
    if (buf->err != OK || buf->len == buf->cap) return buf_append(buf, &c, 1);
    buf->data[buf->len++] = c;
    return OK;
}

int buf_puts(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    /* vsnprintf writes a terminator behind the text: room for it is reserved, then given back */
    int err = len < 0 ? buf_fail(buf, ERR_ARG) : buf_reserve(buf, (size_t)len + 1);
    if (err == OK) {
        (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return err;
}

int buf_put_int(struct buf *buf, int64_t n)
{
    char digits[DIGITS_MAX];
    size_t at = digits_of(n < 0 ? 0 - (uint64_t)n : (uint64_t)n, digits);
    if (n < 0 && buf_putc(buf, '-') != OK) return buf->err;
    return buf_append(buf, digits + at, sizeof digits - at);
}

static void buf_put_json_char(struct buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *s = shorts; *s != '\0'; s += 2) {
        if ((unsigned char)*s != c) continue;
        const char pair[2] = { '\\', s[1] };
        buf_append(buf, pair, 2);
        return;
    }
    const char unicode[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
    buf_append(buf, unicode, 6);
}

/* A lone surrogate, which JSON text can hold as an escape and our unescaped strings as three bytes (WTF-8): 0xD800 … 0xDFFF, 0 if
 * there is none. */
static unsigned surrogate_at(const unsigned char *s, size_t len)
{
    if (len < 3 || s[0] != 0xED || (s[1] & 0xE0) != 0xA0 || (s[2] & 0xC0) != 0x80) return 0;
    return 0xD000u | (unsigned)(s[1] & 0x3F) << 6 | (s[2] & 0x3Fu);
}

/* How many characters at `s` stand for themselves in a JSON string. */
static size_t json_plain(const unsigned char *s, size_t len)
{
    size_t n = 0;
    while (n < len && s[n] >= 0x20 && s[n] < 0x80 && s[n] != '"' && s[n] != '\\')
        n++;
    return n;
}

int buf_put_json(struct buf *buf, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    buf_putc(buf, '"');
    for (size_t at = 0; at < len;) {
        size_t plain = json_plain(s + at, len - at);
        if (plain > 0) {
            buf_append(buf, s + at, plain);
            at += plain;
            continue;
        }
        size_t n = utf8_length(s + at, len - at);
        unsigned surrogate = n == 0 ? surrogate_at(s + at, len - at) : 0;
        if (surrogate != 0) {
            buf_printf(buf, "\\u%04x", surrogate);
            at += 3;
        } else if (n == 0) {
            buf_append(buf, "\xEF\xBF\xBD", 3);
            at++;
        } else if (n == 1 && (s[at] < 0x20 || s[at] == '"' || s[at] == '\\')) {
            buf_put_json_char(buf, s[at++]);
        } else {
            buf_append(buf, s + at, n);
            at += n;
        }
    }
    return buf_putc(buf, '"');
}
