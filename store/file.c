#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/err.h"

int file_open(const char *path, int flags, int *ret_fd)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    if (fd < 0) return err_errno(path, "open");
    *ret_fd = fd;
    return OK;
}

void file_close(int fd)
{
    if (fd >= 0) (void)close(fd);
}

static void info_of_stat(const struct stat *st, struct file_info *ret_info)
{
    *ret_info = (struct file_info){
        .size = st->st_size,
        .dev = st->st_dev,
        .ino = st->st_ino,
        .mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .ctime = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
        .regular = S_ISREG(st->st_mode),
    };
}

int file_stat(int fd, const char *path, struct file_info *ret_info)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(path, "stat");
    info_of_stat(&st, ret_info);
    return OK;
}

int file_stat_path(const char *path, struct file_info *ret_info)
{
    struct stat st;
    if (stat(path, &st) != 0) return err_errno(path, "stat");
    info_of_stat(&st, ret_info);
    return OK;
}

int file_read(int fd, const char *path, void *data, size_t len, int64_t at, size_t *ret_len)
{
    char *bytes = data;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, bytes + done, len - done, at + (int64_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(path, "read");
        if (n == 0) break;
        done += (size_t)n;
    }
    *ret_len = done;
    return OK;
}

int file_write(int fd, const char *path, const void *data, size_t len, int64_t at)
{
    const char *bytes = data;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, bytes + done, len - done, at + (int64_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(path, "write");
        if (n == 0) return err_set(ERR_IO, "%s: write: the device took nothing", path);
        done += (size_t)n;
    }
    return OK;
}

int file_truncate(int fd, const char *path, int64_t size)
{
    int rc;
    do
        rc = ftruncate(fd, size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? OK : err_errno(path, "truncate");
}

int file_take_mode(int fd, const char *path, int from)
{
    struct stat st;
    return fstat(from, &st) == 0 && fchmod(fd, st.st_mode & 0777) == 0 ? OK : err_errno(path, "setting the mode");
}

int file_sync(int fd, const char *path)
{
    return fdatasync(fd) == 0 ? OK : err_errno(path, "fsync");
}

int file_sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL) return err_errno(path, "fsync of its folder");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = OK;
    /* Some file systems cannot sync a folder and say EINVAL: nothing more can be done there. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) err = err_errno(folder, "fsync of the folder");
    file_close(fd);
    free(folder);
    return err;
}

int file_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? OK : err_errno(to, "rename");
}

int file_lock(int fd, const char *path)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 1;
    return errno == EWOULDBLOCK ? 0 : err_errno(path, "lock");
}

int file_map(int fd, const char *path, size_t want, size_t least, void **ret_base, size_t *ret_size)
{
    for (size_t size = want;; size = size / 2 > least ? size / 2 : least) {
        void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (base != MAP_FAILED) {
            *ret_base = base;
            *ret_size = size;
            return OK;
        }
        if (size <= least || errno != ENOMEM) return err_errno(path, "map into memory");
    }
}

void file_unmap(void *base, size_t size)
{
    if (base != NULL) (void)munmap(base, size);
}

/* Answered at once or not at all. */
static bool file_in_memory(int fd, int64_t at)
{
    char byte;
    const struct iovec one = { &byte, 1 };
    return preadv2(fd, &one, 1, at, RWF_NOWAIT) == 1;
}

void file_warm(int fd, const void *base, int64_t at, size_t len)
{
#ifdef MADV_POPULATE_READ
    const int64_t end = at + (int64_t)len, step = 64 << 10;
    for (int64_t look = at; look < end; look += step)
        if (!file_in_memory(fd, look)) return;
    /* pages that are gone by now, with a file that shrank, are an error of this call, not a fault of ours */
    (void)madvise((char *)(uintptr_t)base + at, len, MADV_POPULATE_READ);
#else
    (void)fd, (void)base, (void)at, (void)len;
#endif
}

bool file_is_hole(int fd, int64_t at, int64_t len)
{
    /* Moves the descriptor's position, which nobody uses: all reads and writes name their place. */
    off_t data = lseek(fd, at, SEEK_DATA);
    return data < 0 ? errno == ENXIO : data >= at + len;
}

void file_window_init(struct file_window *window, int fd, const char *path, int64_t size, bool backward)
{
    window->fd = fd;
    window->path = path;
    window->size = size;
    window->backward = backward;
    window->at = 0;
    window->len = 0;
}

static int window_load(struct file_window *window, int64_t at, size_t n)
{
    int64_t from = at;
    if (window->backward) from = at + (int64_t)n - (int64_t)FILE_WINDOW;
    if (from < 0) from = 0;
    int64_t len = window->size - from;
    if (len > (int64_t)FILE_WINDOW) len = (int64_t)FILE_WINDOW;
    window->len = 0;
    window->at = from;
    return file_read(window->fd, window->path, window->data, (size_t)len, from, &window->len);
}

int file_window_get(struct file_window *window, int64_t at, size_t n, const uint8_t **ret_bytes)
{
    if (at < 0 || at > window->size || (int64_t)n > window->size - at) return 0;
    if (at < window->at || at + (int64_t)n > window->at + (int64_t)window->len) {
        int err = window_load(window, at, n);
        if (err != OK) return err;
        /* The file may have shrunk since its size was taken. */
        if (at + (int64_t)n > window->at + (int64_t)window->len) return 0;
    }
    *ret_bytes = window->data + (at - window->at);
    return 1;
}
