#include "tests/crash/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/disk.h"

#define FDS_MAX 4096

const char *const fault_names[FAULT_KINDS] = { "alloc",  "open", "read", "write", "sync",  "truncate",
                                               "rename", "map",  "stat", "views", "thread" };

static atomic_bool armed;
static struct fault_plan plan; /* written while not armed */
static atomic_ulong counts[FAULT_KINDS], totals[FAULT_KINDS], fired, resyncs;
static atomic_bool half_done;
static atomic_bool unsynced[FDS_MAX]; /* files the disk could not sync */

/* Bytes of a file that no sync has taken to the disk. */
#define LOST_MAX 32
struct lost {
    ino_t ino;
    int64_t from, to;
    bool failed; /* the sync of them: now they must be written again */
};
static struct lost losts[LOST_MAX];
static size_t lost_count;
static pthread_mutex_t lost_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ulong believed;

static void (*_Atomic wake_before_read)(void);
static void (*_Atomic wake_after_write)(void);
static void (*_Atomic stat_before)(void);

void fault_watch_stat(void (*before)(void))
{
    atomic_store(&stat_before, before);
}

void fault_watch_wakes(void (*before_read)(void), void (*after_write)(void))
{
    atomic_store(&wake_before_read, before_read);
    atomic_store(&wake_after_write, after_write);
}

void fault_arm(const struct fault_plan *wanted)
{
    plan = *wanted;
    for (int i = 0; i < FAULT_KINDS; i++)
        atomic_store(&counts[i], 0);
    atomic_store(&fired, 0);
    atomic_store(&half_done, false);
    lost_count = 0;
    atomic_store(&armed, true);
}

void fault_disarm(void)
{
    atomic_store(&armed, false);
}

unsigned long fault_fired(void)
{
    return atomic_load(&fired);
}

unsigned long fault_resyncs(void)
{
    return atomic_load(&resyncs);
}

unsigned long fault_believed(void)
{
    return atomic_load(&believed);
}

unsigned long fault_total(enum fault_kind kind)
{
    return atomic_load(&totals[kind]);
}

/* Shall this call fail? Then errno is set. */
static bool fault_now(enum fault_kind kind)
{
    if (!atomic_load(&armed)) return false;
    unsigned long n = atomic_fetch_add(&counts[kind], 1) + 1;
    (void)atomic_fetch_add(&totals[kind], 1);
    if (kind == FAULT_TRUNCATE && plan.mode == FAULT_STUCK && atomic_load(&fired) > 0) {
        errno = EIO;
        return true;
    }
    if (kind != plan.kind || plan.mode == FAULT_HALF || plan.mode == FAULT_STUCK) return false;
    if (n != plan.k && !(plan.mode == FAULT_FOREVER && n > plan.k)) return false;
    (void)atomic_fetch_add(&fired, 1);
    errno = plan.number;
    return true;
}

/* For a write: 0 = go on, 1 = half of it only, -1 = fail. */
static int fault_write(void)
{
    if (fault_now(FAULT_WRITE)) return -1;
    if (!atomic_load(&armed) || plan.kind != FAULT_WRITE || (plan.mode != FAULT_HALF && plan.mode != FAULT_STUCK))
        return 0;
    unsigned long n = atomic_load(&counts[FAULT_WRITE]);
    if (n == plan.k) {
        atomic_store(&half_done, true);
        return 1;
    }
    if (!atomic_exchange(&half_done, false)) return 0;
    (void)atomic_fetch_add(&fired, 1);
    errno = plan.number;
    return -1;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fault_now(FAULT_ALLOC) ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return fault_now(FAULT_ALLOC) ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return fault_now(FAULT_ALLOC) ? NULL : __real_realloc(old, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return fault_now(FAULT_ALLOC) ? NULL : __real_strdup(text);
}

char *__real_strndup(const char *text, size_t len);
char *__wrap_strndup(const char *text, size_t len);
char *__wrap_strndup(const char *text, size_t len)
{
    return fault_now(FAULT_ALLOC) ? NULL : __real_strndup(text, len);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

int __real_fstat(int fd, struct stat *st);
int __real_stat(const char *path, struct stat *st);

static bool is_file(int fd)
{
    struct stat st;
    return __real_fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Under lost_lock; NULL when there are too many, or it is no file. */
static struct lost *lost_of(int fd)
{
    struct stat st;
    if (__real_fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return NULL;
    for (size_t i = 0; i < lost_count; i++)
        if (losts[i].ino == st.st_ino) return &losts[i];
    if (lost_count == LOST_MAX) return NULL;
    losts[lost_count] = (struct lost){ .ino = st.st_ino };
    return &losts[lost_count++];
}

static void lost_on_write(int fd, int64_t at, int64_t end)
{
    (void)pthread_mutex_lock(&lost_lock);
    struct lost *lost = lost_of(fd);
    if (lost != NULL && lost->failed) {
        if (at <= lost->from && end > lost->from) lost->from = end;
    } else if (lost != NULL) {
        bool none = lost->from >= lost->to;
        if (none || at < lost->from) lost->from = at;
        if (none || end > lost->to) lost->to = end;
    }
    (void)pthread_mutex_unlock(&lost_lock);
}

static void lost_on_truncate(int fd, int64_t size)
{
    (void)pthread_mutex_lock(&lost_lock);
    struct lost *lost = lost_of(fd);
    if (lost != NULL && lost->to > size) lost->to = size;
    (void)pthread_mutex_unlock(&lost_lock);
}

static void lost_on_sync(int fd, bool failed)
{
    (void)pthread_mutex_lock(&lost_lock);
    struct lost *lost = lost_of(fd);
    if (lost != NULL && failed) {
        lost->failed = true;
    } else if (lost != NULL) {
        if (lost->failed && lost->from < lost->to) (void)atomic_fetch_add(&believed, 1);
        *lost = (struct lost){ .ino = lost->ino };
    }
    (void)pthread_mutex_unlock(&lost_lock);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if (fault_now(FAULT_OPEN)) return -1;
    struct stat st;
    bool there = __real_stat(path, &st) == 0;
    int fd = __real_open(path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX) atomic_store(&unsynced[fd], false);
    if (fd >= 0) disk_on_open(path, fd, !there, (flags & O_TRUNC) != 0);
    return fd;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    disk_on_close(fd);
    return __real_close(fd);
}

ssize_t __real_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at)
{
    return fault_now(FAULT_READ) ? -1 : __real_pread(fd, data, len, at);
}

ssize_t __real_read(int fd, void *data, size_t len);
ssize_t __wrap_read(int fd, void *data, size_t len);
ssize_t __wrap_read(int fd, void *data, size_t len)
{
    void (*watch)(void) = atomic_load(&wake_before_read);
    if (is_file(fd)) return fault_now(FAULT_READ) ? -1 : __real_read(fd, data, len);
    if (watch != NULL) watch();
    return __real_read(fd, data, len);
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
    int fault = fault_write();
    if (fault < 0) return -1;
    ssize_t n = __real_pwrite(fd, data, fault == 1 ? (len + 1) / 2 : len, at);
    if (n > 0) lost_on_write(fd, at, at + n);
    if (n > 0) disk_on_write(fd, data, (size_t)n, at);
    return n;
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    if (!is_file(fd)) {
        void (*watch)(void) = atomic_load(&wake_after_write);
        ssize_t written = __real_write(fd, data, len);
        if (watch != NULL) watch();
        return written;
    }
    int fault = fault_write();
    if (fault < 0) return -1;
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = __real_write(fd, data, fault == 1 ? (len + 1) / 2 : len);
    if (n > 0) lost_on_write(fd, at, at + n);
    if (n > 0) disk_on_write(fd, data, (size_t)n, at);
    return n;
}

/* No real fsync: the disk is the one of disk.c, and nobody pulls the plug of the other. */
static int sync_file(int fd)
{
    bool known = fd >= 0 && fd < FDS_MAX;
    if (known && atomic_load(&unsynced[fd])) (void)atomic_fetch_add(&resyncs, 1);
    if (fault_now(FAULT_SYNC)) {
        int number = errno;
        if (known) atomic_store(&unsynced[fd], true);
        lost_on_sync(fd, true);
        errno = number;
        return -1;
    }
    lost_on_sync(fd, false);
    disk_on_sync(fd);
    return 0;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return sync_file(fd);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    return sync_file(fd);
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    if (fault_now(FAULT_TRUNCATE)) return -1;
    int rc = __real_ftruncate(fd, size);
    if (rc == 0) lost_on_truncate(fd, size);
    if (rc == 0) disk_on_truncate(fd, size);
    return rc;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    if (fault_now(FAULT_RENAME)) return -1;
    int rc = __real_rename(from, to);
    if (rc == 0) disk_on_rename(from, to);
    return rc;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (fault_now(FAULT_RENAME)) return -1;
    int rc = __real_unlink(path);
    if (rc == 0) disk_on_unlink(path);
    return rc;
}

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    return fd >= 0 && fault_now(FAULT_MAP) ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, offset);
}

int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
    void (*watch)(void) = atomic_load(&stat_before);
    if (watch != NULL) watch();
    return fault_now(FAULT_STAT) ? -1 : __real_fstat(fd, st);
}

int __wrap_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
    return fault_now(FAULT_STAT) ? -1 : __real_stat(path, st);
}

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __wrap_flock(int fd, int operation)
{
    return fault_now(FAULT_STAT) ? -1 : __real_flock(fd, operation);
}

/* ---- what the kernel gives besides ------------------------------------------------------------------------------- */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    return fault_now(FAULT_THREAD) ? plan.number : __real_pthread_create(thread, attr, run, arg);
}

int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags)
{
    return fault_now(FAULT_THREAD) ? -1 : __real_eventfd(count, flags);
}

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);
int __wrap_inotify_init1(int flags)
{
    return fault_now(FAULT_THREAD) ? -1 : __real_inotify_init1(flags);
}

/* ---- LMDB ------------------------------------------------------------------------------------------------------- */

int __real_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
int __wrap_mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_env_open(env, path, flags, mode);
}

int __real_mdb_env_sync(MDB_env *env, int force);
int __wrap_mdb_env_sync(MDB_env *env, int force);
int __wrap_mdb_env_sync(MDB_env *env, int force)
{
    if (fault_now(FAULT_VIEWS)) return plan.number;
    int rc = __real_mdb_env_sync(env, force);
    if (rc == MDB_SUCCESS) disk_on_views(false);
    return rc;
}

int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_txn_begin(env, parent, flags, txn);
}

int __real_mdb_txn_renew(MDB_txn *txn);
int __wrap_mdb_txn_renew(MDB_txn *txn);
int __wrap_mdb_txn_renew(MDB_txn *txn)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_txn_renew(txn);
}

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (fault_now(FAULT_VIEWS)) {
        mdb_txn_abort(txn);
        return plan.number;
    }
    disk_on_views(true);
    return __real_mdb_txn_commit(txn);
}

int __real_mdb_dbi_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *table);
int __wrap_mdb_dbi_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *table);
int __wrap_mdb_dbi_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *table)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_dbi_open(txn, name, flags, table);
}

int __real_mdb_get(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *value);
int __wrap_mdb_get(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *value);
int __wrap_mdb_get(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *value)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_get(txn, table, key, value);
}

int __real_mdb_del(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *value);
int __wrap_mdb_del(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *value);
int __wrap_mdb_del(MDB_txn *txn, MDB_dbi table, MDB_val *key, MDB_val *value)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_del(txn, table, key, value);
}

int __real_mdb_drop(MDB_txn *txn, MDB_dbi table, int del);
int __wrap_mdb_drop(MDB_txn *txn, MDB_dbi table, int del);
int __wrap_mdb_drop(MDB_txn *txn, MDB_dbi table, int del)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_drop(txn, table, del);
}

int __real_mdb_stat(MDB_txn *txn, MDB_dbi table, MDB_stat *stat);
int __wrap_mdb_stat(MDB_txn *txn, MDB_dbi table, MDB_stat *stat);
int __wrap_mdb_stat(MDB_txn *txn, MDB_dbi table, MDB_stat *stat)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_stat(txn, table, stat);
}

int __real_mdb_cursor_open(MDB_txn *txn, MDB_dbi table, MDB_cursor **cursor);
int __wrap_mdb_cursor_open(MDB_txn *txn, MDB_dbi table, MDB_cursor **cursor);
int __wrap_mdb_cursor_open(MDB_txn *txn, MDB_dbi table, MDB_cursor **cursor)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_cursor_open(txn, table, cursor);
}

int __real_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op);
int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op);
int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_cursor_get(cursor, key, value, op);
}

int __real_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *value, unsigned flags);
int __wrap_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *value, unsigned flags);
int __wrap_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *value, unsigned flags)
{
    return fault_now(FAULT_VIEWS) ? plan.number : __real_mdb_cursor_put(cursor, key, value, flags);
}
