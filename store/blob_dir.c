#include "store/blob_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/err.h"
#include "store/sha256.h"

#define SEEN_SLOTS 4096 /* files remembered; a new one takes the place of another */
#define UPLOAD_PREFIX "sluice-upload-"

/* Times of files move in ticks of some milliseconds: a file that was changed so recently may change again without showing it. */
#define SETTLED_NS INT64_C(2000000000)

struct seen {
    uint8_t id[BLOB_ID_BYTES];
    struct file_info info;
    enum blob_verdict verdict;
};

struct blob_dir {
    char *path;
    bool owned;
    atomic_int uploads;
    atomic_uint uploaded; /* numbers temporary files */
    pthread_mutex_t lock; /* for `seen` */
    struct seen seen[SEEN_SLOTS];
};

/* ---- paths ---- */

static int path_print(char **ret_path, const struct blob_dir *dir, const char *rest)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir->path, rest) < 0) return err_set(ERR_NOMEM, "out of memory");
    *ret_path = path;
    return OK;
}

static int path_of(const struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], char **ret_path)
{
    char hex[2 * BLOB_ID_BYTES + 1], rest[sizeof "sha256//" + sizeof hex];
    (void)sodium_bin2hex(hex, sizeof hex, id, BLOB_ID_BYTES);
    (void)snprintf(rest, sizeof rest, "sha256/%.2s/%s", hex, hex + 2);
    return path_print(ret_path, dir, rest);
}

/* Every folder above the last slash. */
static int folders_make(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/') continue;
        *at = '\0';
        int made = mkdir(path, 0700);
        int why = errno;
        if (made == 0 && file_sync_folder(path) != OK) made = -1;
        if (made != 0 && why != EEXIST) return err_errno(path, "making the folder");
        *at = '/';
    }
    return OK;
}

/* ---- the folder ---- */

static void uploads_sweep(const struct blob_dir *dir)
{
    char *path = NULL;
    if (path_print(&path, dir, "tmp") != OK) return;
    DIR *folder = opendir(path);
    for (struct dirent *entry = folder == NULL ? NULL : readdir(folder); entry != NULL; entry = readdir(folder))
        if (strncmp(entry->d_name, UPLOAD_PREFIX, sizeof UPLOAD_PREFIX - 1) == 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL) (void)closedir(folder);
    free(path);
}

int blob_dir_open(const char *path, bool owned, struct blob_dir **ret_dir)
{
    struct blob_dir *dir = calloc(1, sizeof *dir);
    char *copy = strdup(path);
    if (dir == NULL || copy == NULL) {
        free(dir);
        free(copy);
        return err_set(ERR_NOMEM, "out of memory");
    }
    dir->path = copy;
    dir->owned = owned;
    (void)pthread_mutex_init(&dir->lock, NULL);
    if (owned) uploads_sweep(dir);
    *ret_dir = dir;
    return OK;
}

void blob_dir_free(struct blob_dir *dir)
{
    if (dir == NULL) return;
    (void)pthread_mutex_destroy(&dir->lock);
    free(dir->path);
    free(dir);
}

/* ---- files ---- */

int blob_open(const struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], struct blob_file *ret_file)
{
    char *path = NULL;
    struct blob_file file = { .fd = -1 };
    int err = path_of(dir, id, &path);
    if (err != OK) return err;
    err = file_open(path, O_RDONLY, &file.fd);
    if (err == OK) err = file_stat(file.fd, path, &file.info);
    if (err == OK && !file.info.regular) err = err_set(ERR_NOFILE, "%s: no plain file", path);
    free(path);
    if (err == OK)
        *ret_file = file;
    else
        file_close(file.fd);
    return err;
}

void blob_close(struct blob_file *file)
{
    file_close(file->fd);
    file->fd = -1;
}

/* ---- what is known ---- */

static bool info_same(const struct file_info *a, const struct file_info *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime == b->mtime && a->ctime == b->ctime;
}

static struct seen *seen_slot(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES])
{
    return &dir->seen[(id[0] | id[1] << 8) % SEEN_SLOTS];
}

static enum blob_verdict seen_verdict(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES],
                                      const struct file_info *info)
{
    struct seen *seen = seen_slot(dir, id);
    (void)pthread_mutex_lock(&dir->lock);
    bool same = memcmp(seen->id, id, BLOB_ID_BYTES) == 0 && info_same(&seen->info, info);
    enum blob_verdict verdict = same ? seen->verdict : BLOB_UNKNOWN;
    (void)pthread_mutex_unlock(&dir->lock);
    return verdict;
}

static void seen_note(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], const struct file_info *info,
                      enum blob_verdict verdict, int64_t began_ns)
{
    struct seen *seen = seen_slot(dir, id);
    if (began_ns - info->ctime < SETTLED_NS) return;
    (void)pthread_mutex_lock(&dir->lock);
    memcpy(seen->id, id, BLOB_ID_BYTES);
    seen->info = *info;
    seen->verdict = verdict;
    (void)pthread_mutex_unlock(&dir->lock);
}

enum blob_verdict blob_known(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], const struct blob_file *file)
{
    return seen_verdict(dir, id, &file->info);
}

bool blob_is_here(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES])
{
    char *path = NULL;
    struct file_info info;
    if (path_of(dir, id, &path) != OK) return false;
    bool here = file_stat_path(path, &info) == OK && info.regular && seen_verdict(dir, id, &info) != BLOB_BAD;
    free(path);
    return here;
}

/* ---- hashing ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int hash_file(const struct blob_file *file, const atomic_bool *stop, uint8_t ret_hash[BLOB_ID_BYTES])
{
    struct sha256 state;
    uint8_t piece[BLOB_PIECE];
    size_t len = sizeof piece;
    sha256_begin(&state);
    for (int64_t at = 0; len == sizeof piece; at += (int64_t)len) {
        if (stop != NULL && atomic_load(stop)) return err_set(ERR_CLOSED, "the blob was not wanted any more");
        int err = file_read(file->fd, "a blob", piece, sizeof piece, at, &len);
        if (err != OK) return err;
        sha256_add(&state, piece, len);
    }
    sha256_end(&state, ret_hash);
    return OK;
}

int blob_check(struct blob_dir *dir, const uint8_t id[BLOB_ID_BYTES], const struct blob_file *file,
               const atomic_bool *stop)
{
    uint8_t hash[BLOB_ID_BYTES];
    struct file_info after;
    int64_t began_ns = now_ns();
    int err = hash_file(file, stop, hash);
    if (err == OK) err = file_stat(file->fd, "a blob", &after);
    if (err != OK) return err;
    if (!info_same(&file->info, &after)) return err_set(ERR_CHANGED, "the blob's file was written meanwhile");
    bool good = memcmp(hash, id, BLOB_ID_BYTES) == 0;
    seen_note(dir, id, &file->info, good ? BLOB_GOOD : BLOB_BAD, began_ns);
    return good ? OK : err_set(ERR_CORRUPT, "the file of this blob holds something else than its id says");
}

/* ---- adding ---- */

struct blob_upload {
    struct blob_dir *dir;
    struct sha256 hash;
    char *path; /* of the temporary file; NULL once it is in its place */
    int fd;
    int64_t size, max;
};

static int upload_open(struct blob_upload *upload)
{
    char name[64];
    (void)snprintf(name, sizeof name, "tmp/" UPLOAD_PREFIX "%ld-%u", (long)getpid(),
                   atomic_fetch_add(&upload->dir->uploaded, 1));
    int err = path_print(&upload->path, upload->dir, name);
    if (err == OK) err = folders_make(upload->path);
    return err == OK ? file_open(upload->path, O_RDWR | O_CREAT | O_EXCL, &upload->fd) : err;
}

int blob_upload_begin(struct blob_dir *dir, int64_t max, struct blob_upload **ret_upload)
{
    if (!dir->owned) return err_set(ERR_READONLY, "the blobs belong to the node whose log is followed: add them there");
    struct blob_upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL) return err_set(ERR_NOMEM, "out of memory");
    upload->dir = dir;
    upload->fd = -1;
    upload->max = max;
    sha256_begin(&upload->hash);
    int err = OK;
    if (atomic_fetch_add(&dir->uploads, 1) >= BLOB_UPLOADS_MAX)
        err = err_set(ERR_QUEUE, "%d blobs are being sent already", BLOB_UPLOADS_MAX);
    if (err == OK) err = upload_open(upload);
    if (err == OK)
        *ret_upload = upload;
    else
        blob_upload_free(upload);
    return err;
}

int blob_upload_write(struct blob_upload *upload, const void *data, size_t len)
{
    if ((int64_t)len > upload->max - upload->size)
        return err_set(ERR_LIMIT, "the blob has more than %lld bytes: start the server with a larger --blob-max",
                       (long long)upload->max);
    int err = file_write(upload->fd, upload->path, data, len, upload->size);
    if (err != OK) return err;
    sha256_add(&upload->hash, data, len);
    upload->size += (int64_t)len;
    return OK;
}

int64_t blob_upload_size(const struct blob_upload *upload)
{
    return upload->size;
}

int blob_upload_read(const struct blob_upload *upload, void *data, size_t len, size_t *ret_len)
{
    return file_read(upload->fd, "a new blob", data, len, 0, ret_len);
}

/* A damaged file in its place is replaced. */
static bool upload_is_here(const struct blob_upload *upload, const uint8_t id[BLOB_ID_BYTES])
{
    struct blob_file file;
    if (blob_open(upload->dir, id, &file) != OK) return false;
    bool here = file.info.size == upload->size && blob_check(upload->dir, id, &file, NULL) == OK;
    blob_close(&file);
    return here;
}

static int upload_place(struct blob_upload *upload, const uint8_t id[BLOB_ID_BYTES])
{
    char *path = NULL;
    int err = path_of(upload->dir, id, &path);
    if (err == OK) err = folders_make(path);
    if (err == OK) err = file_sync(upload->fd, upload->path);
    if (err == OK) err = file_rename(upload->path, path);
    if (err == OK) {
        free(upload->path);
        upload->path = NULL;
        err = file_sync_folder(path);
    }
    free(path);
    return err;
}

int blob_upload_keep(struct blob_upload *upload, uint8_t ret_id[BLOB_ID_BYTES], bool *ret_new)
{
    struct sha256 hash = upload->hash;
    uint8_t id[BLOB_ID_BYTES];
    sha256_end(&hash, id);
    bool here = upload_is_here(upload, id);
    int err = here ? OK : upload_place(upload, id);
    if (err != OK) return err;
    memcpy(ret_id, id, BLOB_ID_BYTES);
    *ret_new = !here;
    return OK;
}

void blob_upload_free(struct blob_upload *upload)
{
    if (upload == NULL) return;
    (void)atomic_fetch_sub(&upload->dir->uploads, 1);
    if (upload->path != NULL && upload->fd >= 0) (void)unlink(upload->path);
    file_close(upload->fd);
    free(upload->path);
    free(upload);
}
