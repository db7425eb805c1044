#include "store/json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json_walk.h"

#define JSON_EXACT_MAX (UINT64_C(1) << 53) /* whole numbers up to here are doubles */
#define JSON_NUMBER_STACK 128              /* bytes of a number's text that need no memory */

static int json_bad(const char *what)
{
    return err_set(ERR_JSON, "JSON: %s", what);
}

int json_skip(const char *data, size_t len, struct slice *ret_value)
{
    static const struct json_visitor nobody = { 0 };
    const char *end = data + len, *start = json_space(data, end);
    if (start == end) return json_bad("a value is missing");
    const char *stop = json_walk(start, end, JSON_DEPTH_MAX, &nobody, NULL);
    if (stop == NULL) return json_bad("a value is not closed, badly put together or nested too deep");
    *ret_value = (struct slice){ start, (size_t)(stop - start) };
    return OK;
}

int json_open(struct slice value, struct json_iter *ret_iter)
{
    const char *end = value.data + value.len, *start = json_space(value.data, end);
    if (start == end || !json_opens(*start)) return json_bad("neither an object nor an array");
    *ret_iter = (struct json_iter){ .at = start + 1, .end = end, .close = *start == '{' ? '}' : ']', .first = true };
    return OK;
}

/* Over the comma, to the next member. 1, 0 = the container ends here, ERR_JSON. */
static int json_iter_advance(struct json_iter *iter)
{
    const char *p = json_space(iter->at, iter->end);
    if (p == iter->end) return json_bad("an object or array is not closed");
    if (*p == iter->close) {
        iter->close = '\0';
        return 0;
    }
    if (!iter->first) {
        if (*p != ',') return json_bad("a comma is missing");
        p = json_space(p + 1, iter->end);
    }
    iter->first = false;
    iter->at = p;
    return 1;
}

static int json_iter_key(struct json_iter *iter, struct json_member *member)
{
    const char *p = iter->at;
    if (p == iter->end || *p != '"') return json_bad("a key is missing");
    const char *close = json_string_end(p + 1, iter->end, &member->key_escaped);
    if (close == NULL) return json_bad("a key is not closed");
    member->key = (struct slice){ p + 1, (size_t)(close - p - 1) };
    p = json_space(close + 1, iter->end);
    if (p == iter->end || *p != ':') return json_bad("a colon is missing");
    iter->at = p + 1;
    return OK;
}

int json_next(struct json_iter *iter, struct json_member *ret_member)
{
    if (iter->close == '\0') return 0;
    struct json_member member = { .key = { "", 0 } };
    int more = json_iter_advance(iter);
    if (more != 1) return more;
    int err = iter->close == '}' ? json_iter_key(iter, &member) : OK;
    if (err == OK) err = json_skip(iter->at, (size_t)(iter->end - iter->at), &member.value);
    if (err != OK) return err;
    iter->at = member.value.data + member.value.len;
    *ret_member = member;
    return 1;
}

int json_find(struct slice object, const char *key, struct slice *ret_value)
{
    struct json_iter iter;
    struct json_member member;
    struct slice found = { NULL, 0 };
    int err = json_open(object, &iter);
    if (err == OK && iter.close != '}') err = json_bad("not an object");
    if (err != OK) return err;
    while ((err = json_next(&iter, &member)) == 1)
        if (json_key_is(&member, key)) found = member.value;
    if (err != OK) return err;
    if (found.data == NULL) return 0;
    *ret_value = found;
    return 1;
}

bool json_is_string(struct slice value)
{
    return value.len >= 2 && value.data[0] == '"';
}

static int json_hex4(const char *p, const char *end, unsigned *ret_unit)
{
    if (end - p < 4) return ERR_JSON;
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) return ERR_JSON;
        unit = unit << 4 | digit;
    }
    *ret_unit = unit;
    return OK;
}

static size_t json_put_utf8(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[len] | code);
    return len;
}

/* \uXXXX, taken together with the \uXXXX behind it when the two are a surrogate pair; *at is behind the first 'u'. */
static size_t json_unescape_unicode(const char **at, const char *end, char out[4])
{
    unsigned unit, low;
    const char *p = *at;
    if (json_hex4(p, end, &unit) != OK) return 0;
    p += 4;
    if (unit >= 0xD800 && unit <= 0xDBFF && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
        json_hex4(p + 2, end, &low) == OK && low >= 0xDC00 && low <= 0xDFFF) {
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        p += 6;
    }
    *at = p;
    return json_put_utf8(unit, out);
}

/* One escape; *at is at its backslash. Answers the bytes put in `out`, 0 for a bad escape. */
static size_t json_unescape_one(const char **at, const char *end, char out[4])
{
    static const char plain[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'
    };
    if (end - *at < 2) return 0;
    unsigned char c = (unsigned char)(*at)[1];
    *at += 2;
    if (c == 'u') return json_unescape_unicode(at, end, out);
    out[0] = plain[c];
    return plain[c] != '\0' ? 1 : 0;
}

int json_unescape(struct slice raw, struct buf *out)
{
    size_t before = out->len;
    if (json_is_string(raw) && raw.data[raw.len - 1] == '"') raw = (struct slice){ raw.data + 1, raw.len - 2 };
    for (const char *p = raw.data, *end = raw.data + raw.len; p < end;) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        if (stop == NULL) stop = end;
        buf_append(out, p, (size_t)(stop - p));
        p = stop;
        if (p == end) break;
        char bytes[4];
        size_t n = json_unescape_one(&p, end, bytes);
        if (n == 0) {
            out->len = before;
            return json_bad("a bad escape");
        }
        buf_append(out, bytes, n);
    }
    return out->err;
}

bool json_key_is(const struct json_member *member, const char *key)
{
    size_t len = strlen(key);
    if (!member->key_escaped) return member->key.len == len && memcmp(member->key.data, key, len) == 0;
    const char *p = member->key.data, *end = p + member->key.len;
    while (p < end) {
        char bytes[4] = { *p };
        size_t n = 1;
        if (*p == '\\')
            n = json_unescape_one(&p, end, bytes);
        else
            p++;
        if (n == 0 || n > len || memcmp(key, bytes, n) != 0) return false;
        key += n;
        len -= n;
    }
    return len == 0;
}

static const char *json_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* Is all of [p, end) one number of the JSON grammar? */
static bool json_number_is(const char *p, const char *end)
{
    if (p < end && *p == '-') p++;
    const char *stop = json_digits(p, end);
    if (stop == p || (*p == '0' && stop - p > 1)) return false;
    p = stop;
    if (p < end && *p == '.') {
        stop = json_digits(p + 1, end);
        if (stop == p + 1) return false;
        p = stop;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        stop = json_digits(p, end);
        if (stop == p) return false;
        p = stop;
    }
    return p == end;
}

/* Digits with at most one point in them, whose digits make a whole number that a double holds: one division of two exact
 * doubles is correctly rounded, so it is what strtod answers. */
static bool json_number_short(const char *p, const char *end, double *ret_number)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                   1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };
    bool negative = *p == '-';
    if (negative) p++;
    if (p == end || end - p > 18) return false;
    uint64_t whole = 0;
    const char *point = NULL, *start = p;
    for (; p < end; p++) {
        unsigned digit = (unsigned)((unsigned char)*p - '0');
        if (digit <= 9)
            whole = whole * 10 + digit;
        else if (*p == '.' && point == NULL)
            point = p;
        else
            return false;
    }
    if (whole > JSON_EXACT_MAX) return false;
    const char *units = point != NULL ? point : end;
    if (units == start || point == end - 1 || (*start == '0' && units - start > 1)) return false;
    double number = (double)whole;
    if (point != NULL) number /= tens[end - 1 - point];
    *ret_number = negative ? -number : number;
    return true;
}

static bool json_number_long(struct slice value, double *ret_number)
{
    char small[JSON_NUMBER_STACK], *text = small;
    if (!json_number_is(value.data, value.data + value.len)) return false;
    if (value.len >= sizeof small) text = malloc(value.len + 1);
    if (text == NULL) return false;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    /* of glibc's "C" locale there is one for the process: nothing is made or freed here */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double number = plain != (locale_t)0 ? strtod_l(text, NULL, plain) : HUGE_VAL;
    if (plain != (locale_t)0) freelocale(plain);
    if (text != small) free(text);
    if (!isfinite(number)) return false;
    *ret_number = number;
    return true;
}

bool json_number(struct slice value, double *ret_number)
{
    if (value.len == 0) return false;
    return json_number_short(value.data, value.data + value.len, ret_number) || json_number_long(value, ret_number);
}

static bool json_is(struct slice value, const char *text)
{
    return value.len == strlen(text) && memcmp(value.data, text, value.len) == 0;
}

bool json_truthy(struct slice value)
{
    double number;
    if (value.len == 0 || json_is(value, "false") || json_is(value, "null") || json_is(value, "\"\"")) return false;
    return !json_number(value, &number) || number != 0;
}
