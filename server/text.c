#include "server/text.h"

#include <string.h>
#include <strings.h>

#include "store/digits.h"

bool text_is(struct slice text, const char *word)
{
    return text.data != NULL && text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

bool text_is_nocase(struct slice text, const char *word)
{
    return text.data != NULL && text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

bool text_int(struct slice text, int64_t min, int64_t max, int64_t *ret)
{
    bool minus = text.len > 1 && text.data[0] == '-';
    size_t first = minus ? 1 : 0;
    if (text.len == first || text.len - first > 18) return false;
    if (text.data[first] == '0' && (text.len - first > 1 || minus)) return false;
    int64_t n = 0;
    for (size_t i = first; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        n = n * 10 + (text.data[i] - '0');
    }
    if (minus) n = -n;
    if (n < min || n > max) return false;
    *ret = n;
    return true;
}

struct slice text_of_int(int64_t n, char room[TEXT_INT_MAX])
{
    _Static_assert(TEXT_INT_MAX == DIGITS_MAX, "a sign takes the place of a digit that no int64_t has");
    size_t at = digits_of(n < 0 ? 0 - (uint64_t)n : (uint64_t)n, room);
    if (n < 0) room[--at] = '-';
    return (struct slice){ room + at, TEXT_INT_MAX - at };
}

bool text_bool(struct slice text, bool *ret)
{
    bool is_true = text_is(text, "true");
    if (!is_true && !text_is(text, "false")) return false;
    *ret = is_true;
    return true;
}

static bool text_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct slice text_trim(struct slice text)
{
    while (text.len > 0 && text_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && text_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

static bool text_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void text_put_query(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (text_unreserved(c)) {
            (void)buf_putc(out, (char)c);
            continue;
        }
        char escape[3] = { '%', digits[c >> 4], digits[c & 15] };
        (void)buf_append(out, escape, sizeof escape);
    }
}

void text_put_ref(struct buf *out, const struct ref *ref)
{
    if (ref->kind == REF_NONE) {
        (void)buf_puts(out, "null");
        return;
    }
    char text[REF_TEXT_MAX];
    size_t len = ref_print(ref, text);
    (void)buf_put_json(out, text, len);
}

void text_put_json(struct buf *out, struct slice text)
{
    if (text.data == NULL)
        (void)buf_puts(out, "null");
    else
        (void)buf_put_json(out, text.data, text.len);
}
