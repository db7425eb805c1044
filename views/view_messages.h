/* View "messages": message id -> seq.
 *
 * Stored under the first 8 bytes of the id (a sha256) and confirmed at the record, so an entry is small; ids that share 8 bytes, and
 * copies of one message, stand side by side. */
#ifndef VIEWS_VIEW_MESSAGES_H
#define VIEWS_VIEW_MESSAGES_H

#include "views/flume.h"

/* The first record with that id: OK, ERR_NOTFOUND. */
int messages_find(const struct flume_read *read, const struct ref *id, struct log_record *ret_record);

#endif
