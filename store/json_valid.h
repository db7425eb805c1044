/* Is it JSON? The strict look that everything takes which goes out as JSON. */
#ifndef STORE_JSON_VALID_H
#define STORE_JSON_VALID_H

#include <stdbool.h>

#include "store/buf.h"

/* Exactly one JSON value of RFC 8259 in valid UTF-8, not deeper than JSON_DEPTH_MAX. Records come from a file that others write: what
 * is shown inside a JSON answer or a text frame has to pass here first. One pass, no allocation. */
bool json_valid(struct slice text);

/* The same; of valid text it also says whether it stands on one line. */
bool json_valid_look(struct slice text, bool *ret_one_line);

#endif
