#include "views/view.h"

#include <sodium.h>
#include <string.h>

/* Characters of a string that a term keeps. What is longer, or holds the two bytes that terms are built with, ends in
 * TERM_CUT and a hash of the whole. NUL is the last byte of every such term and stands nowhere else in it, so none begins another. */
#define TERM_TEXT_MAX 150
#define TERM_CUT '\x01'
#define TERM_HASH 16

_Static_assert(TERM_TEXT_MAX + 1 + 2 * TERM_HASH + 1 <= TERM_MAX, "a cut string fits a term");

void term_of_ref(const struct ref *ref, struct term *ret_term)
{
    ret_term->len = 1 + sizeof ref->id;
    ret_term->bytes[0] = ref->kind;
    memcpy(ret_term->bytes + 1, ref->id, sizeof ref->id);
}

static size_t term_plain(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && n < TERM_TEXT_MAX && (unsigned char)text[n] > TERM_CUT)
        n++;
    return n;
}

void term_of_string(const char *text, size_t len, struct term *ret_term)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = term_plain(text, len);
    if (n > 0) memcpy(ret_term->bytes, text, n);
    if (n < len) {
        unsigned char hash[TERM_HASH];
        (void)crypto_generichash(hash, sizeof hash, (const unsigned char *)text, len, NULL, 0);
        ret_term->bytes[n++] = TERM_CUT;
        for (size_t i = 0; i < sizeof hash; i++) {
            ret_term->bytes[n++] = (uint8_t)hex[hash[i] >> 4];
            ret_term->bytes[n++] = (uint8_t)hex[hash[i] & 15];
        }
    }
    ret_term->bytes[n++] = '\0';
    ret_term->len = (uint8_t)n;
}

/* Is this the beginning of a string and the hash of the whole, as term_of_string puts them? */
static bool term_is_cut(const char *text, size_t len)
{
    if (len <= 2 * TERM_HASH || len > TERM_TEXT_MAX + 1 + 2 * TERM_HASH) return false;
    const char *hash = text + len - 2 * TERM_HASH;
    if (hash[-1] != TERM_CUT || term_plain(text, len) != len - 2 * TERM_HASH - 1) return false;
    for (size_t i = 0; i < (size_t)2 * TERM_HASH; i++)
        if (hash[i] == '\0' || strchr("0123456789abcdef", hash[i]) == NULL) return false;
    return true;
}

void term_of_text(const char *text, size_t len, struct term *ret_term)
{
    if (!term_is_cut(text, len)) {
        term_of_string(text, len, ret_term);
        return;
    }
    memcpy(ret_term->bytes, text, len);
    ret_term->bytes[len] = '\0';
    ret_term->len = (uint8_t)(len + 1);
}

bool term_text(const struct term *term, struct slice *ret_text)
{
    if (memchr(term->bytes, TERM_CUT, term->len) != NULL) return false;
    *ret_text = (struct slice){ (const char *)term->bytes, (size_t)(term->len - 1) };
    return true;
}

bool term_equal(const struct term *a, const struct term *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
