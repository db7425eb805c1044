/* Which records are known to be plain: one valid JSON object that starts with {"key" and stands on one line. Showing such
 * a record is a copy; every other one has to be looked through first. Records do not change, so what was found out about
 * one once is remembered, a bit each. Any thread. */
#ifndef SERVER_PLAIN_H
#define SERVER_PLAIN_H

#include <stdbool.h>

#include "store/log.h"

struct plain;
int plain_open(struct plain **ret_plain);
void plain_free(struct plain *plain); /* NULL is fine; no log that it was asked about is needed any more */

/* false = not known, or `plain` is NULL. */
bool plain_known(struct plain *plain, const struct log *log, const struct log_record *record);
/* It will be asked about the record at `seq` soon: a hint. */
void plain_prefetch(struct plain *plain, const struct log *log, int64_t seq);
void plain_note(struct plain *plain, const struct log *log, const struct log_record *record);

#endif
