#include "store/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERR_TEXT_MAX 512

static _Thread_local struct {
    int code;
    char text[ERR_TEXT_MAX];
} err_last;

const char *err_text(int code)
{
    switch (code) {
    case OK: return "no error";
#define ERR_CASE(name, number, text) \
    case name: return text;
        ERR_LIST(ERR_CASE)
#undef ERR_CASE
    default: return "unknown error";
    }
}

const char *err_name(int code)
{
    switch (code) {
    case OK: return "OK";
#define ERR_CASE(name, number, text) \
    case name: return #name;
        ERR_LIST(ERR_CASE)
#undef ERR_CASE
    default: return "ERR_UNKNOWN";
    }
}

int err_set(int code, const char *fmt, ...)
{
    /* The new text may quote the old one (err_set(code, "…: %s", err_detail(code))): print beside it first. */
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    memcpy(err_last.text, text, sizeof text);
    err_last.code = code;
    return code;
}

static int err_of_errno(int number)
{
    switch (number) {
    case ENOMEM: return ERR_NOMEM;
    case ENOSPC:
    case EFBIG: /* a limit on the size of files: room that somebody can give */
    case EDQUOT: return ERR_NOSPACE;
    case ENOENT:
    case ENOTDIR: return ERR_NOFILE;
    case EACCES:
    case EPERM:
    case EROFS: return ERR_PERM;
    default: return ERR_IO;
    }
}

int err_errno(const char *path, const char *doing)
{
    int number = errno;
    return err_set(err_of_errno(number), "%s: %s: %s", path, doing, strerror(number));
}

const char *err_detail(int code)
{
    return err_last.code == code && err_last.text[0] != '\0' ? err_last.text : err_text(code);
}
