#include "store/canonical_node.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/utf8.h"

/* The text is copied once, and strings are unescaped where they stand in the copy (an escape is never shorter than
 * what it stands for). Nodes wait on a stack until their array or object closes, then move to a block of their own
 * size: memory is bounded by a multiple of the input, and nothing recurses. */

#define BLOCK_MIN 64    /* nodes */
#define SMALL_OBJECT 16 /* members up to which comparing all pairs is cheaper than sorting */
#define INDEX_NONE UINT32_MAX

struct block {
    struct block *next;
    size_t used, cap; /* nodes */
    struct canonical nodes[];
};

struct doc {
    struct canonical root; /* first: a document is its root */
    struct block *blocks;
    char text[]; /* the copy, terminated */
};

struct parser {
    struct doc *doc;
    char *at;
    const char *end;
    struct canonical *stack;
    size_t count, cap;
    const char *key; /* of the value that comes next; NULL outside objects */
    uint32_t key_len;
    size_t depth;
    size_t open[CANONICAL_DEPTH_MAX]; /* where on the stack the open arrays and objects wait */
};

static int parse_error(const struct parser *parser, const char *what)
{
    size_t offset = (size_t)(parser->at - parser->doc->text);
    return err_set(ERR_JSON, "not valid JSON at byte %zu: %s", offset,
                   parser->at >= parser->end ? "it ends too early" : what);
}

static int nomem(void)
{
    return err_set(ERR_NOMEM, "out of memory while reading a JSON value");
}

static struct canonical *nodes_take(struct doc *doc, size_t count)
{
    struct block *block = doc->blocks;
    if (block == NULL || block->cap - block->used < count) {
        size_t cap = block == NULL ? BLOCK_MIN : block->cap < 4096 ? block->cap * 2 : block->cap;
        if (cap < count) cap = count;
        struct block *fresh = malloc(sizeof *fresh + cap * sizeof(struct canonical));
        if (fresh == NULL) return NULL;
        fresh->used = 0;
        fresh->cap = cap;
        fresh->next = block;
        doc->blocks = block = fresh;
    }
    struct canonical *nodes = block->nodes + block->used;
    block->used += count;
    return nodes;
}

static int stack_push(struct parser *parser, struct canonical node)
{
    if (parser->count == parser->cap) {
        size_t cap = parser->cap == 0 ? BLOCK_MIN : parser->cap * 2;
        struct canonical *stack = realloc(parser->stack, cap * sizeof *stack);
        if (stack == NULL) return nomem();
        parser->stack = stack;
        parser->cap = cap;
    }
    node.key = parser->key;
    node.key_len = parser->key_len;
    parser->stack[parser->count++] = node;
    return OK;
}

static bool key_equal(const struct canonical *a, const struct canonical *b)
{
    return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static void value_move(struct canonical *to, const struct canonical *from)
{
    const char *key = to->key;
    uint32_t key_len = to->key_len;
    *to = *from;
    to->key = key;
    to->key_len = key_len;
}

static size_t members_unite_small(struct canonical *items, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        while (same < kept && !key_equal(&items[same], &items[i]))
            same++;
        if (same < kept)
            value_move(&items[same], &items[i]);
        else
            items[kept++] = items[i];
    }
    return kept;
}

struct member {
    struct canonical *item;
};

/* By key, then by place. */
static int member_compare(const void *left, const void *right)
{
    const struct canonical *a = ((const struct member *)left)->item, *b = ((const struct member *)right)->item;
    if (a->key_len != b->key_len) return a->key_len < b->key_len ? -1 : 1;
    int order = memcmp(a->key, b->key, a->key_len);
    return order != 0 ? order : a < b ? -1 : a > b;
}

static int members_unite(struct canonical *items, size_t *count)
{
    if (*count <= SMALL_OBJECT) {
        *count = members_unite_small(items, *count);
        return OK;
    }
    struct member *sorted = malloc(*count * sizeof *sorted);
    if (sorted == NULL) return nomem();
    for (size_t i = 0; i < *count; i++)
        sorted[i].item = &items[i];
    qsort(sorted, *count, sizeof *sorted, member_compare);
    struct canonical *first = sorted[0].item;
    for (size_t i = 1; i < *count; i++) {
        struct canonical *item = sorted[i].item;
        if (!key_equal(first, item)) {
            first = item;
            continue;
        }
        value_move(first, item);
        item->key = NULL;
    }
    free(sorted);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (items[i].key != NULL) items[kept++] = items[i];
    *count = kept;
    return OK;
}

/* The number that a canonical array index stands for ("0", "42", not "042"), or INDEX_NONE. */
static uint32_t key_index(const struct canonical *node)
{
    if (node->key_len == 0 || node->key_len > 10 || (node->key[0] == '0' && node->key_len > 1)) return INDEX_NONE;
    uint64_t index = 0;
    for (uint32_t i = 0; i < node->key_len; i++) {
        if (node->key[i] < '0' || node->key[i] > '9') return INDEX_NONE;
        index = index * 10 + (uint64_t)(node->key[i] - '0');
    }
    return index < INDEX_NONE ? (uint32_t)index : INDEX_NONE;
}

/* Indexes ascending, then the other keys by their place in the text. */
static int index_compare(const void *left, const void *right)
{
    const struct canonical *a = left, *b = right;
    uint32_t x = key_index(a), y = key_index(b);
    if (x != y) return x < y ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

static int members_order(struct canonical *items, size_t *count)
{
    int err = members_unite(items, count);
    for (size_t i = 0; err == OK && i < *count; i++) {
        if (key_index(&items[i]) == INDEX_NONE) continue;
        qsort(items, *count, sizeof *items, index_compare);
        break;
    }
    return err;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The unit of the \uXXXX at `at`, or -1. */
static int unit_read(const char *at)
{
    if (at[0] != '\\' || at[1] != 'u') return -1;
    int unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static char *put_char(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (code & 0x3F));
    return out;
}

static int unicode_unescape(struct parser *parser, char **out)
{
    int unit = unit_read(parser->at);
    if (unit < 0) return parse_error(parser, "\\u wants four hexadecimal digits");
    parser->at += 6;
    int low = unit >= 0xD800 && unit < 0xDC00 ? unit_read(parser->at) : -1;
    if (low >= 0xDC00 && low < 0xE000) {
        parser->at += 6;
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    *out = put_char(*out, (unsigned)unit);
    return OK;
}

static int unescape(struct parser *parser, char **out)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char c = parser->at[1];
    if (c == 'u') return unicode_unescape(parser, out);
    for (const char *at = letters; *at != '\0'; at += 2) {
        if (*at != c) continue;
        *(*out)++ = at[1];
        parser->at += 2;
        return OK;
    }
    return parse_error(parser, "no such escape in a string");
}

static bool string_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* One character that is not plain ASCII. */
static int string_step(struct parser *parser, char **out)
{
    unsigned char c = (unsigned char)*parser->at;
    if (c == '\\') return unescape(parser, out);
    if (c < 0x20) return parse_error(parser, "a control character stands unescaped in a string");
    size_t n = utf8_length((const unsigned char *)parser->at, (size_t)(parser->end - parser->at));
    if (n == 0) return parse_error(parser, "invalid UTF-8");
    memmove(*out, parser->at, n);
    *out += n;
    parser->at += n;
    return OK;
}

/* `at` stands on the opening quote and moves behind the closing one. */
static int string_read(struct parser *parser, const char **ret_text, uint32_t *ret_len)
{
    char *start = ++parser->at, *out = start;
    for (;;) {
        char *run = parser->at;
        while (string_plain(*parser->at))
            parser->at++;
        size_t n = (size_t)(parser->at - run);
        if (out != run) memmove(out, run, n);
        out += n;
        if (*parser->at == '"') break;
        int err = string_step(parser, &out);
        if (err != OK) return err;
    }
    parser->at++;
    *ret_text = start;
    *ret_len = (uint32_t)(out - start);
    return OK;
}

static char space_skip(struct parser *parser)
{
    while (*parser->at == ' ' || *parser->at == '\n' || *parser->at == '\r' || *parser->at == '\t')
        parser->at++;
    return *parser->at;
}

static int key_read(struct parser *parser)
{
    if (space_skip(parser) != '"') return parse_error(parser, "expected a key in quotes");
    int err = string_read(parser, &parser->key, &parser->key_len);
    if (err != OK) return err;
    if (space_skip(parser) != ':') return parse_error(parser, "expected ':'");
    parser->at++;
    return OK;
}

static int literal_read(struct parser *parser, const char *word, enum canonical_kind kind)
{
    size_t len = strlen(word);
    if (strncmp(parser->at, word, len) != 0) return parse_error(parser, "expected a value");
    parser->at += len;
    return stack_push(parser, (struct canonical){ .kind = kind });
}

static int string_push(struct parser *parser)
{
    struct canonical node = { .kind = CANONICAL_STRING };
    const char *text;
    uint32_t len;
    int err = string_read(parser, &text, &len);
    if (err != OK) return err;
    node.as.text = text;
    node.len = len;
    return stack_push(parser, node);
}

static int number_push(struct parser *parser)
{
    struct canonical node = { .kind = CANONICAL_NUMBER };
    const char *end;
    if (!canonical_number_read(parser->at, &node.as.number, &end))
        return parse_error(parser, "not a number as JSON has it");
    parser->at += end - parser->at;
    return stack_push(parser, node);
}

/* An array or object opens: it waits below its items. */
static int open_push(struct parser *parser, enum canonical_kind kind, char close)
{
    struct canonical node = { .kind = kind };
    parser->at++;
    if (space_skip(parser) == close) {
        parser->at++;
        return stack_push(parser, node);
    }
    if (parser->depth == CANONICAL_DEPTH_MAX)
        return err_set(ERR_LIMIT, "JSON nested deeper than %d levels", CANONICAL_DEPTH_MAX);
    parser->open[parser->depth++] = parser->count;
    int err = stack_push(parser, node);
    parser->key = NULL;
    parser->key_len = 0;
    return err == OK && kind == CANONICAL_OBJECT ? key_read(parser) : err;
}

static int value_read(struct parser *parser)
{
    switch (space_skip(parser)) {
    case '{': return open_push(parser, CANONICAL_OBJECT, '}');
    case '[': return open_push(parser, CANONICAL_ARRAY, ']');
    case '"': return string_push(parser);
    case 'n': return literal_read(parser, "null", CANONICAL_NULL);
    case 't': return literal_read(parser, "true", CANONICAL_TRUE);
    case 'f': return literal_read(parser, "false", CANONICAL_FALSE);
    case '-': return number_push(parser);
    default:
        return *parser->at >= '0' && *parser->at <= '9' ? number_push(parser) : parse_error(parser, "expected a value");
    }
}

/* The innermost array or object is whole: its items move from the stack to their place. */
static int close_pop(struct parser *parser)
{
    size_t at = parser->open[--parser->depth];
    struct canonical *node = &parser->stack[at], *items = node + 1;
    size_t count = parser->count - at - 1;
    if (node->kind == CANONICAL_OBJECT) {
        int err = members_order(items, &count);
        if (err != OK) return err;
    }
    struct canonical *place = nodes_take(parser->doc, count);
    if (place == NULL) return nomem();
    memcpy(place, items, count * sizeof *place);
    node->as.items = place;
    node->len = (uint32_t)count;
    parser->count = at + 1;
    return OK;
}

/* After a value: 1 = another one follows in the same array or object, 0 = that was the last. */
static int value_after(struct parser *parser)
{
    while (parser->depth > 0) {
        bool object = parser->stack[parser->open[parser->depth - 1]].kind == CANONICAL_OBJECT;
        char c = space_skip(parser);
        if (c == ',') {
            parser->at++;
            parser->key = NULL;
            parser->key_len = 0;
            int err = object ? key_read(parser) : OK;
            return err == OK ? 1 : err;
        }
        if (c != (object ? '}' : ']'))
            return parse_error(parser, object ? "expected ',' or '}'" : "expected ',' or ']'");
        parser->at++;
        int err = close_pop(parser);
        if (err != OK) return err;
    }
    space_skip(parser);
    return parser->at == parser->end ? 0 : parse_error(parser, "something stands behind the value");
}

/* An array or object that has just opened wants a value; after anything else comes a comma or a bracket. */
static int parse_all(struct parser *parser)
{
    for (;;) {
        size_t depth = parser->depth;
        int err = value_read(parser);
        if (err != OK) return err;
        if (parser->depth > depth) continue;
        int more = value_after(parser);
        if (more <= 0) return more;
    }
}

int canonical_parse(const char *data, size_t len, struct canonical **ret_doc)
{
    if (len >= UINT32_MAX) return err_set(ERR_LIMIT, "a JSON value of %zu bytes; the most is 4 GiB", len);
    struct doc *doc = malloc(sizeof *doc + len + 1);
    if (doc == NULL) return nomem();
    doc->blocks = NULL;
    if (len > 0) memcpy(doc->text, data, len);
    doc->text[len] = '\0';
    struct parser parser;
    memset(&parser, 0, offsetof(struct parser, open));
    parser.doc = doc;
    parser.at = doc->text;
    parser.end = doc->text + len;
    int err = parse_all(&parser);
    if (err == OK) {
        doc->root = parser.stack[0];
        *ret_doc = &doc->root;
    } else {
        canonical_free(&doc->root);
    }
    free(parser.stack);
    return err;
}

void canonical_free(struct canonical *root)
{
    if (root == NULL) return;
    struct doc *doc = (struct doc *)root;
    for (struct block *block = doc->blocks; block != NULL;) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(doc);
}
