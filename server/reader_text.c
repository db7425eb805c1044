#include "server/reader_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/err.h"
#include "store/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"
#define TITLE_BYTES 160
#define TITLE_CUT 100 /* characters */

/* ---- characters ---- */

static bool xml_allows(const unsigned char *c, size_t len)
{
    if (len == 1) return c[0] >= ' ' ? c[0] != 0x7f : c[0] == '\t' || c[0] == '\n' || c[0] == '\r';
    return !(len == 3 && c[0] == 0xEF && c[1] == 0xBF && c[2] >= 0xBE); /* U+FFFE, U+FFFF */
}

void reader_put_clean(struct buf *out, struct slice text, size_t max)
{
    size_t start = out->len;
    for (size_t at = 0; at < text.len;) {
        const unsigned char *c = (const unsigned char *)text.data + at;
        size_t len = utf8_length(c, text.len - at);
        if (out->len - start + sizeof REPLACEMENT + sizeof ELLIPSIS > max) {
            (void)buf_puts(out, ELLIPSIS);
            return;
        }
        if (len > 0 && xml_allows(c, len))
            (void)buf_append(out, c, len);
        else
            (void)buf_puts(out, REPLACEMENT);
        at += len > 0 ? len : 1;
        /* what is left of a character that was none */
        while (len == 0 && at < text.len && ((unsigned char)text.data[at] & 0xC0) == 0x80)
            at++;
    }
}

static const char *xml_entity(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    case '\r': return "&#13;"; /* or it would be read as the end of a line */
    default: return NULL;
    }
}

void reader_put_xml(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char *entity = xml_entity(text.data[i]);
        if (entity != NULL)
            (void)buf_puts(out, entity);
        else
            (void)buf_putc(out, text.data[i]);
    }
}

void reader_put_html(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        const char *entity = c == '\r' ? NULL : xml_entity(c);
        if (c == '\n')
            (void)buf_puts(out, "&lt;br/&gt;\n");
        else if (entity != NULL)
            reader_put_xml(out, (struct slice){ entity, strlen(entity) });
        else if (c != '\r')
            (void)buf_putc(out, c);
    }
}

/* ---- titles ---- */

static bool title_line(struct slice line, struct slice *ret_title)
{
    while (line.len > 0 && strchr(" \t\r#>*-+_=~`|", line.data[0]) != NULL) {
        line.data++;
        line.len--;
    }
    while (line.len > 0 && strchr(" \t\r#*_~`|", line.data[line.len - 1]) != NULL)
        line.len--;
    *ret_title = line;
    return line.len > 0;
}

/* Up to so many characters, and bytes. */
static size_t title_cut(struct slice title)
{
    size_t at = 0;
    for (size_t count = 0; at < title.len && count < TITLE_CUT && at < TITLE_BYTES; count++) {
        size_t len = utf8_length((const unsigned char *)title.data + at, title.len - at);
        at += len > 0 ? len : 1;
    }
    return at;
}

void reader_put_title(struct buf *out, struct slice text)
{
    struct slice title = { "", 0 };
    for (size_t at = 0; at < text.len;) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end == NULL ? text.len - at : (size_t)(end - (text.data + at));
        if (title_line((struct slice){ text.data + at, len }, &title)) break;
        at += len + 1;
    }
    size_t len = title_cut(title);
    (void)buf_append(out, title.data, len);
    if (len < title.len) (void)buf_puts(out, ELLIPSIS);
}

/* ---- dates ---- */

#define MS_MAX 253402300799999.0 /* the end of the year 9999 */

static struct tm date_of(double ms, int *ret_ms)
{
    struct tm tm;
    int64_t whole = ms >= 0 && ms <= MS_MAX ? (int64_t)ms : 0;
    time_t seconds = (time_t)(whole / 1000);
    *ret_ms = (int)(whole % 1000);
    memset(&tm, 0, sizeof tm);
    (void)gmtime_r(&seconds, &tm);
    return tm;
}

struct slice reader_date(double ms, char out[READER_DATE_MAX])
{
    int rest;
    struct tm tm = date_of(ms, &rest);
    size_t len = strftime(out, READER_DATE_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(out + len, READER_DATE_MAX - len, ".%03dZ", rest);
    return (struct slice){ out, len + (size_t)more };
}

struct slice reader_mail_date(double ms, char out[READER_DATE_MAX])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int rest;
    struct tm tm = date_of(ms, &rest);
    int len =
        snprintf(out, READER_DATE_MAX, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + (ptrdiff_t)3 * tm.tm_wday,
                 tm.tm_mday, months + (ptrdiff_t)3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return (struct slice){ out, (size_t)len };
}
