#include "server/text.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "store/err.h"
#include "store/json.h"

/* A place in the text. `open` has one bit for each open bracket: set = object. */
struct check {
    const unsigned char *at, *end;
    size_t depth;
    uint64_t open[JSON_DEPTH_MAX / 64];
};

static void check_space(struct check *check)
{
    while (check->at < check->end &&
           (*check->at == ' ' || *check->at == '\n' || *check->at == '\r' || *check->at == '\t'))
        check->at++;
}

static bool check_char(struct check *check, unsigned char c)
{
    if (check->at >= check->end || *check->at != c) return false;
    check->at++;
    return true;
}

static bool check_word(struct check *check, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(check->end - check->at) < len || memcmp(check->at, word, len) != 0) return false;
    check->at += len;
    return true;
}

static bool check_digits(struct check *check)
{
    const unsigned char *start = check->at;
    while (check->at < check->end && *check->at >= '0' && *check->at <= '9')
        check->at++;
    return check->at > start;
}

static bool check_number(struct check *check)
{
    (void)check_char(check, '-');
    if (!check_char(check, '0') && !check_digits(check)) return false;
    if (check_char(check, '.') && !check_digits(check)) return false;
    if (!check_char(check, 'e') && !check_char(check, 'E')) return true;
    if (!check_char(check, '+')) (void)check_char(check, '-');
    return check_digits(check);
}

/* One character above ASCII: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool check_utf8(struct check *check)
{
    const unsigned char *p = check->at;
    size_t left = (size_t)(check->end - p);
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < len) return false;
    unsigned char low = 0x80, high = 0xbf;
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    if (p[1] < low || p[1] > high) return false;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return false;
    check->at += len;
    return true;
}

static bool check_escape(struct check *check)
{
    check->at++;
    if (check->at >= check->end) return false;
    unsigned char c = *check->at++;
    if (c != 'u') return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    for (int i = 0; i < 4; i++, check->at++) {
        if (check->at >= check->end) return false;
        unsigned char hex = *check->at;
        bool digit = (hex >= '0' && hex <= '9') || (hex >= 'a' && hex <= 'f') || (hex >= 'A' && hex <= 'F');
        if (!digit) return false;
    }
    return true;
}

/* Passes over the characters that need no look: all but quotes, backslashes, controls and what is not ASCII. */
static void check_plain_text(struct check *check)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    const unsigned char *at = check->at, *end = check->end;
    for (; end - at >= 16; at += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* as signed bytes, those from 0x80 on are below the space, too */
        __m128i hits = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)),
                                    _mm_cmplt_epi8(x, space));
        int mask = _mm_movemask_epi8(hits);
        if (mask == 0) continue;
        check->at = at + __builtin_ctz((unsigned)mask);
        return;
    }
    check->at = at;
#endif
    while (check->at < check->end && *check->at >= 0x20 && *check->at < 0x80 && *check->at != '"' && *check->at != '\\')
        check->at++;
}

static bool check_string(struct check *check)
{
    if (!check_char(check, '"')) return false;
    for (;;) {
        check_plain_text(check);
        if (check->at >= check->end) return false;
        unsigned char c = *check->at;
        if (c == '"') {
            check->at++;
            return true;
        }
        if (c < 0x20) return false;
        if (c == '\\' ? !check_escape(check) : !check_utf8(check)) return false;
    }
}

static bool check_name(struct check *check)
{
    check_space(check);
    if (!check_string(check)) return false;
    check_space(check);
    return check_char(check, ':');
}

static bool check_in_object(const struct check *check)
{
    size_t bit = check->depth - 1;
    return (check->open[bit / 64] >> (bit % 64) & 1) != 0;
}

static bool check_push(struct check *check, bool object)
{
    if (check->depth == JSON_DEPTH_MAX) return false;
    uint64_t mask = UINT64_C(1) << (check->depth % 64);
    uint64_t *word = &check->open[check->depth / 64];
    if (check->depth % 64 == 0) *word = 0;
    *word = object ? *word | mask : *word & ~mask;
    check->depth++;
    check->at++;
    return true;
}

/* The beginning of a value: a whole scalar, an empty bracket, or an open bracket up to its first value. *ret_whole = something ended here. */
static bool check_begin(struct check *check, bool *ret_whole)
{
    check_space(check);
    if (check->at >= check->end) return false;
    *ret_whole = true;
    unsigned char c = *check->at;
    if (c == '"') return check_string(check);
    if (c == 't') return check_word(check, "true");
    if (c == 'f') return check_word(check, "false");
    if (c == 'n') return check_word(check, "null");
    if (c != '{' && c != '[') return check_number(check);
    if (!check_push(check, c == '{')) return false;
    check_space(check);
    if (check_char(check, c == '{' ? '}' : ']')) {
        check->depth--;
        return true;
    }
    *ret_whole = false;
    return c == '[' || check_name(check);
}

/* What follows a value: closing brackets, then a comma (*ret_more) or the end of the text. */
static bool check_end(struct check *check, bool *ret_more)
{
    for (;;) {
        check_space(check);
        *ret_more = false;
        if (check->depth == 0) return check->at == check->end;
        bool object = check_in_object(check);
        if (check_char(check, ',')) {
            *ret_more = true;
            return !object || check_name(check);
        }
        if (!check_char(check, object ? '}' : ']')) return false;
        check->depth--;
    }
}

bool json_valid(struct slice text)
{
    if (text.data == NULL) return false;
    struct check check;
    check.at = (const unsigned char *)text.data;
    check.end = check.at + text.len;
    check.depth = 0;
    for (;;) {
        bool whole, more;
        if (!check_begin(&check, &whole)) return false;
        if (!whole) continue;
        if (!check_end(&check, &more)) return false;
        if (!more) return true;
    }
}

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
