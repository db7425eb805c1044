/* Answers with ssb: URIs instead of ids with sigils: ?ids=uri. */
#ifndef SERVER_IDS_H
#define SERVER_IDS_H

#include <stdbool.h>

#include "store/buf.h"

/* "uri" and "sigil". */
bool ids_text(struct slice text, bool *ret_uris);

/* Rewrites the JSON in `out` from `start` on: every string and every name of a member that is exactly an id becomes its URI, but for what people
 * wrote: all inside a member `value` (of a record, a link, an assignment) or `about` stays as it is. Ids that have no URI stay. */
int ids_to_uris(struct buf *out, size_t start);

#endif
