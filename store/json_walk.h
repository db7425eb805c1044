/* How JSON text is cut into tokens: shared by the json_ and message_ files, nobody else's business.
 *
 * Everything here is inline on purpose: the scan of a log spends its life in json_string_end, and json_walk is made
 * anew for each visitor so that its hooks cost no calls. Nothing reads outside [p, end). */
#ifndef STORE_JSON_WALK_H
#define STORE_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/json.h"

/* MESSAGE_PORTABLE is for tests: it makes x86-64 run what other processors run. */
#if defined(__SSE2__) && !defined(MESSAGE_PORTABLE)
#define JSON_SSE2 1
#include <emmintrin.h>
#endif

/* After white space. */
static inline const char *json_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

#ifndef JSON_SSE2
/* The top bit of the first byte of `x` (the lowest one) that equals what `pattern` repeats; bits above that may be wrong. */
static inline uint64_t json_match(uint64_t x, uint64_t pattern)
{
    uint64_t d = x ^ pattern;
    return (d - UINT64_C(0x0101010101010101)) & ~d & UINT64_C(0x8080808080808080);
}
#endif

/* The next quote or backslash, or `end`. */
static inline const char *json_find_quote(const char *p, const char *end)
{
#ifdef JSON_SSE2
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        int hits = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)));
        if (hits != 0) return p + __builtin_ctz((unsigned)hits);
    }
#else
    for (; end - p >= 8; p += 8) {
        uint64_t x;
        memcpy(&x, p, sizeof x);
        uint64_t hits = json_match(x, UINT64_C(0x2222222222222222)) | json_match(x, UINT64_C(0x5C5C5C5C5C5C5C5C));
        if (hits == 0) continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return p + __builtin_ctzll(hits) / 8;
#else
        break;
#endif
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* `p` is behind the opening quote. Answers the closing quote, or NULL if there is none. */
static inline const char *json_string_end(const char *p, const char *end, bool *ret_escaped)
{
    bool escaped = false;
    for (;;) {
        p = json_find_quote(p, end);
        if (p == end) return NULL;
        if (*p == '"') break;
        if (end - p < 2) return NULL;
        escaped = true;
        p += 2;
    }
    *ret_escaped = escaped;
    return p;
}

/* Where a number, true, false or null ends; NULL if nothing of the kind stands at `p`. */
static inline const char *json_literal_end(const char *p, const char *end)
{
    static const bool stops[256] = {
        ['\t'] = true, ['\n'] = true, ['\r'] = true, [' '] = true, [','] = true, [':'] = true,
        ['"'] = true,  ['['] = true,  [']'] = true,  ['{'] = true, ['}'] = true
    };
    const char *start = p;
    while (p < end && !stops[(unsigned char)*p])
        p++;
    return p > start ? p : NULL;
}

static inline bool json_opens(char c)
{
    return c == '{' || c == '[';
}

/* What a walk tells. Hooks answer false to end it; any may be NULL. Texts are raw, [p, end) without quotes. */
struct json_visitor {
    bool (*open)(void *ctx, bool object);
    bool (*close)(void *ctx, bool object);
    bool (*key)(void *ctx, const char *p, const char *end, bool escaped);
    bool (*item)(void *ctx); /* the next element of an array begins */
    bool (*string)(void *ctx, const char *p, const char *end, bool escaped);
};

/* The containers that are open: one bit for each says whether it is an object. */
struct json_nest {
    size_t depth, max;
    bool object; /* the innermost one */
    uint64_t objects[JSON_DEPTH_MAX / 64];
};

static inline bool json_nest_push(struct json_nest *nest, bool object)
{
    if (nest->depth == nest->max) return false;
    uint64_t bit = UINT64_C(1) << (nest->depth % 64), *word = &nest->objects[nest->depth / 64];
    if (nest->depth % 64 == 0) *word = 0;
    *word = object ? *word | bit : *word & ~bit;
    nest->depth++;
    nest->object = object;
    return true;
}

static inline void json_nest_pop(struct json_nest *nest)
{
    nest->depth--;
    if (nest->depth == 0) return;
    size_t at = nest->depth - 1;
    nest->object = (nest->objects[at / 64] >> (at % 64) & 1) != 0;
}

/* From the beginning of a member to its value: over the key and the colon, if there are any. */
static inline __attribute__((always_inline)) const char *json_walk_member(const char *p, const char *end, bool object,
                                                                          const struct json_visitor *visitor, void *ctx)
{
    if (!object) return p == end || (visitor->item != NULL && !visitor->item(ctx)) ? NULL : p;
    if (p == end || *p != '"') return NULL;
    bool escaped;
    const char *close = json_string_end(p + 1, end, &escaped);
    if (close == NULL || (visitor->key != NULL && !visitor->key(ctx, p + 1, close, escaped))) return NULL;
    p = json_space(close + 1, end);
    if (p == end || *p != ':') return NULL;
    p = json_space(p + 1, end);
    return p == end ? NULL : p;
}

static inline __attribute__((always_inline)) const char *json_walk_scalar(const char *p, const char *end,
                                                                          const struct json_visitor *visitor, void *ctx)
{
    if (*p != '"') return json_literal_end(p, end);
    bool escaped;
    const char *close = json_string_end(p + 1, end, &escaped);
    if (close == NULL || (visitor->string != NULL && !visitor->string(ctx, p + 1, close, escaped))) return NULL;
    return close + 1;
}

/* Behind a value: closes what ends here. Answers the comma before the next member, or the end of all when nest->depth is 0. */
static inline __attribute__((always_inline)) const char *
json_walk_climb(const char *p, const char *end, struct json_nest *nest, const struct json_visitor *visitor, void *ctx)
{
    while (nest->depth > 0) {
        p = json_space(p, end);
        if (p == end) return NULL;
        if (*p == ',') return p;
        if (*p != (nest->object ? '}' : ']')) return NULL;
        if (visitor->close != NULL && !visitor->close(ctx, nest->object)) return NULL;
        json_nest_pop(nest);
        p++;
    }
    return p;
}

/* Walks the value at `p` (p < end) and all that is in it, without recursion. Answers where it ends; NULL if its structure is
 * wrong, it is deeper than `depth_max` (at most JSON_DEPTH_MAX), or a hook said false. */
static inline __attribute__((always_inline)) const char *json_walk(const char *p, const char *end, size_t depth_max,
                                                                   const struct json_visitor *visitor, void *ctx)
{
    struct json_nest nest;
    nest.depth = 0;
    nest.max = depth_max;
    nest.object = false;
    for (;;) {
        bool first = json_opens(*p);
        if (first) {
            if (!json_nest_push(&nest, *p == '{')) return NULL;
            if (visitor->open != NULL && !visitor->open(ctx, nest.object)) return NULL;
            p = json_space(p + 1, end);
            if (p == end) return NULL;
            first = *p != (nest.object ? '}' : ']');
        } else {
            p = json_walk_scalar(p, end, visitor, ctx);
            if (p == NULL) return NULL;
        }
        if (!first) {
            p = json_walk_climb(p, end, &nest, visitor, ctx);
            if (p == NULL || nest.depth == 0) return p;
            p = json_space(p + 1, end);
        }
        p = json_walk_member(p, end, nest.object, visitor, ctx);
        if (p == NULL) return NULL;
    }
}

#endif
