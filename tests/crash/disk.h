/* What a disk may hold after a power cut: file operations are recorded, and played back up to any of them with what was
 * not synced kept, lost, or kept in parts.
 *
 * The model. A file is sectors of 512 bytes and a size. Of each sector, any content that it had since the last fsync of the file may be
 * on the disk; of the size likewise, whatever the sectors are; what was never written reads as zeros. A folder is its entries: each
 * create, rename and unlink since the last fsync of the folder may be there or not. What was synced is there. */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/scratch.h"

/* ---- recording -------------------------------------------------------------------------------------------------- */

/* What is in `folder` and the folders in it counts as on the disk; from here on all that happens there is recorded. */
void disk_record(const char *folder);
void disk_stop(void);   /* what was recorded stays for playing back */
void disk_forget(void); /* frees it */

/* From now on the record with this seq must survive: it was acknowledged or shown. */
void disk_promise(int64_t seq);

/* Called by fault.c. */
void disk_on_open(const char *path, int fd, bool created, bool truncated);
void disk_on_close(int fd);
void disk_on_write(int fd, const void *data, size_t len, int64_t at);
void disk_on_truncate(int fd, int64_t size);
void disk_on_sync(int fd);
void disk_on_rename(const char *from, const char *to);
void disk_on_unlink(const char *path);
void disk_on_views(bool commit); /* LMDB has changed its file, or synced it */

/* ---- playing back ------------------------------------------------------------------------------------------------ */

size_t disk_ops(void);           /* power can fail before the first, …, after the last: disk_ops() + 1 places */
int64_t disk_promised(size_t n); /* the highest seq promised within the first n operations, or -1 */
bool disk_views_dirty(size_t n); /* has LMDB changed its file since it was synced? */

/* Each decision of the disk: 0 = the oldest content … count - 1 = the newest. */
typedef int disk_choose_fn(void *ctx, int count);

/* Makes `folder`, which exists, what the disk holds after the first n operations if it decides like that. */
void disk_play(size_t n, disk_choose_fn *choose, void *ctx, const char *folder);

/* Calls `fn` for disks after n operations: for all there are if they are not more than `most`, else for the oldest and the newest of
 * everything, for each decision alone against all others, and for as many that the dice decide as are missing to `most`. */
typedef void disk_case_fn(void *ctx, disk_choose_fn *choose, void *choose_ctx);
void disk_cases(size_t n, size_t most, struct dice *dice, disk_case_fn *fn, void *ctx);

#endif
