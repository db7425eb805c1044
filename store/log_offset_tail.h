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

/* The same after a crash, with what is known: up to `mark` everything is durable, and of what lies above it any sector may be lost, with
 * whole records behind it. So it is read from `mark` on, up to the first record that is not all there. 1; 0 = no record ends
 * at `mark`, which is another file's then; <0 error. */
int tail_find_from(struct file_window *window, int width, int64_t mark, int64_t *ret_end, int64_t *ret_since);

/* Writes the range once more, as it is. When an fsync has failed the kernel takes what it could not write for written; the next fsync
 * would say yes and do nothing. */
int tail_rewrite(int fd, const char *path, int64_t at, int64_t end);

/* Saves the bytes from `end` on beside the file, then truncates it there. Tells in ret_opened what it did. */
int tail_cut(int fd, const char *path, int64_t end, int64_t size, struct log_offset_opened *ret_opened);

#endif
