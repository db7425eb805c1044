/* What somebody sent to be appended: a bare message, or a record of a log around one. Used by api_log_append.c and import_batch.c. */
#ifndef SERVER_SENT_H
#define SERVER_SENT_H

#include "store/buf.h"

struct sent {
    struct slice value;
    struct slice key, timestamp; /* raw, of a record that has them; data == NULL otherwise */
};

/* An object with a value but no author is a record. Everything else is taken for a message, valid JSON or not. `text` has no white space around
 * it. */
void sent_read(struct slice text, struct sent *ret_sent);

#endif
