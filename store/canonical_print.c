#include "store/canonical_node.h"

#include <string.h>

#include "store/err.h"

struct printer {
    struct buf *out;
    bool pretty;
    size_t depth;
    struct printer_frame {
        const struct canonical *node; /* the open array or object */
        uint32_t next;                /* the item to print next */
    } frames[CANONICAL_DEPTH_MAX];
};

static void print_newline(struct printer *printer)
{
    static const char spaces[] = "                                                                ";
    if (!printer->pretty) return;
    buf_putc(printer->out, '\n');
    for (size_t left = 2 * printer->depth; left > 0;) {
        size_t n = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        buf_append(printer->out, spaces, n);
        left -= n;
    }
}

/* In WTF-8 a lone surrogate is ED A0..BF xx; ED 80..9F xx is an ordinary character. */
static bool surrogate_at(const unsigned char *text, size_t left)
{
    return text[0] == 0xED && left >= 3 && text[1] >= 0xA0;
}

static void print_unicode_escape(struct buf *out, unsigned unit)
{
    static const char hex[] = "0123456789abcdef";
    const char text[6] = {
        '\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15],
    };
    buf_append(out, text, sizeof text);
}

static void print_control(struct buf *out, unsigned char c)
{
    static const char letters[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *at = letters; *at != '\0'; at += 2) {
        if ((unsigned char)*at != c) continue;
        const char pair[2] = { '\\', at[1] };
        buf_append(out, pair, 2);
        return;
    }
    print_unicode_escape(out, c);
}

static void print_string(struct buf *out, const char *data, size_t len)
{
    const unsigned char *text = (const unsigned char *)data;
    size_t done = 0;
    buf_putc(out, '"');
    for (size_t at = 0; at < len;) {
        bool surrogate = surrogate_at(text + at, len - at);
        if (!surrogate && text[at] >= 0x20 && text[at] != '"' && text[at] != '\\') {
            at++;
            continue;
        }
        buf_append(out, data + done, at - done);
        if (surrogate)
            print_unicode_escape(out, 0xD000U | (text[at + 1] & 0x3FU) << 6 | (text[at + 2] & 0x3FU));
        else
            print_control(out, text[at]);
        at += surrogate ? 3 : 1;
        done = at;
    }
    buf_append(out, data + done, len - done);
    buf_putc(out, '"');
}

static void print_number(struct buf *out, double number)
{
    char text[32];
    buf_append(out, text, canonical_number(number, text));
}

static void print_open(struct printer *printer, const struct canonical *node)
{
    bool object = node->kind == CANONICAL_OBJECT;
    if (node->len == 0) {
        buf_append(printer->out, object ? "{}" : "[]", 2);
        return;
    }
    buf_putc(printer->out, object ? '{' : '[');
    printer->frames[printer->depth++] = (struct printer_frame){ .node = node };
}

static void print_node(struct printer *printer, const struct canonical *node)
{
    struct buf *out = printer->out;
    switch (node->kind) {
    case CANONICAL_NULL: buf_append(out, "null", 4); break;
    case CANONICAL_FALSE: buf_append(out, "false", 5); break;
    case CANONICAL_TRUE: buf_append(out, "true", 4); break;
    case CANONICAL_NUMBER: print_number(out, node->as.number); break;
    case CANONICAL_STRING: print_string(out, node->as.text, node->len); break;
    case CANONICAL_ARRAY:
    case CANONICAL_OBJECT: print_open(printer, node); break;
    }
}

/* The next item of the innermost open value, or its closing bracket. */
static void print_step(struct printer *printer)
{
    struct printer_frame *frame = &printer->frames[printer->depth - 1];
    struct buf *out = printer->out;
    if (frame->next == frame->node->len) {
        printer->depth--;
        print_newline(printer);
        buf_putc(out, frame->node->kind == CANONICAL_OBJECT ? '}' : ']');
        return;
    }
    const struct canonical *item = &frame->node->as.items[frame->next];
    if (frame->next++ > 0) buf_putc(out, ',');
    print_newline(printer);
    if (frame->node->kind == CANONICAL_OBJECT) {
        print_string(out, item->key, item->key_len);
        buf_append(out, ": ", printer->pretty ? 2 : 1);
    }
    print_node(printer, item);
}

static int print_doc(const struct canonical *doc, bool pretty, struct buf *out)
{
    struct printer printer;
    printer.out = out;
    printer.pretty = pretty;
    printer.depth = 0;
    print_node(&printer, doc);
    while (printer.depth > 0 && out->err == OK)
        print_step(&printer);
    if (out->err == ERR_LIMIT) return err_set(ERR_LIMIT, "the text of the value is longer than %zu bytes", out->max);
    return out->err;
}

int canonical_print(const struct canonical *doc, struct buf *out)
{
    return print_doc(doc, true, out);
}

int canonical_print_compact(const struct canonical *doc, struct buf *out)
{
    return print_doc(doc, false, out);
}
