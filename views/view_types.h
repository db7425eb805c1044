/* View "types": content.type -> seqs. Fields `type` and `private` (true: content is encrypted). It also holds which
 * records cannot be shown as they stand, so that all others need no look before they are. */
#ifndef VIEWS_VIEW_TYPES_H
#define VIEWS_VIEW_TYPES_H

#include "views/flume.h"

struct type_count {
    uint64_t count;
    int64_t seq;      /* of the newest */
    struct term term; /* to go on behind it: its name may not be known any more */
};

/* Types in byte order: the first after that of the term `after` (NULL = from the start). 1 with the type's name appended to `name`, 0 = no more. */
int types_next(const struct flume_read *read, const struct term *after, struct buf *name, struct type_count *ret_count);

/* The same of the type of that term, if its newest message is the one at `seq`: 1, 0 = it is not. */
int types_at(const struct flume_read *read, const struct term *term, int64_t seq, struct buf *name,
             struct type_count *ret_count);

/* Why a record is not plain (view_record.h). */
enum types_oddity {
    ODD_BOX1, /* it would be, but content is encrypted for box1, which is said in front of it; at least ODD_BOX1_BYTES_MIN long */
    ODD_OTHER,
};
#define ODD_BOX1_BYTES_MIN 64

/* Takes a seq: OK to go on, or an error. */
typedef int types_odd_fn(void *ctx, int64_t seq);

/* The records that are not plain for that reason, from `from` up to where the view is, in the order of the log. */
int types_odd(const struct flume_read *read, enum types_oddity oddity, int64_t from, types_odd_fn *fn, void *ctx);

#endif
