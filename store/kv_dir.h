/* The folder of the views' environment and what stands in it beside LMDB's own files: who has it open, and whether what it holds can
 * be trusted after the machine stopped.
 *
 *     lock      locked (flock) by the one process that writes; the kernel's lock counts, the process number in it is for people
 *     running   there while a writer has the environment open: the id of the running kernel, or "damaged"
 *     data.mdb, lock.mdb   LMDB's
 *
 * All functions answer OK or an error of err.h; a folder belongs to the thread that opens it. */
#ifndef STORE_KV_DIR_H
#define STORE_KV_DIR_H

#include <stdbool.h>
#include <sys/types.h>

#define KV_PATH_MAX 4096

int kv_dir_path(const char *dir, const char *name, char path[KV_PATH_MAX]);

/* Makes the folder where it is missing and takes its lock: ERR_BUSY while another process writes. The lock goes when *ret_fd is closed. */
int kv_dir_lock(const char *dir, int *ret_fd);

/* Was it left open by a writer, and has the machine stopped since, or was damage found in it? */
bool kv_dir_is_unsafe(const char *dir);

int kv_dir_wipe(const char *dir); /* LMDB's files are removed */

/* On the disk before they return. After the second the next writer wipes, even if this process is killed. */
int kv_dir_mark_open(const char *dir);
int kv_dir_mark_damaged(const char *dir);

/* All that was written is on the disk. Best effort: a mark that stays costs building the views anew, after a boot. */
void kv_dir_mark_closed(const char *dir);

/* Gives LMDB's table of readers `bytes` of the disk, or what it has already. Before LMDB has the file open. */
int kv_dir_reserve_readers(const char *dir, off_t bytes);

/* Is there less room than LMDB writes at once? */
bool kv_dir_is_full(const char *dir);

#endif
