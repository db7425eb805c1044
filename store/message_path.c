#include <stdlib.h>

#include "store/err.h"
#include "store/json_walk.h"
#include "store/message.h"

/* The way down to where a walk stands: what was last entered in each open container. */
struct path_step {
    const char *key; /* behind the opening quote; NULL in an array */
    uint32_t len;
    uint32_t item; /* elements begun so far */
};

struct path {
    const char *target;
    bool found;
    size_t depth;
    struct path_step *steps; /* JSON_DEPTH_MAX of them */
};

static bool path_open(void *ctx, bool object)
{
    struct path *path = ctx;
    (void)object;
    path->steps[path->depth++] = (struct path_step){ .key = NULL };
    return true;
}

static bool path_close(void *ctx, bool object)
{
    struct path *path = ctx;
    (void)object;
    path->depth--;
    return true;
}

static bool path_key(void *ctx, const char *p, const char *end, bool escaped)
{
    struct path *path = ctx;
    (void)escaped;
    path->steps[path->depth - 1].key = p;
    path->steps[path->depth - 1].len = (uint32_t)(end - p);
    return true;
}

static bool path_item(void *ctx)
{
    struct path *path = ctx;
    path->steps[path->depth - 1].item++;
    return true;
}

static bool path_string(void *ctx, const char *p, const char *end, bool escaped)
{
    struct path *path = ctx;
    (void)end;
    (void)escaped;
    path->found = p - 1 == path->target;
    return !path->found;
}

/* A key as one step of a JSON Pointer, with ~ and / escaped in place. */
static int path_put_key(const struct path_step *step, struct buf *out)
{
    size_t from = out->len, marks = 0;
    int err = json_unescape((struct slice){ step->key, step->len }, out);
    if (err != OK) return err;
    for (size_t i = from; i < out->len; i++)
        marks += out->data[i] == '~' || out->data[i] == '/';
    if (marks == 0) return OK;
    err = buf_reserve(out, marks);
    if (err != OK) return err;
    size_t to = out->len + marks;
    for (size_t i = out->len; marks > 0; i--) {
        char c = out->data[i - 1];
        bool mark = c == '~' || c == '/';
        out->data[--to] = !mark ? c : c == '~' ? '0' : '1';
        if (!mark) continue;
        out->data[--to] = '~';
        out->len++;
        marks--;
    }
    return OK;
}

static int path_put(const struct path *path, struct buf *out)
{
    for (size_t i = 0; i < path->depth; i++) {
        buf_putc(out, '/');
        int err = path->steps[i].key != NULL ? path_put_key(&path->steps[i], out)
                                             : buf_put_int(out, (int64_t)path->steps[i].item - 1);
        if (err != OK) return err;
    }
    return out->err;
}

int message_ref_path(const struct message *message, size_t i, struct buf *out)
{
    static const struct json_visitor visitor = {
        .open = path_open, .close = path_close, .key = path_key, .item = path_item, .string = path_string
    };
    if (i >= message->ref_count) return err_set(ERR_ARG, "path of reference %zu of %zu", i, message->ref_count);
    struct path path = { .target = message->record.data + message->refs[i].at };
    path.steps = malloc(JSON_DEPTH_MAX * sizeof *path.steps);
    if (path.steps == NULL) return err_set(ERR_NOMEM, "path of a reference");
    const char *content = message->content.data;
    (void)json_walk(content, content + message->content.len, JSON_DEPTH_MAX, &visitor, &path);
    int err = path.found ? path_put(&path, out) : err_set(ERR_ARG, "the record changed since it was scanned");
    free(path.steps);
    return err;
}
