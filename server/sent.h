/* What somebody sent to be appended: a bare message, or a record of a log around one. Used by api_log_append.c, ahead.c and import_batch.c. */
#ifndef SERVER_SENT_H
#define SERVER_SENT_H

#include <stdbool.h>

#include "store/buf.h"
#include "store/feed.h"

struct sent {
    struct slice value;
    struct slice key, timestamp; /* raw, of a record that has them; data == NULL otherwise */
};

/* An object with a value but no author is a record. Everything else is taken for a message, valid JSON or not. `text` has no white space around
 * it. */
void sent_read(struct slice text, struct sent *ret_sent);

/* Shape, hash and signature of what was sent, and the key if one was: feed_check of its value. */
int sent_check(struct slice text, struct feed_message *ret_message);

/* A place in a text of lines; zeroed: its beginning. */
struct sent_lines {
    size_t at;
    size_t line; /* number of the line there, from 0 */
};

/* The next line that is not blank, without the white space around it, and its number: true. */
bool sent_lines_next(struct sent_lines *lines, struct slice body, struct slice *ret_line, size_t *ret_number);

#endif
