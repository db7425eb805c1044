#include "store/kv_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/err.h"

#define BOOT_ID_MAX 64
#define RUNNING "running"
#define DAMAGED "damaged\n"
#define FULL_BYTES (UINT64_C(1) << 20) /* more than LMDB writes at once */

int kv_dir_path(const char *dir, const char *name, char path[KV_PATH_MAX])
{
    int len = snprintf(path, KV_PATH_MAX, "%s/%s", dir, name);
    if (len < 0 || len >= KV_PATH_MAX) return err_set(ERR_ARG, "%.100s…: the path is too long", dir);
    return OK;
}

static int dir_make(const char *dir)
{
    char path[KV_PATH_MAX];
    int err = kv_dir_path(dir, "", path);
    if (err != OK) return err;
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) return err_errno(path, "making the folder for the views");
        *slash = '/';
    }
    return OK;
}

/* Up to `size` - 1 bytes of a small file, terminated. Answers the length, or -1 with errno. */
static ssize_t small_file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t len = read(fd, text, size - 1);
    int number = errno;
    close(fd);
    errno = number;
    if (len >= 0) text[len] = '\0';
    return len;
}

static int dir_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(dir, "syncing the folder of the views");
    /* Some file systems cannot sync a folder and say EINVAL: nothing more can be done there. */
    int err = fsync(fd) == 0 || errno == EINVAL ? OK : err_errno(dir, "syncing the folder of the views");
    close(fd);
    return err;
}

static int running_write(const char *dir, const char *text)
{
    char path[KV_PATH_MAX];
    int err = kv_dir_path(dir, RUNNING, path);
    if (err != OK) return err;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(path, "marking the views as open");
    size_t len = strlen(text);
    if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0) err = err_errno(path, "marking the views as open");
    close(fd);
    return err == OK ? dir_sync(dir) : err;
}

/* Empty when the kernel does not tell: then an environment that was not closed is never trusted. */
static void boot_id_read(char id[BOOT_ID_MAX])
{
    if (small_file_read("/proc/sys/kernel/random/boot_id", id, BOOT_ID_MAX) <= 0) id[0] = '\0';
}

/* Was the environment left open by a writer, and has the machine stopped since? */
bool kv_dir_is_unsafe(const char *dir)
{
    char path[KV_PATH_MAX], boot[BOOT_ID_MAX], running[BOOT_ID_MAX];
    if (kv_dir_path(dir, RUNNING, path) != OK) return true;
    if (small_file_read(path, running, sizeof running) < 0) return errno != ENOENT;
    boot_id_read(boot);
    return boot[0] == '\0' || strcmp(boot, running) != 0;
}

int kv_dir_wipe(const char *dir)
{
    static const char *const names[] = { "data.mdb", "lock.mdb" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[KV_PATH_MAX];
        int err = kv_dir_path(dir, names[i], path);
        if (err != OK) return err;
        if (unlink(path) != 0 && errno != ENOENT) return err_errno(path, "removing unsafe views");
    }
    return OK;
}

/* The lock is the kernel's and goes with the process; the number in the file is only for the message. */
int kv_dir_lock(const char *dir, int *ret_fd)
{
    char path[KV_PATH_MAX], owner[32];
    int err = dir_make(dir);
    if (err == OK) err = kv_dir_path(dir, "lock", path);
    if (err != OK) return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(path, "opening the lock of the views");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            err = err_errno(path, "locking the views");
        } else {
            long pid = small_file_read(path, owner, sizeof owner) > 0 ? strtol(owner, NULL, 10) : 0;
            err =
                err_set(ERR_BUSY, "%s: process %ld has these views open; stop it, or use another folder for the views",
                        dir, pid);
        }
        close(fd);
        return err;
    }
    int len = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, (size_t)len, 0) != len) {
        err = err_errno(path, "writing the lock of the views");
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return OK;
}

/* LMDB writes its table of readers through a mapping of a file with holes: on a disk that has become full a reader too many would be
 * SIGBUS. So it gets its blocks while there are some, before LMDB has it open (closing it later would drop LMDB's locks on it). */
int kv_dir_reserve_readers(const char *dir, off_t bytes)
{
    char path[KV_PATH_MAX];
    struct stat file;
    int err = kv_dir_path(dir, "lock.mdb", path);
    if (err != OK) return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(path, "opening the readers' table of the views");
    if (fstat(fd, &file) != 0) err = err_errno(path, "looking at the readers' table of the views");
    off_t size = err == OK && file.st_size > 0 ? file.st_size : bytes;
    if (err == OK && fallocate(fd, 0, 0, size) != 0 && errno == ENOSPC)
        err = err_errno(path, "making room for the readers' table of the views");
    close(fd);
    return err;
}

int kv_dir_mark_open(const char *dir)
{
    char boot[BOOT_ID_MAX];
    boot_id_read(boot);
    return running_write(dir, boot);
}

int kv_dir_mark_damaged(const char *dir)
{
    return running_write(dir, DAMAGED);
}

void kv_dir_mark_closed(const char *dir)
{
    char path[KV_PATH_MAX];
    if (kv_dir_path(dir, RUNNING, path) == OK) (void)unlink(path);
}

bool kv_dir_is_full(const char *dir)
{
    struct statvfs disk;
    return statvfs(dir, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < FULL_BYTES;
}
