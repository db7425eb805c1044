/* The end of an offset log: where its last whole record is, and how a torn tail is cut off without losing a byte. */
#ifndef STORE_LOG_OFFSET_TAIL_H
#define STORE_LOG_OFFSET_TAIL_H

#include "store/log.h"
#include "store/log_offset_frame.h"

/* A longer torn tail is no crash of a writer: it is left alone (ERR_CORRUPT). */
#define TAIL_CUT_MAX ((int64_t)64 << 20)

/* Looks backwards for the last end at which a whole frame ends that follows on another one. ret_end = 0 and
 * ret_since = SEQ_EMPTY if there is none. */
int tail_find(struct file_window *window, int width, int64_t *ret_end, int64_t *ret_since);

/* Saves the bytes from `end` on beside the file, then truncates it there. Tells in ret_opened what it did. */
int tail_cut(int fd, const char *path, int64_t end, int64_t size, struct log_offset_opened *ret_opened);

#endif
