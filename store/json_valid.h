/* Is it JSON? The strict look that everything takes which goes out as JSON. */
#ifndef STORE_JSON_VALID_H
#define STORE_JSON_VALID_H

#include <stdbool.h>

#include "store/buf.h"

/* Exactly one JSON value of RFC 8259 in valid UTF-8, not deeper than JSON_DEPTH_MAX. Records come from a file that others write: what
 * is shown inside a JSON answer or a text frame has to pass here first. One pass, no allocation. */
bool json_valid(struct slice text);

/* The same; of valid text it also says more. */
struct json_look {
    bool one_line;
    size_t members; /* of the outermost bracket, counted by its commas: 1 of an empty one, too */
    const char *second,
        *last; /* where the second and the last of them begin, behind the comma; NULL = there is one only */
};
bool json_valid_look(struct slice text, struct json_look *ret_look);

#endif
