/* The blob folder of a node, as npm multiblob lays it out: DIR/sha256/ab/cdef…, the hash in hex with a slash behind two digits.
 *
 * A blob is what its id says: a file is given out only after its bytes were hashed. That it was done is remembered, in a table of
 * fixed size, by the file's device, inode, size and times. Every path is made from the 32 bytes of an id, never from a text of
 * a user. Functions of a blob_dir are for any thread; a blob_file and a blob_upload are used by one at a time. */
#ifndef STORE_BLOB_DIR_H
#define STORE_BLOB_DIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/file.h"

#define BLOB_ID_BYTES 32
#define BLOB_PIECE ((size_t)64 << 10) /* bytes hashed at once */

struct blob_dir;

/* The folder need not exist. `owned`: blobs may be added, and what uploads of an earlier run left behind is removed. */
int blob_dir_open(const char *path, bool owned, struct blob_dir **ret_dir);
void blob_dir_free(struct blob_dir *dir); /* NULL is fine */

struct blob_file {
    int fd;
    struct file_info info; /* as it was opened */
};

/* ERR_NOFILE: it is not here. */
int blob_open(const struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], struct blob_file *ret_file);
void blob_close(struct blob_file *file); /* fd -1 is fine */

/* What is remembered of the file as it was opened. */
enum blob_verdict { BLOB_UNKNOWN, BLOB_GOOD, BLOB_BAD };
enum blob_verdict blob_known(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], const struct blob_file *file);

/* Hashes the file in pieces and remembers the outcome. ERR_CORRUPT: it is something else than its name says; ERR_CHANGED: it was written
 * meanwhile, open it anew; ERR_CLOSED: *stop became true (NULL = never). */
int blob_check(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], const struct blob_file *file,
               const atomic_bool *stop);

/* Is there a file, and is it not known to be another one? */
bool blob_is_here(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES]);

/* ---- adding ---------------------------------------------------------------------------------------------------- */

#define BLOB_UPLOADS_MAX 64 /* at once */

struct blob_upload;

/* ERR_READONLY: the folder is not ours; ERR_QUEUE: BLOB_UPLOADS_MAX are under way. */
int blob_upload_begin(struct blob_dir *dir, int64_t max, struct blob_upload **ret_upload);
/* ERR_LIMIT past `max` bytes in all. */
int blob_upload_write(struct blob_upload *upload, const void *data, size_t len);

/* Puts it into its place, and both the bytes and the name on the disk. *ret_new = false: it was here. May wait for the disk. */
int blob_upload_keep(struct blob_upload *upload, uint8_t ret_id[BLOB_ID_BYTES], bool *ret_new);
int64_t blob_upload_size(const struct blob_upload *upload);
/* What was written so far, for a look at its beginning. */
int blob_upload_read(const struct blob_upload *upload, void *data, size_t len, size_t *ret_len);
void blob_upload_free(struct blob_upload *upload); /* NULL is fine; what was not kept is removed */

#endif
