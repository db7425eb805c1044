/* View "types": content.type -> seqs. Fields `type` and `private` (true: content is encrypted). */
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

#endif
