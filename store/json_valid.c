#include "store/json_valid.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "store/json.h"

/* Everything below passes over one thing at `p`: it answers where that ends, NULL if it is not there. A place stays in a register that
 * way, and this is the loop that the first showing of a record is made of. */
typedef unsigned char byte;

static inline const byte *pass_space(const byte *p, const byte *end, bool *ret_lines)
{
    for (; p < end && *p <= ' '; p++) {
        if (*p == '\n' || *p == '\r')
            *ret_lines = true;
        else if (*p != ' ' && *p != '\t')
            break;
    }
    return p;
}

static const byte *pass_word(const byte *p, const byte *end, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(end - p) >= len && memcmp(p, word, len) == 0 ? p + len : NULL;
}

static inline const byte *pass_digits(const byte *p, const byte *end)
{
    const byte *start = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > start ? p : NULL;
}

static const byte *pass_exponent(const byte *p, const byte *end)
{
    if (p == end || (*p | 32) != 'e') return p;
    p++;
    if (p < end && (*p == '+' || *p == '-')) p++;
    return pass_digits(p, end);
}

static const byte *pass_number(const byte *p, const byte *end)
{
    if (p < end && *p == '-') p++;
    if (p < end && *p == '0')
        p++;
    else
        p = pass_digits(p, end);
    if (p != NULL && p < end && *p == '.') p = pass_digits(p + 1, end);
    return p == NULL ? NULL : pass_exponent(p, end);
}

/* One character above ASCII: no overlong forms, no surrogates, nothing above U+10FFFF. */
static const byte *pass_utf8(const byte *p, const byte *end)
{
    size_t left = (size_t)(end - p);
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < len) return NULL;
    byte low = 0x80, high = 0xbf;
    if (p[0] == 0xe0) low = 0xa0;
    if (p[0] == 0xed) high = 0x9f;
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f;
    if (p[1] < low || p[1] > high) return NULL;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return NULL;
    return p + len;
}

static const byte *pass_escape(const byte *p, const byte *end)
{
    if (end - p < 2) return NULL;
    byte c = p[1];
    p += 2;
    if (c != 'u') return c != '\0' && strchr("\"\\/bfnrt", c) != NULL ? p : NULL;
    for (int i = 0; i < 4; i++, p++) {
        if (p == end) return NULL;
        byte hex = *p;
        bool digit = (hex >= '0' && hex <= '9') || (hex >= 'a' && hex <= 'f') || (hex >= 'A' && hex <= 'F');
        if (!digit) return NULL;
    }
    return p;
}

/* The characters that need no look: all but quotes, backslashes, controls and what is not ASCII. */
static inline const byte *pass_plain_text(const byte *p, const byte *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* as signed bytes, those from 0x80 on are below the space, too */
        __m128i hits = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)),
                                    _mm_cmplt_epi8(x, space));
        int mask = _mm_movemask_epi8(hits);
        if (mask != 0) return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* What follows an opening quote, up to behind the closing one. */
static inline const byte *pass_string(const byte *p, const byte *end)
{
    for (;;) {
        p = pass_plain_text(p, end);
        if (p == end) return NULL;
        if (*p == '"') return p + 1;
        if (*p < 0x20) return NULL;
        p = *p == '\\' ? pass_escape(p, end) : pass_utf8(p, end);
        if (p == NULL) return NULL;
    }
}

/* "name": */
static inline const byte *pass_name(const byte *p, const byte *end, bool *ret_lines)
{
    p = pass_space(p, end, ret_lines);
    if (p == end || *p != '"') return NULL;
    p = pass_string(p + 1, end);
    if (p == NULL) return NULL;
    p = pass_space(p, end, ret_lines);
    return p < end && *p == ':' ? p + 1 : NULL;
}

static const byte *pass_scalar(const byte *p, const byte *end)
{
    switch (*p) {
    case 't': return pass_word(p, end, "true");
    case 'f': return pass_word(p, end, "false");
    case 'n': return pass_word(p, end, "null");
    default: return pass_number(p, end);
    }
}

/* The brackets that are open: a bit for each, set = object. */
struct nest {
    size_t depth;
    uint64_t open[JSON_DEPTH_MAX / 64];
};

static bool nest_push(struct nest *nest, bool object)
{
    if (nest->depth == JSON_DEPTH_MAX) return false;
    uint64_t mask = UINT64_C(1) << (nest->depth % 64);
    uint64_t *word = &nest->open[nest->depth / 64];
    if (nest->depth % 64 == 0) *word = 0;
    *word = object ? *word | mask : *word & ~mask;
    nest->depth++;
    return true;
}

static bool nest_in_object(const struct nest *nest)
{
    size_t bit = nest->depth - 1;
    return (nest->open[bit / 64] >> (bit % 64) & 1) != 0;
}

/* The beginning of a value: a whole scalar, an empty bracket, or an open bracket up to its first value. *ret_whole =
 * something ended here. */
static inline const byte *pass_begin(const byte *p, const byte *end, struct nest *nest, bool *ret_whole,
                                     bool *ret_lines)
{
    p = pass_space(p, end, ret_lines);
    if (p == end) return NULL;
    *ret_whole = true;
    if (*p == '"') return pass_string(p + 1, end);
    if (*p != '{' && *p != '[') return pass_scalar(p, end);
    bool object = *p == '{';
    if (!nest_push(nest, object)) return NULL;
    p = pass_space(p + 1, end, ret_lines);
    if (p < end && *p == (object ? '}' : ']')) {
        nest->depth--;
        return p + 1;
    }
    *ret_whole = false;
    return object ? pass_name(p, end, ret_lines) : p;
}

static inline void look_comma(struct json_look *look, const byte *comma)
{
    look->last = (const char *)comma + 1;
    if (++look->members == 2) look->second = look->last;
}

/* What follows a value: closing brackets, then a comma (*ret_more) or the end of the text. */
static inline const byte *pass_end(const byte *p, const byte *end, struct nest *nest, bool *ret_more, bool *ret_lines,
                                   struct json_look *look)
{
    for (;;) {
        p = pass_space(p, end, ret_lines);
        *ret_more = false;
        if (nest->depth == 0) return p == end ? p : NULL;
        if (p == end) return NULL;
        bool object = nest_in_object(nest);
        if (*p == ',') {
            *ret_more = true;
            if (nest->depth == 1) look_comma(look, p);
            return object ? pass_name(p + 1, end, ret_lines) : p + 1;
        }
        if (*p != (object ? '}' : ']')) return NULL;
        nest->depth--;
        p++;
    }
}

bool json_valid_look(struct slice text, struct json_look *ret_look)
{
    if (text.data == NULL) return false;
    const byte *p = (const byte *)text.data, *end = p + text.len;
    struct nest nest;
    nest.depth = 0;
    bool whole, more = true, lines = false;
    *ret_look = (struct json_look){ .members = 1 };
    while (more) {
        p = pass_begin(p, end, &nest, &whole, &lines);
        if (p == NULL) return false;
        if (!whole) continue;
        p = pass_end(p, end, &nest, &more, &lines, ret_look);
        if (p == NULL) return false;
    }
    ret_look->one_line = !lines;
    return true;
}

bool json_valid(struct slice text)
{
    struct json_look look;
    return json_valid_look(text, &look);
}
