/* Lines of a file or a pipe, however long up to a maximum, without copying each. One thread. */
#ifndef SERVER_LINE_READER_H
#define SERVER_LINE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/buf.h"

struct line_reader {
    int fd;
    const char *name; /* for errors; borrowed */
    struct buf buf;   /* what was read and not given out yet */
    size_t at;        /* in buf */
    bool ended;
    size_t line_max;
    int64_t line;  /* number of the line given last, from 1 */
    int64_t bytes; /* given out so far */
    int64_t size;  /* of the file; 0 = not known */
};

/* `path` "-" is standard input. Lines above `line_max` bytes are ERR_LIMIT. */
int line_reader_open(struct line_reader *reader, const char *path, size_t line_max);
void line_reader_close(struct line_reader *reader);

/* 1 = a line without its end and surrounding white space, borrowed until the next call; 0 = no more; <0 error. Empty lines are passed over. */
int line_reader_next(struct line_reader *reader, struct slice *ret_line);

#endif
