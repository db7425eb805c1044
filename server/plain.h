/* Which records are known to be plain (view_record.h): showing such a record is a copy; every other one has to be looked through first.
 * The view types knows those that are not, up to where it is, and is asked once; what is newer is found out when it is shown, and remembered.
 * Records do not change, so both is a bit each. Any thread. */
#ifndef SERVER_PLAIN_H
#define SERVER_PLAIN_H

#include <stdbool.h>

#include "views/flume.h"

struct plain;
int plain_open(struct plain **ret_plain);
void plain_free(struct plain *plain); /* NULL is fine; no log that it was asked about is needed any more */

enum plain_kind {
    PLAIN_UNKNOWN, /* also if there is no `plain` */
    PLAIN_COPY,
    PLAIN_BOX1, /* a copy, in front of which stands how it is encrypted */
};
enum plain_kind plain_kind(struct plain *plain, const struct log *log, const struct log_record *record);

/* Is it PLAIN_COPY? */
bool plain_known(struct plain *plain, const struct log *log, const struct log_record *record);
/* It will be asked about the record at `seq` soon: a hint. */
void plain_prefetch(struct plain *plain, const struct log *log, int64_t seq);
void plain_note(struct plain *plain, const struct log *log, const struct log_record *record);

/* Takes over what the view types has come to know since it was asked last, once that is worth it. Cheap if nothing is new. */
void plain_learn(struct plain *plain, struct flume *flume);
/* Somebody asks for so many rows (below 0 = all): learns, if that many are wanted by now that it is worth it. */
void plain_expect(struct plain *plain, struct flume *flume, int64_t rows);

#endif
