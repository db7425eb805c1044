#include "store/canonical_indent.h"

#include <string.h>

#include "store/json_walk.h"
#include "store/utf8.h"

#define DEPTH_MAX 24
#define OBJECT_KEYS_MAX 32              /* all pairs are compared */
#define KEYS_MAX 128                    /* of all objects that are open */
#define TOKEN_ROOM (2 * DEPTH_MAX + 64) /* line end, indent and a number, literal or bracket fit */
#define INTEGER_DIGITS 15
#define NUMBER_MAX 32

struct indent {
    const char *at, *end;
    char *out, *out_end;
    size_t fewer; /* UTF-16 units than bytes */
    struct canonical_indent *result;
    struct canonical *place; /* where the next value belongs in the result; NULL = it is not kept */
    size_t depth;
    struct {
        bool object, empty;
        size_t first_key;
    } open[DEPTH_MAX];
    struct slice keys[KEYS_MAX];
    size_t key_count;
};

/* Room for `n` bytes and a token. */
static bool indent_room(const struct indent *indent, size_t n)
{
    return (size_t)(indent->out_end - indent->out) >= n + TOKEN_ROOM;
}

static void indent_put(struct indent *indent, const char *text, size_t len)
{
    memcpy(indent->out, text, len);
    indent->out += len;
}

static void indent_line(struct indent *indent)
{
    *indent->out++ = '\n';
    memset(indent->out, ' ', 2 * indent->depth);
    indent->out += 2 * indent->depth;
}

/* ---- strings ---- */

/* Plain ASCII up to the first byte that is something else. */
static void string_plain(struct indent *indent)
{
    const char *at = indent->at;
    char *out = indent->out;
#ifdef JSON_SSE2
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    while (indent->end - at >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* compared with their sign: bytes from 0x80 on are below a space as well */
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, space),
                                   _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, backslash)));
        int hits = _mm_movemask_epi8(odd);
        _mm_storeu_si128((__m128i *)(void *)out, x);
        unsigned n = hits == 0 ? 16 : (unsigned)__builtin_ctz((unsigned)hits);
        at += n;
        out += n;
        if (hits == 0) continue;
        indent->at = at;
        indent->out = out;
        return;
    }
#endif
    while (at < indent->end && (signed char)*at >= ' ' && *at != '"' && *at != '\\')
        *out++ = *at++;
    indent->at = at;
    indent->out = out;
}

/* An escape that JSON.stringify would write, too; those with numbers are not looked into. */
static bool string_escape(struct indent *indent)
{
    if (indent->end - indent->at < 2 || memchr("\"\\bfnrt", indent->at[1], 7) == NULL) return false;
    indent_put(indent, indent->at, 2);
    indent->at += 2;
    return true;
}

static bool string_wide(struct indent *indent)
{
    size_t n = utf8_length((const unsigned char *)indent->at, (size_t)(indent->end - indent->at));
    if (n < 2) return false;
    indent_put(indent, indent->at, n);
    indent->at += n;
    indent->fewer += n == 4 ? 2 : n - 1;
    return true;
}

/* `at` is at the opening quote. The text between the quotes as it stands; *ret_escaped: a backslash is in it. */
static bool string_copy(struct indent *indent, struct slice *ret_text, bool *ret_escaped)
{
    const char *start = ++indent->at;
    *indent->out++ = '"';
    *ret_escaped = false;
    for (;;) {
        if (!indent_room(indent, (size_t)(indent->end - indent->at))) return false;
        string_plain(indent);
        if (indent->at == indent->end) return false;
        if (*indent->at == '"') break;
        bool escape = *indent->at == '\\';
        *ret_escaped |= escape;
        if (!(escape ? string_escape(indent) : string_wide(indent))) return false;
    }
    *ret_text = (struct slice){ start, (size_t)(indent->at - start) };
    indent->at++;
    *indent->out++ = '"';
    return true;
}

/* ---- values that hold no others ---- */

static void place_set(struct indent *indent, struct canonical value)
{
    struct canonical *place = indent->place;
    if (place == NULL) return;
    value.key = place->key;
    value.key_len = place->key_len;
    *place = value;
}

static bool value_string(struct indent *indent)
{
    struct slice text;
    bool escaped;
    if (!string_copy(indent, &text, &escaped)) return false;
    place_set(indent, (struct canonical){ .kind = CANONICAL_STRING, .as.text = text.data, .len = (uint32_t)text.len });
    return indent->place == NULL || !escaped;
}

static size_t number_length(const struct indent *indent)
{
    size_t n = 0, most = (size_t)(indent->end - indent->at);
    while (n < most && memchr("0123456789+-.eE", indent->at[n], 15) != NULL)
        n++;
    return n;
}

/* A whole number whose digits are what JavaScript prints for it. */
static bool number_whole(const char *text, size_t len, double *ret_number)
{
    bool negative = text[0] == '-';
    size_t at = negative;
    if (len - at == 0 || len - at > INTEGER_DIGITS || (text[at] == '0' && len > 1)) return false;
    int64_t number = 0;
    for (; at < len; at++) {
        if (text[at] < '0' || text[at] > '9') return false;
        number = number * 10 + (text[at] - '0');
    }
    *ret_number = (double)(negative ? -number : number);
    return true;
}

static bool number_other(const char *text, size_t len, double *ret_number)
{
    char read[NUMBER_MAX + 1], printed[NUMBER_MAX];
    const char *end;
    if (len > NUMBER_MAX) return false;
    memcpy(read, text, len);
    read[len] = '\0';
    return canonical_number_read(read, ret_number, &end) && end == read + len &&
           canonical_number(*ret_number, printed) == len && memcmp(printed, text, len) == 0;
}

static bool value_number(struct indent *indent)
{
    struct canonical node = { .kind = CANONICAL_NUMBER };
    size_t len = number_length(indent);
    if (!number_whole(indent->at, len, &node.as.number) && !number_other(indent->at, len, &node.as.number))
        return false;
    indent_put(indent, indent->at, len);
    indent->at += len;
    place_set(indent, node);
    return true;
}

static bool value_literal(struct indent *indent, const char *word, enum canonical_kind kind)
{
    size_t len = strlen(word);
    if ((size_t)(indent->end - indent->at) < len || memcmp(indent->at, word, len) != 0) return false;
    indent_put(indent, word, len);
    indent->at += len;
    place_set(indent, (struct canonical){ .kind = kind });
    return true;
}

/* ---- objects and arrays ---- */

static bool open_push(struct indent *indent, bool object)
{
    if (indent->depth == DEPTH_MAX) return false;
    struct canonical node = { .kind = object ? CANONICAL_OBJECT : CANONICAL_ARRAY };
    place_set(indent, node);
    indent->open[indent->depth].object = object;
    indent->open[indent->depth].empty = true;
    indent->open[indent->depth++].first_key = indent->key_count;
    *indent->out++ = *indent->at++;
    return true;
}

static bool open_pop(struct indent *indent)
{
    bool object = indent->open[--indent->depth].object;
    if (*indent->at != (object ? '}' : ']')) return false;
    indent->key_count = indent->open[indent->depth].first_key;
    if (!indent->open[indent->depth].empty) indent_line(indent);
    *indent->out++ = *indent->at++;
    return true;
}

/* A key that begins with a digit may be an index, which would have to stand first. */
static bool key_new(struct indent *indent, struct slice key)
{
    size_t first = indent->open[indent->depth - 1].first_key;
    if (key.len > 0 && key.data[0] >= '0' && key.data[0] <= '9') return false;
    if (indent->key_count == KEYS_MAX || indent->key_count - first == OBJECT_KEYS_MAX) return false;
    for (size_t i = first; i < indent->key_count; i++)
        if (indent->keys[i].len == key.len && memcmp(indent->keys[i].data, key.data, key.len) == 0) return false;
    indent->keys[indent->key_count++] = key;
    return true;
}

static bool slice_is(const char *data, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(data, text, len) == 0;
}

/* Members of the message are kept, and `type` of its content. */
static bool place_choose(struct indent *indent, struct slice key)
{
    struct canonical *root = &indent->result->root;
    struct canonical *content = root->len == 0 ? NULL : &root->as.items[root->len - 1];
    indent->place = NULL;
    if (indent->depth == 1) {
        if (root->len == INDENT_MEMBERS) return false;
        indent->place = &root->as.items[root->len++];
    } else if (indent->depth == 2 && content->kind == CANONICAL_OBJECT && slice_is(key.data, key.len, "type") &&
               slice_is(content->key, content->key_len, "content")) {
        indent->place = &indent->result->type;
        content->as.items = indent->place;
        content->len = 1;
    }
    if (indent->place != NULL) *indent->place = (struct canonical){ .key = key.data, .key_len = (uint32_t)key.len };
    return true;
}

/* Up to the value of the next member. */
static bool member_begin(struct indent *indent)
{
    struct slice key;
    bool escaped;
    indent->place = NULL;
    indent->open[indent->depth - 1].empty = false;
    indent_line(indent);
    if (!indent->open[indent->depth - 1].object) return true;
    if (*indent->at != '"' || !string_copy(indent, &key, &escaped) || !key_new(indent, key)) return false;
    if (indent->at == indent->end || *indent->at++ != ':') return false;
    indent_put(indent, ": ", 2);
    return place_choose(indent, key);
}

static bool value_copy(struct indent *indent)
{
    switch (*indent->at) {
    case '{': return open_push(indent, true);
    case '[': return open_push(indent, false);
    case '"': return value_string(indent);
    case 'n': return value_literal(indent, "null", CANONICAL_NULL);
    case 't': return value_literal(indent, "true", CANONICAL_TRUE);
    case 'f': return value_literal(indent, "false", CANONICAL_FALSE);
    default: return value_number(indent);
    }
}

/* Is there a byte to look at, and room for what it may lead to? */
static bool indent_more(const struct indent *indent)
{
    return indent->at < indent->end && indent_room(indent, 0);
}

/* Behind a value or an opening bracket: closes what ends here, up to the next member. */
static bool value_after(struct indent *indent)
{
    while (indent->depth > 0) {
        if (!indent_more(indent)) return false;
        if (*indent->at == '}' || *indent->at == ']') {
            if (!open_pop(indent)) return false;
            continue;
        }
        if (!indent->open[indent->depth - 1].empty) {
            if (*indent->at != ',') return false;
            *indent->out++ = *indent->at++;
        }
        return indent->at < indent->end && member_begin(indent);
    }
    return true;
}

bool canonical_indent(const char *text, size_t len, char *out, size_t cap, struct canonical_indent *ret_indent)
{
    struct indent indent;
    indent.at = text;
    indent.end = text + len;
    indent.out = out;
    indent.out_end = out + cap;
    indent.fewer = indent.depth = indent.key_count = 0;
    indent.result = ret_indent;
    indent.place = NULL;
    ret_indent->root = (struct canonical){ .kind = CANONICAL_OBJECT, .as.items = ret_indent->members };
    if (len == 0 || *text != '{') return false;
    do {
        if (!indent_more(&indent) || !value_copy(&indent) || !value_after(&indent)) return false;
    } while (indent.depth > 0);
    ret_indent->len = (size_t)(indent.out - out);
    ret_indent->units = ret_indent->len - indent.fewer;
    return indent.at == indent.end && ret_indent->root.len == INDENT_MEMBERS;
}
