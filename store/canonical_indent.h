/* The short way to canonical text, for messages that come as JSON.stringify prints them without indent: nearly all do. One pass
 * copies them into the indented form; no tree, no memory. What is not surely in that form is left to canonical_parse. */
#ifndef STORE_CANONICAL_INDENT_H
#define STORE_CANONICAL_INDENT_H

#include <stdbool.h>
#include <stddef.h>

#include "store/canonical_node.h"

#define INDENT_MEMBERS 7 /* of a message */

struct canonical_indent {
    /* The object with its members, as canonical_parse gives it as far as it goes: of what is nested there is only the
     * member `type` of the object `content`. Strings point into the text that was given. */
    struct canonical root;
    struct canonical members[INDENT_MEMBERS];
    struct canonical type;
    size_t len;   /* bytes of the canonical text */
    size_t units; /* its length in UTF-16 units */
};

/* True: `text` is an object with INDENT_MEMBERS members in compact JSON.stringify form, byte for byte, and its canonical text is in
 * `out`. False = it may be anything; nothing is said about it. */
bool canonical_indent(const char *text, size_t len, char *out, size_t cap, struct canonical_indent *ret_indent);

#endif
