/* The tree behind struct canonical: for the files of this folder that look into a parsed value. */
#ifndef STORE_CANONICAL_NODE_H
#define STORE_CANONICAL_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/canonical.h"

enum canonical_kind {
    CANONICAL_NULL,
    CANONICAL_FALSE,
    CANONICAL_TRUE,
    CANONICAL_NUMBER,
    CANONICAL_STRING,
    CANONICAL_ARRAY,
    CANONICAL_OBJECT,
};

/* Strings and keys are WTF-8: UTF-8 in which a lone surrogate is the three bytes that its number would have. Not
 * terminated. Members of an object are unique and already in the order in which JavaScript lists them. */
struct canonical {
    const char *key; /* NULL unless the value is a member of an object */
    uint32_t key_len;
    uint32_t len; /* bytes of `text` or count of `items` */
    union {
        double number;
        const char *text;
        struct canonical *items;
    } as;
    enum canonical_kind kind;
};

/* Reads the JSON number at `text` (terminated somewhere behind it): its value and where it ends. False if its form is
 * not JSON's. */
bool canonical_number_read(const char *text, double *ret_value, const char **ret_end);

/* The one string value of a node; data == NULL if it holds none. `node` may be NULL. */
struct slice canonical_string(const struct canonical *node);

/* SHA-256 over text as UTF-16 units cut to their low bytes; `text` is UTF-8. */
void canonical_hash(const char *text, size_t len, uint8_t ret_hash[32]);

#endif
