#include "tests/crash/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define NAME_MAX_LEN 128
#define FILES_MAX 64
#define NAMES_MAX 64
#define FDS_MAX 4096
#define DECISIONS_MAX 4096
#define CONTENT_MAX ((int64_t)128 << 10) /* of a file under test */

enum op_kind { OP_CREATE, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_SYNC_FOLDER, OP_RENAME, OP_UNLINK, OP_PROMISE, OP_VIEWS };

struct op {
    enum op_kind kind;
    int file;
    int64_t at; /* offset, size, seq; 1 = commit, 0 = synced */
    size_t len;
    uint8_t *data;
    char name[NAME_MAX_LEN]; /* within the folder; of a folder: with the slash at its end, or empty */
    char to[NAME_MAX_LEN];
};

struct file {
    uint8_t *base; /* what was there when the recording began */
    int64_t size;
};

struct names {
    struct {
        char name[NAME_MAX_LEN];
        int file;
    } items[NAMES_MAX];
    size_t count;
};

static struct {
    pthread_mutex_t lock;
    bool on;
    char folder[SCRATCH_PATH];
    struct op *ops;
    size_t count, cap;
    struct file files[FILES_MAX];
    size_t file_count;
    struct names start, now;
    int fds[FDS_MAX]; /* number of the file + 1, 0 = none, -1 = a folder */
    char fd_folders[FDS_MAX][NAME_MAX_LEN];
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void must(bool ok, const char *what)
{
    if (ok) return;
    (void)fprintf(stderr, "disk: %s\n", what);
    abort();
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* The part of the path that is within the folder, or NULL. */
static const char *name_of(const char *path)
{
    size_t len = strlen(disk.folder);
    if (strncmp(path, disk.folder, len) != 0) return NULL;
    if (path[len] == '\0') return "";
    return path[len] == '/' ? path + len + 1 : NULL;
}

static int names_find(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].name, name) == 0) return (int)i;
    return -1;
}

static void names_set(struct names *names, const char *name, int file)
{
    int at = names_find(names, name);
    if (at < 0) {
        must(names->count < NAMES_MAX && strlen(name) < NAME_MAX_LEN, "too many files, or too long a name");
        at = (int)names->count++;
        (void)snprintf(names->items[at].name, NAME_MAX_LEN, "%s", name);
    }
    names->items[at].file = file;
}

static void names_remove(struct names *names, const char *name)
{
    int at = names_find(names, name);
    if (at >= 0) names->items[at] = names->items[--names->count];
}

static bool in_folder(const char *name, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(name, folder, len) == 0 && strchr(name + len, '/') == NULL;
}

/* ---- recording -------------------------------------------------------------------------------------------------- */

static struct op *op_add(enum op_kind kind, int file)
{
    if (disk.count == disk.cap) {
        disk.cap = disk.cap == 0 ? 256 : disk.cap * 2;
        disk.ops = realloc(disk.ops, disk.cap * sizeof *disk.ops);
        must(disk.ops != NULL, "memory");
    }
    struct op *op = &disk.ops[disk.count++];
    *op = (struct op){ .kind = kind, .file = file };
    return op;
}

static int file_add(void)
{
    must(disk.file_count < FILES_MAX, "too many files");
    disk.files[disk.file_count] = (struct file){ 0 };
    return (int)disk.file_count++;
}

static void load_folder(const char *prefix)
{
    char path[2 * SCRATCH_PATH];
    (void)snprintf(path, sizeof path, "%s/%s", disk.folder, prefix);
    DIR *dir = opendir(path);
    must(dir != NULL, "a folder");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char name[NAME_MAX_LEN];
        struct stat st;
        if (entry->d_name[0] == '.') continue;
        must(snprintf(name, sizeof name, "%s%s", prefix, entry->d_name) < (int)sizeof name, "a long name");
        (void)snprintf(path, sizeof path, "%s/%s", disk.folder, name);
        must(stat(path, &st) == 0, "stat");
        if (S_ISDIR(st.st_mode)) {
            char inner[NAME_MAX_LEN];
            must(snprintf(inner, sizeof inner, "%s/", name) < (int)sizeof inner, "a long name");
            load_folder(inner);
        } else if (strstr(name, ".mdb") == NULL) {
            size_t len;
            int file = file_add();
            disk.files[file].base = (uint8_t *)scratch_read(path, &len);
            disk.files[file].size = (int64_t)len;
            names_set(&disk.start, name, file);
        }
    }
    (void)closedir(dir);
}

void disk_record(const char *folder)
{
    disk_forget();
    (void)snprintf(disk.folder, sizeof disk.folder, "%s", folder);
    load_folder("");
    disk.now = disk.start;
    memset(disk.fds, 0, sizeof disk.fds);
    disk.on = true;
}

void disk_stop(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.on = false;
    (void)pthread_mutex_unlock(&disk.lock);
}

void disk_forget(void)
{
    for (size_t i = 0; i < disk.count; i++)
        free(disk.ops[i].data);
    for (size_t i = 0; i < disk.file_count; i++)
        free(disk.files[i].base);
    free(disk.ops);
    disk.ops = NULL;
    disk.count = disk.cap = disk.file_count = 0;
    disk.start.count = disk.now.count = 0;
}

/* Takes the lock; false (and lets it go) if nothing is recorded. */
static bool begin(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    if (!disk.on) (void)pthread_mutex_unlock(&disk.lock);
    return disk.on;
}

static void end(void)
{
    (void)pthread_mutex_unlock(&disk.lock);
}

void disk_promise(int64_t seq)
{
    if (!begin()) return;
    op_add(OP_PROMISE, -1)->at = seq;
    end();
}

void disk_on_views(bool commit)
{
    if (!begin()) return;
    op_add(OP_VIEWS, -1)->at = commit;
    end();
}

void disk_on_open(const char *path, int fd, bool created, bool truncated)
{
    if (fd >= FDS_MAX || !begin()) return;
    const char *name = name_of(path);
    struct stat st;
    disk.fds[fd] = 0;
    if (name == NULL || strstr(name, ".mdb") != NULL || fstat(fd, &st) != 0) {
        end();
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        disk.fds[fd] = -1;
        (void)snprintf(disk.fd_folders[fd], NAME_MAX_LEN, "%s%s", name, name[0] == '\0' ? "" : "/");
        end();
        return;
    }
    if (created) {
        int file = file_add();
        struct op *op = op_add(OP_CREATE, file);
        (void)snprintf(op->name, sizeof op->name, "%s", name);
        names_set(&disk.now, name, file);
    }
    int at = names_find(&disk.now, name);
    must(at >= 0, "a file that was not seen to be made");
    disk.fds[fd] = disk.now.items[at].file + 1;
    if (truncated && !created) op_add(OP_TRUNCATE, disk.fds[fd] - 1)->at = 0;
    end();
}

void disk_on_close(int fd)
{
    if (fd < 0 || fd >= FDS_MAX || !begin()) return;
    disk.fds[fd] = 0;
    end();
}

void disk_on_write(int fd, const void *data, size_t len, int64_t at)
{
    if (fd >= FDS_MAX || !begin()) return;
    if (disk.fds[fd] > 0) {
        struct op *op = op_add(OP_WRITE, disk.fds[fd] - 1);
        op->at = at;
        op->len = len;
        op->data = malloc(len);
        must(op->data != NULL && at + (int64_t)len <= CONTENT_MAX, "memory");
        memcpy(op->data, data, len);
    }
    end();
}

void disk_on_truncate(int fd, int64_t size)
{
    if (fd >= FDS_MAX || !begin()) return;
    if (disk.fds[fd] > 0) op_add(OP_TRUNCATE, disk.fds[fd] - 1)->at = size;
    end();
}

void disk_on_sync(int fd)
{
    if (fd >= FDS_MAX || !begin()) return;
    if (disk.fds[fd] > 0) (void)op_add(OP_SYNC, disk.fds[fd] - 1);
    if (disk.fds[fd] < 0) {
        struct op *op = op_add(OP_SYNC_FOLDER, -1);
        (void)snprintf(op->name, sizeof op->name, "%s", disk.fd_folders[fd]);
    }
    end();
}

void disk_on_rename(const char *from, const char *to)
{
    if (!begin()) return;
    const char *old = name_of(from);
    const char *new = name_of(to);
    if (old != NULL && new != NULL) {
        int at = names_find(&disk.now, old);
        must(at >= 0, "a rename of what is not there");
        int file = disk.now.items[at].file;
        struct op *op = op_add(OP_RENAME, file);
        (void)snprintf(op->name, sizeof op->name, "%s", old);
        (void)snprintf(op->to, sizeof op->to, "%s", new);
        names_remove(&disk.now, old);
        names_set(&disk.now, new, file);
    }
    end();
}

void disk_on_unlink(const char *path)
{
    if (!begin()) return;
    const char *name = name_of(path);
    if (name != NULL && names_find(&disk.now, name) >= 0) {
        struct op *op = op_add(OP_UNLINK, -1);
        (void)snprintf(op->name, sizeof op->name, "%s", name);
        names_remove(&disk.now, name);
    }
    end();
}

/* ---- playing back ------------------------------------------------------------------------------------------------ */

size_t disk_ops(void)
{
    return disk.count;
}

int64_t disk_promised(size_t n)
{
    int64_t seq = -1;
    for (size_t i = 0; i < n; i++)
        if (disk.ops[i].kind == OP_PROMISE && disk.ops[i].at > seq) seq = disk.ops[i].at;
    return seq;
}

bool disk_views_dirty(size_t n)
{
    bool dirty = false;
    for (size_t i = 0; i < n; i++)
        if (disk.ops[i].kind == OP_VIEWS) dirty = disk.ops[i].at == 1;
    return dirty;
}

static void names_apply(struct names *names, const struct op *op)
{
    if (op->kind == OP_CREATE) names_set(names, op->name, op->file);
    if (op->kind == OP_UNLINK) names_remove(names, op->name);
    if (op->kind != OP_RENAME) return;
    names_remove(names, op->name);
    names_set(names, op->to, op->file);
}

static bool changes_names(const struct op *op)
{
    return op->kind == OP_CREATE || op->kind == OP_UNLINK || op->kind == OP_RENAME;
}

/* Is there an fsync of the folder of op i before operation n? */
static bool names_synced(size_t i, size_t n)
{
    for (size_t k = i + 1; k < n; k++)
        if (disk.ops[k].kind == OP_SYNC_FOLDER && in_folder(disk.ops[i].name, disk.ops[k].name)) return true;
    return false;
}

static void play_names(size_t n, disk_choose_fn *choose, void *ctx, struct names *ret_names)
{
    *ret_names = disk.start;
    for (size_t i = 0; i < n; i++) {
        if (!changes_names(&disk.ops[i])) continue;
        if (names_synced(i, n) || choose(ctx, 2) == 1) names_apply(ret_names, &disk.ops[i]);
    }
}

struct content {
    uint8_t *bytes; /* CONTENT_MAX of them */
    int64_t size;
};

static void content_apply(struct content *content, const struct op *op)
{
    if (op->kind == OP_WRITE) {
        memcpy(content->bytes + op->at, op->data, op->len);
        if (op->at + (int64_t)op->len > content->size) content->size = op->at + (int64_t)op->len;
    } else {
        if (op->at < content->size) memset(content->bytes + op->at, 0, (size_t)(content->size - op->at));
        content->size = op->at;
    }
}

static bool changes_file(const struct op *op, int file)
{
    return op->file == file && (op->kind == OP_WRITE || op->kind == OP_TRUNCATE);
}

/* Where the operations begin that no fsync of the file follows before operation n. */
static size_t unsynced_from(size_t n, int file)
{
    for (size_t i = n; i > 0; i--)
        if (disk.ops[i - 1].kind == OP_SYNC && disk.ops[i - 1].file == file) return i;
    return 0;
}

/* One of the contents that the sector had since, into `out`. */
static void play_sector(size_t from, size_t n, int file, const struct content *synced, int64_t at,
                        disk_choose_fn *choose, void *ctx, uint8_t *out)
{
    uint8_t versions[16][SECTOR];
    int count = 1;
    memcpy(versions[0], synced->bytes + at, SECTOR);
    for (size_t i = from; i < n && count < 16; i++) {
        const struct op *op = &disk.ops[i];
        if (!changes_file(op, file)) continue;
        int64_t first = op->at > at ? op->at : at;
        int64_t last =
            op->kind == OP_WRITE && op->at + (int64_t)op->len < at + SECTOR ? op->at + (int64_t)op->len : at + SECTOR;
        if (first >= last) continue;
        uint8_t *next = versions[count];
        memcpy(next, versions[count - 1], SECTOR);
        if (op->kind == OP_WRITE)
            memcpy(next + (first - at), op->data + (first - op->at), (size_t)(last - first));
        else
            memset(next + (first - at), 0, (size_t)(last - first));
        if (memcmp(next, versions[count - 1], SECTOR) != 0) count++;
    }
    memcpy(out + at, versions[count > 1 ? choose(ctx, count) : 0], SECTOR);
}

static int64_t play_size(size_t from, size_t n, int file, int64_t synced, disk_choose_fn *choose, void *ctx)
{
    int64_t sizes[64] = { synced };
    int count = 1;
    for (size_t i = from; i < n && count < 64; i++) {
        const struct op *op = &disk.ops[i];
        if (!changes_file(op, file)) continue;
        int64_t size = op->kind == OP_TRUNCATE ? op->at : op->at + (int64_t)op->len;
        if (op->kind == OP_WRITE && size < sizes[count - 1]) continue;
        if (size != sizes[count - 1]) sizes[count++] = size;
    }
    return sizes[count > 1 ? choose(ctx, count) : 0];
}

static void play_file(size_t n, int file, disk_choose_fn *choose, void *ctx, struct content *content)
{
    struct content synced = { calloc(1, (size_t)CONTENT_MAX), disk.files[file].size };
    must(synced.bytes != NULL, "memory");
    if (disk.files[file].base != NULL) memcpy(synced.bytes, disk.files[file].base, (size_t)synced.size);
    size_t from = unsynced_from(n, file);
    for (size_t i = 0; i < from; i++)
        if (changes_file(&disk.ops[i], file)) content_apply(&synced, &disk.ops[i]);
    int64_t most = synced.size;
    for (size_t i = from; i < n; i++) {
        const struct op *op = &disk.ops[i];
        if (changes_file(op, file) && op->at + (int64_t)op->len > most) most = op->at + (int64_t)op->len;
    }
    content->size = play_size(from, n, file, synced.size, choose, ctx);
    for (int64_t at = 0; at < most; at += SECTOR)
        play_sector(from, n, file, &synced, at, choose, ctx, content->bytes);
    free(synced.bytes);
}

static void make_parents(char *path)
{
    for (char *slash = strchr(path + strlen(disk.folder) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
}

void disk_play(size_t n, disk_choose_fn *choose, void *ctx, const char *folder)
{
    struct names names;
    struct content content = { calloc(1, (size_t)CONTENT_MAX), 0 };
    must(content.bytes != NULL, "memory");
    play_names(n, choose, ctx, &names);
    for (size_t i = 0; i < names.count; i++) {
        memset(content.bytes, 0, (size_t)CONTENT_MAX);
        play_file(n, names.items[i].file, choose, ctx, &content);
        if (folder == NULL) continue;
        char path[2 * SCRATCH_PATH];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names.items[i].name);
        make_parents(path);
        scratch_write(path, content.bytes, (size_t)content.size);
    }
    free(content.bytes);
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

enum { CHOOSE_LISTED, CHOOSE_OLD, CHOOSE_NEW, CHOOSE_DICE };

struct chooser {
    int kind;
    int odd; /* OLD, NEW: the one decision that is the other way; -1 = none */
    struct dice *dice;
    int listed[DECISIONS_MAX];
    int counts[DECISIONS_MAX];
    int at;
};

static int chooser_choose(void *ctx, int count)
{
    struct chooser *chooser = ctx;
    int at = chooser->at++;
    must(at < DECISIONS_MAX, "too many decisions");
    chooser->counts[at] = count;
    switch (chooser->kind) {
    case CHOOSE_LISTED: return chooser->listed[at];
    case CHOOSE_OLD: return at == chooser->odd ? count - 1 : 0;
    case CHOOSE_NEW: return at == chooser->odd ? 0 : count - 1;
    default: break;
    }
    return (int)dice_roll(chooser->dice, (uint64_t)count);
}

/* The next list of decisions in the order of an odometer; false after the last. Counts are those of the run before. */
static bool chooser_next(struct chooser *chooser)
{
    int at = chooser->at;
    while (at > 0 && chooser->listed[at - 1] + 1 == chooser->counts[at - 1])
        at--;
    if (at == 0) return false;
    chooser->listed[at - 1]++;
    memset(chooser->listed + at, 0, sizeof chooser->listed - (size_t)at * sizeof chooser->listed[0]);
    return true;
}

static bool cases_are_few(size_t n, size_t most, struct chooser *chooser)
{
    *chooser = (struct chooser){ .kind = CHOOSE_LISTED };
    for (size_t i = 0; i < most; i++) {
        chooser->at = 0;
        disk_play(n, chooser_choose, chooser, NULL);
        if (!chooser_next(chooser)) return true;
    }
    return false;
}

static void case_one(struct chooser *chooser, int kind, int odd, disk_case_fn *fn, void *ctx)
{
    chooser->kind = kind;
    chooser->odd = odd;
    chooser->at = 0;
    fn(ctx, chooser_choose, chooser);
}

void disk_cases(size_t n, size_t most, struct dice *dice, disk_case_fn *fn, void *ctx)
{
    struct chooser *chooser = malloc(sizeof *chooser);
    must(chooser != NULL, "memory");
    if (cases_are_few(n, most, chooser)) {
        *chooser = (struct chooser){ .kind = CHOOSE_LISTED };
        do
            case_one(chooser, CHOOSE_LISTED, -1, fn, ctx);
        while (chooser_next(chooser));
    } else {
        *chooser = (struct chooser){ .dice = dice };
        case_one(chooser, CHOOSE_OLD, -1, fn, ctx);
        int olds = chooser->at;
        case_one(chooser, CHOOSE_NEW, -1, fn, ctx);
        int news = chooser->at;
        size_t made = 2 + (size_t)(olds + news);
        for (int i = 0; i < olds; i++)
            case_one(chooser, CHOOSE_OLD, i, fn, ctx);
        for (int i = 0; i < news; i++)
            case_one(chooser, CHOOSE_NEW, i, fn, ctx);
        for (; made < most; made++)
            case_one(chooser, CHOOSE_DICE, -1, fn, ctx);
    }
    free(chooser);
}
