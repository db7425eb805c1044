#include "store/canonical_node.h"

#include <string.h>

#include "store/err.h"
#include "store/sha256.h"

/* Far above any message; keeps deep nesting, whose indentation grows with the square, from filling the memory. */
#define ID_TEXT_MAX ((size_t)16 << 20)

const struct canonical *canonical_member(const struct canonical *doc, const char *key)
{
    if (doc == NULL || doc->kind != CANONICAL_OBJECT) return NULL;
    size_t len = strlen(key);
    for (uint32_t i = 0; i < doc->len; i++) {
        const struct canonical *item = &doc->as.items[i];
        if (item->key_len == len && memcmp(item->key, key, len) == 0) return item;
    }
    return NULL;
}

struct slice canonical_string(const struct canonical *node)
{
    if (node == NULL || node->kind != CANONICAL_STRING) return (struct slice){ NULL, 0 };
    return (struct slice){ node->as.text, node->len };
}

size_t canonical_utf16_length(const char *text, size_t len)
{
    size_t units = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        units += (c & 0xC0) != 0x80;
        units += c >= 0xF0;
    }
    return units;
}

/* The low bytes of the UTF-16 units of one character; `at` moves behind it. */
static size_t char_cut(const unsigned char *text, size_t len, size_t *at, unsigned char *out)
{
    unsigned char c = text[(*at)++];
    unsigned more = c < 0xC0 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    uint32_t code = more == 0 ? c : more == 1 ? c & 0x1FU : more == 2 ? c & 0x0FU : c & 0x07U;
    for (; more > 0 && *at < len; more--)
        code = code << 6 | (text[(*at)++] & 0x3FU);
    if (code < 0x10000) {
        out[0] = (unsigned char)code;
        return 1;
    }
    code -= 0x10000;
    out[0] = (unsigned char)(code >> 10);
    out[1] = (unsigned char)code;
    return 2;
}

/* How many of the first bytes are ASCII. */
static size_t ascii_length(const unsigned char *text, size_t len)
{
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, text + at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) break;
    }
    while (at < len && text[at] < 0x80)
        at++;
    return at;
}

void canonical_hash(const char *text, size_t len, uint8_t ret_hash[32])
{
    const unsigned char *bytes = (const unsigned char *)text;
    struct sha256 state;
    sha256_begin(&state);
    for (size_t at = 0; at < len;) {
        unsigned char chunk[256];
        size_t plain = ascii_length(bytes + at, len - at), fill = 0;
        sha256_add(&state, bytes + at, plain);
        at += plain;
        while (at < len && bytes[at] >= 0x80 && fill < sizeof chunk - 1)
            fill += char_cut(bytes, len, &at, chunk + fill);
        sha256_add(&state, chunk, fill);
    }
    sha256_end(&state, ret_hash);
}

int canonical_id(const struct canonical *doc, struct ref *ret_id)
{
    struct buf text;
    buf_init(&text, ID_TEXT_MAX);
    int err = canonical_print(doc, &text);
    if (err == OK) {
        *ret_id = (struct ref){ .kind = REF_MESSAGE };
        canonical_hash(text.data, text.len, ret_id->id);
    }
    buf_free(&text);
    return err;
}
