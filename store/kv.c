#include "store/kv.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "store/kv_dir.h"

/* Address space, not memory: the file may grow up to this. Where so much is refused (ulimit -v), less is asked for. */
#define KV_MAP_MAX (UINT64_C(64) << 30)
#define KV_MAP_MIN (UINT64_C(64) << 20)

#define KV_READERS_MAX 512                 /* read transactions of this process at one time */
#define KV_READERS_OTHER 64                /* slots left for other processes that look on */
#define KV_READERS_BYTES ((off_t)40 << 10) /* somewhat more than LMDB needs for all of them, at 64 bytes each */

/* Below what the C library maps by itself. */
#define WARM_BLOCKS 80
#define WARM_BYTES ((size_t)120 << 10)

struct kv {
    MDB_env *env;
    char *dir;
    bool write;
    int lock_fd; /* -1 when open for reading only */
    uint64_t map_size;
    atomic_bool damaged;

    pthread_mutex_t pool_lock;
    struct kv_txn *idle; /* read transactions that are reset, each holding its reader slot */
    size_t readers;      /* idle ones included */
};

struct kv_txn {
    struct kv *kv;
    MDB_txn *txn;
    bool write;
    bool opened_table; /* a reader that must end by commit, or LMDB closes the handle it opened */
    struct kv_txn *next;
    MDB_cursor
        *put; /* where the last put went: keys in order are put several times faster from there. Ends with the txn */
    MDB_dbi put_table;
    void *note;      /* kv_note; kept while the transaction waits for its next reader */
    size_t noted_id; /* the commit that the note is about */
};

struct kv_cursor {
    struct kv *kv;
    MDB_cursor *cursor;
};

/* ---- errors ------------------------------------------------------------------------------------------------- */

static bool kv_means_damage(int rc)
{
    return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH;
}

static int kv_fail(struct kv *kv, int rc, const char *doing)
{
    if (kv_means_damage(rc)) {
        /* Written at once, so that the next start wipes even if this process is killed. */
        if (kv->write && !atomic_exchange(&kv->damaged, true)) (void)kv_dir_mark_damaged(kv->dir);
        return err_set(ERR_CORRUPT, "%s: %s: %s; start again to build the views anew", kv->dir, doing,
                       mdb_strerror(rc));
    }
    switch (rc) {
    case MDB_MAP_FULL:
        return err_set(ERR_NOSPACE, "%s: %s: the views fill all of their %llu MiB of address space", kv->dir, doing,
                       (unsigned long long)(kv->map_size >> 20));
    case MDB_READERS_FULL:
    case MDB_DBS_FULL:
    case MDB_MAP_RESIZED: return err_set(ERR_LIMIT, "%s: %s: %s", kv->dir, doing, mdb_strerror(rc));
    case MDB_BAD_VALSIZE:
    case MDB_BAD_DBI:
    case MDB_INCOMPATIBLE:
    case EINVAL: return err_set(ERR_ARG, "%s: %s: %s", kv->dir, doing, mdb_strerror(rc));
    default: break;
    }
    if (rc < 0) return err_set(ERR_IO, "%s: %s: %s", kv->dir, doing, mdb_strerror(rc));
    errno = rc;
    return err_errno(kv->dir, doing);
}

/* 1, 0 when there is none, or the error. */
static int kv_found(struct kv *kv, int rc, const char *doing)
{
    if (rc == MDB_SUCCESS) return 1;
    if (rc == MDB_NOTFOUND) return 0;
    return kv_fail(kv, rc, doing);
}

static MDB_val kv_val(struct slice slice)
{
    MDB_val val = { .mv_size = slice.len };
    memcpy(&val.mv_data, &slice.data, sizeof slice.data); /* LMDB takes what it only reads without const */
    return val;
}

static struct slice kv_slice(MDB_val val)
{
    return (struct slice){ val.mv_data, val.mv_size };
}

static int kv_check_key(const struct kv *kv, struct slice key)
{
    if (key.len >= 1 && key.len <= KV_KEY_MAX) return OK;
    return err_set(ERR_ARG, "%s: a key of %zu bytes; 1 to %d are possible", kv->dir, key.len, KV_KEY_MAX);
}

/* ---- open and close ------------------------------------------------------------------------------------------ */

/* A page behind the end of the file would be SIGBUS. The last pages of a good file may be missing, because LMDB does
 * not write pages that were taken and given back in one transaction; in a file that was cut, zeros read as damage. */
static int kv_fill_up(struct kv *kv)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd = -1;
    int rc = mdb_env_info(kv->env, &info);
    if (rc == MDB_SUCCESS) rc = mdb_env_stat(kv->env, &stat);
    if (rc == MDB_SUCCESS) rc = mdb_env_get_fd(kv->env, &fd);
    if (rc != MDB_SUCCESS) return kv_fail(kv, rc, "looking at the views");
    off_t need = (off_t)(info.me_last_pgno + 1) * (off_t)stat.ms_psize;
    if (fstat(fd, &file) != 0) return err_errno(kv->dir, "looking at the views");
    if (file.st_size < need && ftruncate(fd, need) != 0) return err_errno(kv->dir, "filling up the file of the views");
    return OK;
}

static int kv_env_try(struct kv *kv, uint64_t map_size)
{
    int rc = mdb_env_create(&kv->env);
    if (rc != MDB_SUCCESS) {
        kv->env = NULL;
        return rc;
    }
    rc = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX);
    if (rc == MDB_SUCCESS) rc = mdb_env_set_maxreaders(kv->env, KV_READERS_MAX + KV_READERS_OTHER);
    if (rc == MDB_SUCCESS) rc = mdb_env_set_mapsize(kv->env, (size_t)map_size);
    unsigned flags = MDB_NOTLS | (kv->write ? MDB_NOSYNC : MDB_RDONLY);
    if (rc == MDB_SUCCESS) rc = mdb_env_open(kv->env, kv->dir, flags, 0600);
    if (rc == MDB_SUCCESS) {
        kv->map_size = map_size;
        return rc;
    }
    mdb_env_close(kv->env);
    kv->env = NULL;
    return rc;
}

static int kv_env_open(struct kv *kv)
{
    int rc = ENOMEM;
    for (uint64_t size = KV_MAP_MAX; rc == ENOMEM && size >= KV_MAP_MIN; size /= 4)
        if (size <= SIZE_MAX / 2) rc = kv_env_try(kv, size);
    return rc;
}

static int kv_open_writer(struct kv *kv, bool *ret_wiped)
{
    int err = kv_dir_lock(kv->dir, &kv->lock_fd);
    if (err != OK) return err;
    bool wiped = kv_dir_is_unsafe(kv->dir);
    if (wiped) err = kv_dir_wipe(kv->dir);
    if (err == OK) err = kv_dir_mark_open(kv->dir);
    if (err == OK) err = kv_dir_reserve_readers(kv->dir, KV_READERS_BYTES);
    if (err != OK) return err;
    int rc = kv_env_open(kv);
    if (kv_means_damage(rc)) {
        wiped = true;
        err = kv_dir_wipe(kv->dir);
        if (err == OK) err = kv_dir_reserve_readers(kv->dir, KV_READERS_BYTES);
        if (err != OK) return err;
        rc = kv_env_open(kv);
    }
    if (rc != MDB_SUCCESS) return kv_fail(kv, rc, "opening the views");
    err = kv_fill_up(kv);
    if (err != OK) return err;
    int dead; /* slots of processes that were killed while reading */
    (void)mdb_reader_check(kv->env, &dead);
    *ret_wiped = wiped;
    return OK;
}

static int kv_open_reader(struct kv *kv)
{
    char path[KV_PATH_MAX];
    int err = kv_dir_path(kv->dir, "data.mdb", path);
    if (err != OK) return err;
    if (access(path, R_OK) != 0) return err_errno(path, "no views to read: start `sluice serve` once");
    if (kv_dir_is_unsafe(kv->dir))
        return err_set(ERR_CORRUPT,
                       "%s: the machine stopped while the views were open; start `sluice serve` to build them anew",
                       kv->dir);
    int rc = kv_env_open(kv);
    return rc == MDB_SUCCESS ? OK : kv_fail(kv, rc, "opening the views");
}

static void kv_txn_free(struct kv_txn *txn)
{
    free(txn->note);
    free(txn);
}

static void kv_free(struct kv *kv)
{
    while (kv->idle != NULL) {
        struct kv_txn *txn = kv->idle;
        kv->idle = txn->next;
        mdb_txn_abort(txn->txn);
        kv_txn_free(txn);
    }
    if (kv->env != NULL) mdb_env_close(kv->env);
    if (kv->lock_fd >= 0) close(kv->lock_fd);
    pthread_mutex_destroy(&kv->pool_lock);
    free(kv->dir);
    free(kv);
}

int kv_open(const char *dir, bool write, bool *ret_wiped, struct kv **ret_kv)
{
    struct kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL) return err_set(ERR_NOMEM, "%s: no memory to open the views", dir);
    kv->write = write;
    kv->lock_fd = -1;
    pthread_mutex_init(&kv->pool_lock, NULL);
    bool wiped = false;
    int err = OK;
    kv->dir = strdup(dir);
    if (kv->dir == NULL) err = err_set(ERR_NOMEM, "%s: no memory to open the views", dir);
    if (err == OK) err = write ? kv_open_writer(kv, &wiped) : kv_open_reader(kv);
    if (err != OK) {
        kv_free(kv);
        return err;
    }
    if (ret_wiped != NULL) *ret_wiped = wiped;
    *ret_kv = kv;
    return OK;
}

int kv_sync(struct kv *kv)
{
    int rc = mdb_env_sync(kv->env, 1);
    return rc == MDB_SUCCESS ? OK : kv_fail(kv, rc, "syncing the views");
}

void kv_close(struct kv *kv)
{
    if (kv == NULL) return;
    if (kv->write && kv_sync(kv) == OK && !atomic_load(&kv->damaged)) kv_dir_mark_closed(kv->dir);
    kv_free(kv);
}

uint64_t kv_bytes(struct kv *kv)
{
    int fd = -1;
    struct stat file;
    if (mdb_env_get_fd(kv->env, &fd) != MDB_SUCCESS || fstat(fd, &file) != 0) return 0;
    return (uint64_t)file.st_size;
}

/* ---- transactions -------------------------------------------------------------------------------------------- */

static int kv_txn_new(struct kv *kv, bool write, struct kv_txn **ret_txn)
{
    struct kv_txn *txn = calloc(1, sizeof *txn);
    if (txn == NULL) return err_set(ERR_NOMEM, "%s: no memory for a transaction", kv->dir);
    txn->kv = kv;
    txn->write = write;
    unsigned flags = write ? 0 : MDB_RDONLY;
    int rc = mdb_txn_begin(kv->env, NULL, flags, &txn->txn);
    if (rc == MDB_READERS_FULL) {
        int dead = 0;
        (void)mdb_reader_check(kv->env, &dead);
        if (dead > 0) rc = mdb_txn_begin(kv->env, NULL, flags, &txn->txn);
    }
    if (rc != MDB_SUCCESS) {
        free(txn);
        return kv_fail(kv, rc, write ? "beginning to write" : "beginning to read");
    }
    *ret_txn = txn;
    return OK;
}

/* LMDB asks for the memory of each changed page by itself, and in the arena of a thread the C library would pass every such wish on
 * to the kernel, which takes longer than changing the page. Asked for once in large steps and given back, it is there. */
static void kv_warm(void)
{
    static _Thread_local bool warm;
    void *blocks[WARM_BLOCKS];
    if (warm || gettid() == getpid()) return; /* the main thread's memory grows in large steps anyway */
    warm = true;
    for (size_t i = 0; i < WARM_BLOCKS; i++)
        blocks[i] = malloc(WARM_BYTES);
    for (size_t i = 0; i < WARM_BLOCKS; i++)
        free(blocks[i]);
}

int kv_begin_write(struct kv *kv, struct kv_txn **ret_txn)
{
    kv_warm();
    if (!kv->write) return err_set(ERR_READONLY, "%s: the views are open for reading only", kv->dir);
    return kv_txn_new(kv, true, ret_txn);
}

static void kv_reader_gone(struct kv *kv)
{
    pthread_mutex_lock(&kv->pool_lock);
    kv->readers--;
    pthread_mutex_unlock(&kv->pool_lock);
}

int kv_begin_read(struct kv *kv, struct kv_txn **ret_txn)
{
    pthread_mutex_lock(&kv->pool_lock);
    struct kv_txn *txn = kv->idle;
    if (txn != NULL) kv->idle = txn->next;
    bool full = txn == NULL && kv->readers >= KV_READERS_MAX;
    if (txn == NULL && !full) kv->readers++;
    pthread_mutex_unlock(&kv->pool_lock);
    if (full) return err_set(ERR_LIMIT, "%s: %d readers are at work; try again later", kv->dir, KV_READERS_MAX);
    if (txn == NULL) {
        int err = kv_txn_new(kv, false, ret_txn);
        if (err != OK) kv_reader_gone(kv);
        return err;
    }
    int rc = mdb_txn_renew(txn->txn);
    if (rc == MDB_SUCCESS) {
        *ret_txn = txn;
        return OK;
    }
    mdb_txn_abort(txn->txn);
    kv_txn_free(txn);
    kv_reader_gone(kv);
    return kv_fail(kv, rc, "beginning to read");
}

/* A commit is never changed, and the newest one is not given up while it is that: a transaction that was renewed and has the same number reads
 * the same pages. */
void *kv_note(struct kv_txn *txn)
{
    if (txn->write) return NULL;
    size_t id = mdb_txn_id(txn->txn);
    if (txn->note != NULL && txn->noted_id == id) return txn->note;
    if (txn->note == NULL) txn->note = malloc(KV_NOTE_BYTES);
    if (txn->note == NULL) return NULL;
    memset(txn->note, 0, KV_NOTE_BYTES);
    txn->noted_id = id;
    return txn->note;
}

static void kv_end_read(struct kv_txn *txn)
{
    struct kv *kv = txn->kv;
    if (txn->opened_table) {
        (void)mdb_txn_commit(txn->txn);
        kv_txn_free(txn);
        kv_reader_gone(kv);
        return;
    }
    mdb_txn_reset(txn->txn);
    pthread_mutex_lock(&kv->pool_lock);
    txn->next = kv->idle;
    kv->idle = txn;
    pthread_mutex_unlock(&kv->pool_lock);
}

int kv_commit(struct kv_txn *txn)
{
    if (!txn->write) {
        kv_end_read(txn);
        return OK;
    }
    struct kv *kv = txn->kv;
    int rc = mdb_txn_commit(txn->txn);
    kv_txn_free(txn);
    if (rc == EIO && kv_dir_is_full(kv->dir)) rc = ENOSPC; /* a write that stops half-way for want of space */
    return rc == MDB_SUCCESS ? OK : kv_fail(kv, rc, "committing");
}

void kv_abort(struct kv_txn *txn)
{
    if (txn == NULL) return;
    if (!txn->write) {
        kv_end_read(txn);
        return;
    }
    mdb_txn_abort(txn->txn);
    kv_txn_free(txn);
}

/* ---- tables -------------------------------------------------------------------------------------------------- */

int kv_table_open(struct kv_txn *txn, const char *name, bool dupsort, kv_table *ret_table)
{
    unsigned flags = (dupsort ? MDB_DUPSORT | MDB_DUPFIXED : 0) | (txn->write ? MDB_CREATE : 0);
    MDB_dbi table;
    int rc = mdb_dbi_open(txn->txn, name, flags, &table);
    if (rc == MDB_NOTFOUND) return err_set(ERR_NOTFOUND, "%s: there is no table \"%s\"", txn->kv->dir, name);
    if (rc != MDB_SUCCESS) return kv_fail(txn->kv, rc, "opening a table");
    txn->opened_table = true;
    *ret_table = table;
    return OK;
}

int kv_get(struct kv_txn *txn, kv_table table, struct slice key, struct slice *ret_value)
{
    int err = kv_check_key(txn->kv, key);
    if (err != OK) return err;
    MDB_val k = kv_val(key), v;
    int found = kv_found(txn->kv, mdb_get(txn->txn, table, &k, &v), "reading");
    if (found == 1) *ret_value = kv_slice(v);
    return found;
}

static int kv_put_place(struct kv_txn *txn, kv_table table)
{
    if (txn->put != NULL && txn->put_table == table) return MDB_SUCCESS;
    if (txn->put != NULL) mdb_cursor_close(txn->put);
    txn->put = NULL;
    txn->put_table = table;
    return mdb_cursor_open(txn->txn, table, &txn->put);
}

static int kv_put_flags(struct kv_txn *txn, kv_table table, struct slice key, struct slice value, unsigned flags)
{
    int err = kv_check_key(txn->kv, key);
    if (err != OK) return err;
    MDB_val k = kv_val(key), v = kv_val(value);
    int rc = kv_put_place(txn, table);
    if (rc == MDB_SUCCESS) rc = mdb_cursor_put(txn->put, &k, &v, flags);
    if (rc == MDB_KEYEXIST && flags != 0) {
        v = kv_val(value);
        rc = mdb_cursor_put(txn->put, &k, &v, 0);
    }
    return rc == MDB_SUCCESS ? OK : kv_fail(txn->kv, rc, "writing");
}

int kv_put(struct kv_txn *txn, kv_table table, struct slice key, struct slice value)
{
    return kv_put_flags(txn, table, key, value, 0);
}

int kv_append(struct kv_txn *txn, kv_table table, struct slice key, struct slice value)
{
    return kv_put_flags(txn, table, key, value, MDB_APPEND);
}

int kv_append_value(struct kv_txn *txn, kv_table table, struct slice key, struct slice value)
{
    return kv_put_flags(txn, table, key, value, MDB_APPENDDUP);
}

int kv_ends_before(struct kv_txn *txn, kv_table table, struct slice key)
{
    MDB_val last, value, k = kv_val(key);
    int rc = kv_put_place(txn, table);
    if (rc != MDB_SUCCESS) return kv_fail(txn->kv, rc, "reading");
    int found = kv_found(txn->kv, mdb_cursor_get(txn->put, &last, &value, MDB_LAST), "reading");
    return found == 1 ? mdb_cmp(txn->txn, table, &last, &k) < 0 : found == 0 ? 1 : found;
}

int kv_del(struct kv_txn *txn, kv_table table, struct slice key)
{
    int err = kv_check_key(txn->kv, key);
    if (err != OK) return err;
    MDB_val k = kv_val(key);
    return kv_found(txn->kv, mdb_del(txn->txn, table, &k, NULL), "deleting");
}

int kv_clear(struct kv_txn *txn, kv_table table)
{
    int rc = mdb_drop(txn->txn, table, 0);
    return rc == MDB_SUCCESS ? OK : kv_fail(txn->kv, rc, "emptying a table");
}

int kv_count(struct kv_txn *txn, kv_table table, uint64_t *ret_entries)
{
    MDB_stat stat;
    int rc = mdb_stat(txn->txn, table, &stat);
    if (rc != MDB_SUCCESS) return kv_fail(txn->kv, rc, "counting");
    *ret_entries = stat.ms_entries;
    return OK;
}

/* ---- cursors ------------------------------------------------------------------------------------------------- */

int kv_cursor_open(struct kv_txn *txn, kv_table table, struct kv_cursor **ret_cursor)
{
    struct kv_cursor *cursor = malloc(sizeof *cursor);
    if (cursor == NULL) return err_set(ERR_NOMEM, "%s: no memory for a cursor", txn->kv->dir);
    cursor->kv = txn->kv;
    int rc = mdb_cursor_open(txn->txn, table, &cursor->cursor);
    if (rc != MDB_SUCCESS) {
        free(cursor);
        return kv_fail(txn->kv, rc, "opening a cursor");
    }
    *ret_cursor = cursor;
    return OK;
}

void kv_cursor_close(struct kv_cursor *cursor)
{
    if (cursor == NULL) return;
    mdb_cursor_close(cursor->cursor);
    free(cursor);
}

static int kv_move(struct kv_cursor *cursor, MDB_val key, MDB_cursor_op op, struct slice *ret_key,
                   struct slice *ret_value)
{
    MDB_val value = { 0 };
    int found = kv_found(cursor->kv, mdb_cursor_get(cursor->cursor, &key, &value, op), "reading");
    if (found != 1) return found;
    *ret_key = kv_slice(key);
    *ret_value = kv_slice(value);
    return 1;
}

int kv_seek(struct kv_cursor *cursor, struct slice key, struct slice *ret_key, struct slice *ret_value)
{
    if (key.len == 0) return kv_first(cursor, ret_key, ret_value);
    int err = kv_check_key(cursor->kv, key);
    if (err != OK) return err;
    return kv_move(cursor, kv_val(key), MDB_SET_RANGE, ret_key, ret_value);
}

int kv_first(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
    return kv_move(cursor, (MDB_val){ 0 }, MDB_FIRST, ret_key, ret_value);
}

int kv_last(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
    return kv_move(cursor, (MDB_val){ 0 }, MDB_LAST, ret_key, ret_value);
}

int kv_next(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
    return kv_move(cursor, (MDB_val){ 0 }, MDB_NEXT, ret_key, ret_value);
}

int kv_prev(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
    return kv_move(cursor, (MDB_val){ 0 }, MDB_PREV, ret_key, ret_value);
}

int kv_before(struct kv_cursor *cursor, struct slice key, struct slice *ret_key, struct slice *ret_value)
{
    if (key.len == 0) return 0;
    struct slice at_key, at_value;
    int found = kv_seek(cursor, key, &at_key, &at_value);
    if (found < 0) return found;
    if (found == 0) return kv_last(cursor, ret_key, ret_value);
    return kv_move(cursor, (MDB_val){ 0 }, MDB_PREV_NODUP, ret_key, ret_value);
}

int kv_seek_value(struct kv_cursor *cursor, struct slice key, struct slice value, struct slice *ret_value)
{
    int err = kv_check_key(cursor->kv, key);
    if (err != OK) return err;
    MDB_val k = kv_val(key), v = kv_val(value);
    int found = kv_found(cursor->kv, mdb_cursor_get(cursor->cursor, &k, &v, MDB_GET_BOTH_RANGE), "reading");
    if (found == 1) *ret_value = kv_slice(v);
    return found;
}

int kv_next_key(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
    return kv_move(cursor, (MDB_val){ 0 }, MDB_NEXT_NODUP, ret_key, ret_value);
}
