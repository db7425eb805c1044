#include "server/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/plain.h"
#include "server/wake.h"
#include "store/err.h"
#include "store/file.h"
#include "store/keys.h"
#include "store/log_opened.h"

#define OWNER_NOTE "owner"               /* whose views these are: his id */
#define OWNER_YIELDS (INT64_C(64) << 20) /* bytes of log that the views of everybody may be behind */
#define VIEWS_ALL ((uint32_t)((UINT64_C(1) << VIEW_COUNT) - 1))

struct owner {
    struct server server;
    struct server *base;
    struct box1_key *key; /* guarded memory */
    struct wake wake;
    char *folder;
};

/* ---- the folder --------------------------------------------------------------------------------------------------- */

static int path_in(const char *folder, const char *name, char **ret_path)
{
    return asprintf(ret_path, "%s/%s", folder, name) < 0 ? err_set(ERR_NOMEM, "out of memory") : OK;
}

static int file_forget(const char *folder, const char *name)
{
    char *path = NULL;
    int err = path_in(folder, name, &path);
    if (err != OK) return err;
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR) err = err_errno(path, "removing private views");
    free(path);
    return err;
}

/* The note goes last: what is left by a removal that was interrupted is known for what it is. */
static int folder_forget(const char *folder)
{
    static const char *const names[] = { "data.mdb", "lock.mdb", "running", "lock", OWNER_NOTE };
    int err = OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && err == OK; i++)
        err = file_forget(folder, names[i]);
    if (err == OK) (void)rmdir(folder); /* not if somebody else put something there */
    return err;
}

int owner_forget(const char *views_path)
{
    char *folder = NULL, *note = NULL;
    int err = path_in(views_path, "private", &folder);
    if (err == OK) err = path_in(folder, OWNER_NOTE, &note);
    /* a folder of that name without the note was not made here */
    if (err == OK && access(note, F_OK) == 0) err = folder_forget(folder);
    free(note);
    free(folder);
    return err;
}

/* 1 = the note names the owner, 0 = it does not or is not there, <0 error. */
static int note_read(const char *path, struct slice id)
{
    char text[REF_TEXT_MAX + 1];
    size_t len = 0;
    int fd = -1, err = file_open(path, O_RDONLY, &fd);
    if (err == ERR_NOFILE) return 0;
    if (err == OK) err = file_read(fd, path, text, sizeof text, 0, &len);
    file_close(fd);
    return err != OK ? err : len == id.len && memcmp(text, id.data, len) == 0;
}

static int note_write(const char *path, struct slice id)
{
    int fd = -1, err = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    if (err == OK) err = file_write(fd, path, id.data, id.len, 0);
    file_close(fd);
    return err;
}

static int folder_make(const char *folder)
{
    if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST) return err_errno(folder, "making the folder for private views");
    if (chmod(folder, S_IRWXU) != 0) return err_errno(folder, "making the folder for private views");
    return OK;
}

static int folder_prepare(const char *folder, const struct ref *owner)
{
    char text[REF_TEXT_MAX], *note = NULL;
    const struct slice id = { text, ref_print(owner, text) };
    int err = path_in(folder, OWNER_NOTE, &note);
    if (err != OK) return err;
    int his = note_read(note, id);
    if (his < 0) err = his;
    if (his == 0 && access(note, F_OK) == 0) err = folder_forget(folder);
    if (err == OK) err = folder_make(folder);
    if (err == OK && his == 0) err = note_write(note, id);
    free(note);
    return err;
}

/* ---- the log ------------------------------------------------------------------------------------------------------ */

static struct log *owner_below(void *ctx)
{
    const struct owner *owner = ctx;
    return flume_log(owner->base->flume);
}

static int64_t owner_look(void *ctx)
{
    const struct owner *owner = ctx;
    return flume_head(owner->base->flume);
}

static int owner_open_log(void *ctx, struct log **ret_log)
{
    struct owner *owner = ctx;
    const struct log_opened_options options = {
        .below = owner_below,
        .look = owner_look,
        .ctx = owner,
        .key = owner->key,
        .reader = &owner->base->keys->id,
        .folder = owner->folder,
    };
    return log_opened_open(&options, ret_log);
}

/* While the views of everybody are built, the owner's wait: both at once would take as long, and each of them longer. */
static bool owner_yields(void *ctx)
{
    const struct owner *owner = ctx;
    struct flume *flume = owner->base->flume;
    return log_durable(flume_log(flume)) - flume_since(flume, VIEWS_ALL & ~flume_resting(flume)) > OWNER_YIELDS &&
           flume_failure(flume) == OK;
}

static int owner_open_flume(struct owner *owner)
{
    const struct flume_options options = {
        .open_log = owner_open_log,
        .open_ctx = owner,
        .follow_path = "",
        .views_dir = owner->folder,
        .yields = owner_yields,
        .yields_ctx = owner,
        .on_event = wake_event,
        .event_ctx = &owner->wake,
    };
    return flume_open(&options, &owner->server.flume);
}

/* ---- open and close ------------------------------------------------------------------------------------------------- */

static int owner_open_key(struct owner *owner)
{
    owner->key = sodium_malloc(sizeof *owner->key);
    if (owner->key == NULL) return err_set(ERR_NOMEM, "no guarded memory for a secret");
    int err = box1_key_of(owner->base->keys->secret, owner->key);
    if (err == OK) (void)sodium_mprotect_readonly(owner->key);
    return err;
}

int owner_open(struct server *base, const char *views_path, struct owner **ret_owner)
{
    struct owner *owner = calloc(1, sizeof *owner);
    if (owner == NULL) return err_set(ERR_NOMEM, "out of memory");
    owner->base = base;
    owner->server.config = base->config;
    owner->server.access = base->access;
    owner->server.keys = base->keys;
    owner->server.owned = base->owned;
    owner->server.started_ms = base->started_ms;
    owner->server.tag_seed = base->tag_seed;
    owner->server.routes = base->routes;
    owner->server.base = base;
    wake_init(&owner->wake);
    owner->wake.quiet = true;
    int err = path_in(views_path, "private", &owner->folder);
    if (err == OK) err = folder_prepare(owner->folder, &base->keys->id);
    if (err == OK) err = owner_open_key(owner);
    if (err == OK) err = plain_open(&owner->server.plain);
    if (err == OK) err = owner_open_flume(owner);
    if (err == OK)
        *ret_owner = owner;
    else
        owner_close(owner);
    return err;
}

void owner_close(struct owner *owner)
{
    if (owner == NULL) return;
    flume_close(owner->server.flume);
    plain_free(owner->server.plain);
    sodium_free(owner->key);
    free(owner->folder);
    free(owner);
}

struct server *owner_server(struct owner *owner)
{
    return &owner->server;
}

void owner_attach(struct owner *owner, struct http *http, struct ws *ws)
{
    if (owner != NULL) wake_attach(&owner->wake, owner->server.flume, http, ws);
}

void owner_detach(struct owner *owner)
{
    if (owner != NULL) wake_detach(&owner->wake);
}
