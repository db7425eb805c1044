/* Every file operation of the logs, so that errors are told in one way and a test build can make them fail.
 *
 * `path` is for the error text only where a descriptor is given. Offsets and sizes are bytes. Any thread. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_info {
    int64_t size;
    uint64_t dev;
    uint64_t ino;
    int64_t mtime; /* nanoseconds */
    int64_t ctime; /* nanoseconds; moves also when the file is renamed or loses a name */
    bool regular;
};

/* open(2) with O_CLOEXEC; a file that is created gets mode 0644 less the umask. Never blocks on a FIFO. */
int file_open(const char *path, int flags, int *ret_fd);
void file_close(int fd); /* -1 is fine */

int file_stat(int fd, const char *path, struct file_info *ret_info);
int file_stat_path(const char *path, struct file_info *ret_info);

/* Reads up to `len` bytes; fewer only at the end of the file. */
int file_read(int fd, const char *path, void *data, size_t len, int64_t at, size_t *ret_len);

/* Writes all or answers an error; then a part may have been written. */
int file_write(int fd, const char *path, const void *data, size_t len, int64_t at);

int file_truncate(int fd, const char *path, int64_t size);
/* Gives the file the permissions of another one: who may not read that may not read this either. */
int file_take_mode(int fd, const char *path, int from);
int file_sync(int fd, const char *path);
int file_sync_folder(const char *path); /* the folder that holds `path`, so that its entry survives */
int file_rename(const char *from, const char *to);

/* An exclusive advisory lock, held until the descriptor is closed: 1 = got it, 0 = another holds it. */
int file_lock(int fd, const char *path);

/* Maps the file from its start for reading, shared with its writers. Tries `want` bytes, then less and less down to
 * `least`. Both may lie beyond the end of the file: what is there may be read once it has grown. */
int file_map(int fd, const char *path, size_t want, size_t least, void **ret_base, size_t *ret_size);
void file_unmap(void *base, size_t size); /* NULL is fine */

/* Makes a stretch of a mapping of the file present if the file is in memory there, as far as one look every 64 KiB tells. Does
 * nothing where that cannot be known. `at` is a multiple of the page size. */
void file_warm(int fd, const void *base, int64_t at, size_t len);

/* True if the range is known to be a hole, which reads as zeros; a false answer says nothing. */
bool file_is_hole(int fd, int64_t at, int64_t len);

/* ---- a buffered look at a few bytes anywhere in the file -------------------------------------------------- */

#define FILE_WINDOW ((size_t)64 << 10)

struct file_window {
    int fd;
    const char *path; /* borrowed */
    int64_t size;     /* bytes at or behind it do not exist for this window */
    bool backward;    /* the next looks are expected before this one */
    int64_t at;
    size_t len;
    uint8_t data[FILE_WINDOW];
};

/* Forgets what is buffered; `size` is the end as far as the caller wants to look. */
void file_window_init(struct file_window *window, int fd, const char *path, int64_t size, bool backward);

/* 1 and `n` (1 to 4096) bytes at `at`, borrowed until the next call; 0 if they are not all inside the file; <0 error. */
int file_window_get(struct file_window *window, int64_t at, size_t n, const uint8_t **ret_bytes);

#endif
