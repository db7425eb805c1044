#include "store/ref.h"

#include <string.h>
#include <strings.h>

#include "store/err.h"

#if defined(__SSE2__) && !defined(MESSAGE_PORTABLE)
#define REF_SSE2 1
#include <emmintrin.h>
#endif

#define REF_BODY 44       /* characters of base64 that 32 bytes take, with the padding */
#define REF_PASTE_MAX 512 /* the longest spelling of an id (all of an ssb: URI percent-encoded) is below 200 bytes */

static const char ref_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of each ASCII character in base64, 64 for those that have none. */
static const uint8_t ref_digits[128] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64, 64, 63, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64, 64, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
};

static unsigned ref_digit(char c)
{
    return (unsigned char)c < 128 ? ref_digits[(unsigned char)c] : 64;
}

/* A group of four characters as three bytes; has 64 set in *bad if one of them is none of base64. */
static uint32_t ref_group(const char *text, unsigned *bad)
{
    unsigned a = ref_digit(text[0]), b = ref_digit(text[1]), c = ref_digit(text[2]), d = ref_digit(text[3]);
    *bad |= (a | b | c | d) & 64;
    return (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
}

bool ref_signature(const char text[REF_SIGNATURE_TEXT], uint8_t ret_bytes[REF_SIGNATURE_BYTES])
{
    uint8_t bytes[REF_SIGNATURE_BYTES + 2];
    char last[4] = { text[84], text[85], 'A', 'A' };
    unsigned bad = text[86] != '=' || text[87] != '=' ? 64 : 0;
    for (size_t i = 0; i < 22; i++) {
        uint32_t bits = ref_group(i == 21 ? last : text + 4 * i, &bad);
        bytes[3 * i] = (uint8_t)(bits >> 16);
        bytes[3 * i + 1] = (uint8_t)(bits >> 8);
        bytes[3 * i + 2] = (uint8_t)bits;
    }
    if (bad != 0 || bytes[64] != 0) return false;
    memcpy(ret_bytes, bytes, REF_SIGNATURE_BYTES);
    return true;
}

#ifdef REF_SSE2

static __m128i ref_between(__m128i x, char low, char high)
{
    return _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8((char)(low - 1))),
                         _mm_cmpgt_epi8(_mm_set1_epi8((char)(high + 1)), x));
}

static __m128i ref_pick(__m128i mask, char shift)
{
    return _mm_and_si128(mask, _mm_set1_epi8(shift));
}

/* Sixteen characters to four groups of 24 bits, one in each 32-bit lane. *ret_valid has a bit for every good one. */
static __m128i ref_decode16(const char *text, int *ret_valid)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i upper = ref_between(x, 'A', 'Z'), lower = ref_between(x, 'a', 'z'), digit = ref_between(x, '0', '9');
    __m128i plus = _mm_cmpeq_epi8(x, _mm_set1_epi8('+')), slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('/'));
    __m128i letters = _mm_or_si128(upper, lower), others = _mm_or_si128(digit, _mm_or_si128(plus, slash));
    *ret_valid = _mm_movemask_epi8(_mm_or_si128(letters, others));
    __m128i shift = _mm_or_si128(ref_pick(upper, -65), ref_pick(lower, -71));
    shift =
        _mm_or_si128(shift, _mm_or_si128(ref_pick(digit, 4), _mm_or_si128(ref_pick(plus, 19), ref_pick(slash, 16))));
    __m128i six = _mm_add_epi8(x, shift);
    __m128i first = _mm_slli_epi16(_mm_and_si128(six, _mm_set1_epi16(0xFF)), 6), second = _mm_srli_epi16(six, 8);
    return _mm_madd_epi16(_mm_or_si128(first, second), _mm_set1_epi32(0x00011000));
}

/* Two lanes are 48 bits; stores them big-endian, as 8 bytes of which the first 6 count. */
static void ref_store6(uint64_t lanes, uint8_t *out)
{
    uint64_t bits = __builtin_bswap64((lanes << 40) | ((lanes >> 32) << 16));
    memcpy(out, &bits, sizeof bits);
}

/* The 44 characters at `text` (at least 48 are readable), canonical base64 of 32 bytes? */
static bool ref_decode(const char *text, uint8_t id[32])
{
    uint8_t bytes[40];
    char last[16];
    int valid[3];
    memcpy(last, text + 32, 16);
    if (last[11] != '=') return false;
    last[11] = 'A';
    __m128i lanes[3] = { ref_decode16(text, &valid[0]), ref_decode16(text + 16, &valid[1]),
                         ref_decode16(last, &valid[2]) };
    for (size_t i = 0; i < 3; i++) {
        ref_store6((uint64_t)_mm_cvtsi128_si64(lanes[i]), bytes + 12 * i);
        ref_store6((uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(lanes[i], lanes[i])), bytes + 12 * i + 6);
    }
    if ((valid[0] & valid[1]) != 0xFFFF || (valid[2] & 0xFFF) != 0xFFF || bytes[32] != 0) return false;
    memcpy(id, bytes, 32);
    return true;
}

#else

static bool ref_decode(const char *text, uint8_t id[32])
{
    uint8_t bytes[33];
    unsigned bad = text[43] != '=' ? 64 : 0;
    for (size_t group = 0; group < 11; group++, text += 4) {
        unsigned a = ref_digit(text[0]), b = ref_digit(text[1]), c = ref_digit(text[2]);
        unsigned d = group == 10 ? 0 : ref_digit(text[3]);
        bad |= (a | b | c | d) & 64;
        unsigned bits = (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
        bytes[3 * group] = (uint8_t)(bits >> 16);
        bytes[3 * group + 1] = (uint8_t)(bits >> 8);
        bytes[3 * group + 2] = (uint8_t)bits;
    }
    if (bad != 0 || bytes[32] != 0) return false;
    memcpy(id, bytes, 32);
    return true;
}

#endif

/* Which kind has this sigil and this suffix? REF_NONE: none. */
static uint8_t ref_kind_of(char sigil, const char *suffix, size_t len)
{
    bool sha256 = len == 7 && memcmp(suffix, ".sha256", 7) == 0;
    if (sigil == '%')
        return sha256 ? REF_MESSAGE : len == 8 && memcmp(suffix, ".cloaked", 8) == 0 ? REF_CLOAKED : REF_NONE;
    if (sigil == '@')
        return len == 8 && memcmp(suffix, ".ed25519", 8) == 0 ? REF_FEED : sha256 ? REF_FEED_SHA256 : REF_NONE;
    return sigil == '&' && sha256 ? REF_BLOB : REF_NONE;
}

bool ref_try(const char *text, size_t len, struct ref *ret_ref)
{
    if (len != REF_TEXT_MAX && len != REF_TEXT_MAX - 1) return false;
    uint8_t kind = ref_kind_of(text[0], text + 1 + REF_BODY, len - 1 - REF_BODY);
    if (kind == REF_NONE || !ref_decode(text + 1, ret_ref->id)) return false;
    ret_ref->kind = kind;
    return true;
}

static int ref_none(const char *text, size_t len)
{
    return err_set(ERR_REF, "\"%.*s\" is no id such as %%….sha256, @….ed25519 or &….sha256", len < 80 ? (int)len : 80,
                   text);
}

int ref_parse(const char *text, size_t len, struct ref *ret_ref)
{
    return ref_try(text, len, ret_ref) ? OK : ref_none(text, len);
}

size_t ref_prefix(const char *text, size_t len)
{
    struct ref ref;
    /* asked at each character of a path */
    if (len < REF_TEXT_MAX - 1 || (text[0] != '%' && text[0] != '@' && text[0] != '&')) return 0;
    for (size_t n = REF_TEXT_MAX; n >= REF_TEXT_MAX - 1; n--)
        if (len >= n && ref_try(text, n, &ref)) return n;
    return 0;
}

/* 43 characters of either base64 alphabet, where a space stands for a plus that a form decoder ate, then "=" or not. Answers
 * how many characters that took, 0 if it is something else. */
static size_t ref_decode_loose(const char *text, size_t len, uint8_t id[32])
{
    char body[REF_BODY + 4] = { 0 };
    if (len < REF_BODY - 1) return 0;
    for (size_t i = 0; i < REF_BODY - 1; i++) {
        char c = text[i];
        body[i] = c == '-' || c == ' ' ? '+' : c == '_' ? '/' : c;
    }
    body[REF_BODY - 1] = '=';
    if (!ref_decode(body, id)) return 0;
    return len >= REF_BODY && text[REF_BODY - 1] == '=' ? REF_BODY : REF_BODY - 1;
}

/* Sigil, loose base64, suffix or nothing. */
static bool ref_parse_loose(const char *text, size_t len, struct ref *ret_ref)
{
    struct ref ref;
    if (len == 0) return false;
    size_t n = ref_decode_loose(text + 1, len - 1, ref.id);
    if (n == 0) return false;
    const char *suffix = text + 1 + n;
    size_t rest = len - 1 - n;
    if (rest == 0)
        ref.kind = strchr("%@&", text[0]) != NULL ? (uint8_t)text[0] : REF_NONE;
    else
        ref.kind = ref_kind_of(text[0], suffix, rest);
    if (ref.kind == REF_NONE) return false;
    *ret_ref = ref;
    return true;
}

/* What an ssb: URI calls the kinds. The first one of a kind is the one that is printed. */
static const struct ref_uri {
    uint8_t kind;
    const char *type, *format;
} ref_uris[] = {
    { REF_MESSAGE, "message", "classic" }, { REF_MESSAGE, "message", "sha256" }, { REF_CLOAKED, "message", "cloaked" },
    { REF_FEED, "feed", "classic" },       { REF_FEED, "feed", "ed25519" },      { REF_BLOB, "blob", "classic" },
    { REF_BLOB, "blob", "sha256" },
};

/* Goes over `word` and the `mark` behind it. */
static bool ref_uri_word(const char **at, const char *end, const char *word, char mark)
{
    size_t len = strlen(word);
    if ((size_t)(end - *at) <= len || memcmp(*at, word, len) != 0 || (*at)[len] != mark) return false;
    *at += len + 1;
    return true;
}

static bool ref_parse_uri(const char *text, size_t len, struct ref *ret_ref)
{
    struct ref ref;
    const char *end = text + len;
    if (len < 4 || strncasecmp(text, "ssb:", 4) != 0) return false;
    const char *start = text + 4;
    bool slashes = end - start >= 2 && start[0] == '/' && start[1] == '/';
    if (slashes) start += 2;
    for (size_t i = 0; i < sizeof ref_uris / sizeof *ref_uris; i++) {
        const char *at = start;
        if (!ref_uri_word(&at, end, ref_uris[i].type, '/') &&
            (slashes || !ref_uri_word(&at, end, ref_uris[i].type, ':')))
            continue;
        if (!ref_uri_word(&at, end, ref_uris[i].format, at[-1])) continue;
        size_t n = ref_decode_loose(at, (size_t)(end - at), ref.id);
        /* a query or a fragment belongs to the URI, not to the id */
        if (n == 0 || (at + n < end && at[n] != '?' && at[n] != '#')) return false;
        ref.kind = ref_uris[i].kind;
        *ret_ref = ref;
        return true;
    }
    return false;
}

static bool ref_parse_form(const char *text, size_t len, struct ref *ret_ref)
{
    return ref_try(text, len, ret_ref) || ref_parse_loose(text, len, ret_ref) || ref_parse_uri(text, len, ret_ref);
}

static int ref_hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoding from `from` on; what is no escape stays. Answers the length, which is never above `len`. */
static size_t ref_unpercent(const char *text, size_t len, size_t from, char *out)
{
    size_t n = from;
    memcpy(out, text, from);
    for (size_t i = from; i < len; i++) {
        bool escape = text[i] == '%' && len - i > 2 && ref_hex(text[i + 1]) >= 0 && ref_hex(text[i + 2]) >= 0;
        int byte = escape ? ref_hex(text[i + 1]) << 4 | ref_hex(text[i + 2]) : text[i];
        out[n++] = (char)byte;
        if (escape) i += 2;
    }
    return n;
}

static bool ref_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int ref_parse_any(const char *text, size_t len, struct ref *ret_ref)
{
    char plain[REF_PASTE_MAX];
    while (len > 0 && ref_is_space(text[len - 1]))
        len--;
    while (len > 0 && ref_is_space(text[0])) {
        text++;
        len--;
    }
    /* The raw form comes first, because what follows the sigil of a message may look like an escape ("%ab…"); so may it where
     * only the rest was encoded: then the first character is kept as it is. */
    if (len > sizeof plain) return ref_none(text, len);
    if (ref_parse_form(text, len, ret_ref)) return OK;
    for (size_t from = 0; from < 2 && from < len; from++)
        if (ref_parse_form(plain, ref_unpercent(text, len, from, plain), ret_ref)) return OK;
    return ref_none(text, len);
}

static void ref_encode(const uint8_t id[32], char out[REF_BODY])
{
    uint8_t bytes[33] = { 0 };
    memcpy(bytes, id, 32);
    for (size_t i = 0; i < 11; i++, out += 4) {
        unsigned bits = (unsigned)bytes[3 * i] << 16 | (unsigned)bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
        for (unsigned j = 0; j < 4; j++)
            out[j] = ref_alphabet[bits >> (18 - 6 * j) & 63];
    }
    out[-1] = '=';
}

size_t ref_print(const struct ref *ref, char *out)
{
    static const struct {
        char sigil;
        const char *suffix;
    } forms[256] = { [REF_MESSAGE] = { '%', ".sha256" },
                     [REF_CLOAKED] = { '%', ".cloaked" },
                     [REF_FEED] = { '@', ".ed25519" },
                     [REF_FEED_SHA256] = { '@', ".sha256" },
                     [REF_BLOB] = { '&', ".sha256" } };
    if (forms[ref->kind].suffix == NULL) return 0;
    size_t suffix = strlen(forms[ref->kind].suffix);
    out[0] = forms[ref->kind].sigil;
    ref_encode(ref->id, out + 1);
    memcpy(out + 1 + REF_BODY, forms[ref->kind].suffix, suffix);
    return 1 + REF_BODY + suffix;
}

static char *ref_put(char *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out, text, len);
    return out + len;
}

size_t ref_print_uri(const struct ref *ref, char *out)
{
    for (size_t i = 0; i < sizeof ref_uris / sizeof *ref_uris; i++) {
        if (ref_uris[i].kind != ref->kind) continue;
        char *at = ref_put(ref_put(ref_put(ref_put(out, "ssb:"), ref_uris[i].type), "/"), ref_uris[i].format);
        *at++ = '/';
        ref_encode(ref->id, at);
        for (size_t j = 0; j < REF_BODY; j++)
            at[j] = at[j] == '+' ? '-' : at[j] == '/' ? '_' : at[j];
        return (size_t)(at - out) + REF_BODY;
    }
    return 0;
}

bool ref_equal(const struct ref *a, const struct ref *b)
{
    return a->kind == b->kind && memcmp(a->id, b->id, sizeof a->id) == 0;
}
