#include "server/cli_common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "server/cli.h"
#include "server/diag.h"
#include "server/version.h"
#include "store/err.h"

/* ---- ends ---- */

int cli_exit_code(int err)
{
    switch ((enum err)err) {
    case OK: return EX_OK;
    case ERR_ARG:
    case ERR_REF: return EX_USAGE;
    case ERR_CORRUPT:
    case ERR_FORMAT:
    case ERR_LIMIT:
    case ERR_JSON:
    case ERR_INVALID:
    case ERR_FORK: return EX_DATAERR;
    case ERR_NOFILE: return EX_NOINPUT;
    case ERR_NOSEQ:
    case ERR_BOUNDARY:
    case ERR_DELETED:
    case ERR_NOTFOUND: return EX_UNAVAILABLE;
    case ERR_NOMEM: return EX_OSERR;
    case ERR_IO:
    case ERR_NOSPACE: return EX_IOERR;
    case ERR_BUSY:
    case ERR_TIMEOUT:
    case ERR_CLOSED:
    case ERR_CHANGED:
    case ERR_SLOW:
    case ERR_STALE:
    case ERR_SHARE:
    case ERR_QUEUE: return EX_TEMPFAIL;
    case ERR_PERM:
    case ERR_READONLY: return EX_NOPERM;
    }
    return EX_SOFTWARE;
}

int cli_fail(const char *command, int err)
{
    fprintf(stderr, "sluice %s: %s\n", command, err_detail(err));
    return cli_exit_code(err);
}

int cli_usage(const char *command, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "sluice %s: ", command);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "; see `sluice %s --help`\n", command);
    va_end(args);
    return EX_USAGE;
}

/* ---- start-up ---- */

void cli_print_version(void)
{
    puts("sluice " SLUICE_VERSION);
}

int cli_end(const char *command, int code)
{
    errno = EIO; /* of what was lost before */
    bool written = fflush(stdout) == 0 && ferror(stdout) == 0;
    /* whoever reads a part of it has what he wants; what a server says of itself may be thrown away */
    if (code != EX_OK || written || errno == EPIPE || strcmp(command, "serve") == 0) return code;
    return cli_fail(command, err_errno("standard output", "writing"));
}

static const struct cli_command *command_of(enum config_command mask)
{
    const struct cli_command *command = cli_commands;
    while (command->name != NULL && command->mask != mask)
        command++;
    return command;
}

static int help_of(const struct cli_command *command)
{
    printf("sluice %s: %s\n\nUsage: sluice %s\n\n", command->name, command->summary, command->usage);
    if (command->about[0] != '\0') printf("%s\n", command->about);
    config_help(command->mask);
    return EX_OK;
}

bool cli_begin(enum config_command mask, int argc, char **argv, size_t arguments, struct config *ret_config,
               int *ret_code)
{
    const struct cli_command *command = command_of(mask);
    int err = config_load(mask, argc, argv, ret_config);
    if (err != OK) {
        *ret_code = cli_fail(command->name, err);
    } else if (ret_config->help) {
        *ret_code = help_of(command);
    } else if (ret_config->version) {
        cli_print_version();
        *ret_code = EX_OK;
    } else if (ret_config->argument_count > arguments) {
        *ret_code = cli_usage(command->name, "\"%.100s\" is one word too many", ret_config->arguments[arguments]);
    } else if (ret_config->argument_count < arguments) {
        *ret_code = cli_usage(command->name, "something is missing: sluice %s", command->usage);
    } else {
        return true;
    }
    return false;
}

int cli_number(const char *name, const char *text, int64_t min, int64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > SEQ_MAX)
        return err_set(ERR_ARG, "%s: \"%.100s\" is not a whole number from %" PRId64 " to %" PRId64, name, text, min,
                       SEQ_MAX);
    *ret_number = number;
    return OK;
}

/* ---- logs and folders ---- */

enum log_codec cli_codec(const struct config *config)
{
    if (config->codec == NULL || strcmp(config->codec, "auto") == 0) return LOG_CODEC_AUTO;
    if (strcmp(config->codec, "v2") == 0) return LOG_CODEC_V2;
    if (strcmp(config->codec, "32") == 0) return LOG_CODEC_32;
    return strcmp(config->codec, "48") == 0 ? LOG_CODEC_48 : LOG_CODEC_53;
}

static int path_join(const char *folder, const char *name, char **ret_path)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return err_set(ERR_NOMEM, "out of memory");
    *ret_path = path;
    return OK;
}

static int path_copy(const char *path, char **ret_path)
{
    char *copy = strdup(path);
    if (copy == NULL) return err_set(ERR_NOMEM, "out of memory");
    *ret_path = copy;
    return OK;
}

int cli_log_path(const struct config *config, char **ret_path)
{
    if (config->data != NULL) return path_join(config->data, "log.offset", ret_path);
    if (config->log != NULL) return path_copy(config->log, ret_path);
    if (config->follow != NULL) return path_copy(config->follow, ret_path);
    return err_set(ERR_ARG, "which log? give --data DIR or --log FILE");
}

int cli_views_path(const struct config *config, char **ret_path)
{
    if (config->views != NULL) return path_copy(config->views, ret_path);
    if (config->data != NULL) return path_join(config->data, "views", ret_path);
    char *log_path = NULL;
    int err = cli_log_path(config, &log_path);
    if (err != OK) return err;
    char *path = config_default_views(log_path);
    free(log_path);
    if (path == NULL) return err_set(ERR_ARG, "there is no home folder to keep views in: give --views DIR");
    *ret_path = path;
    return OK;
}

int cli_blobs_path(const struct config *config, char **ret_path)
{
    if (config->blobs != NULL) return path_copy(config->blobs, ret_path);
    if (config->data != NULL) return path_join(config->data, "blobs", ret_path);
    char *folder = NULL;
    int err = cli_log_path(config, &folder);
    if (err != OK) return err;
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        free(folder);
        return path_copy("blobs", ret_path);
    }
    *slash = '\0';
    const char *name = strrchr(folder, '/');
    name = name == NULL ? folder : name + 1;
    err = path_join(folder, strcmp(name, "flume") == 0 ? "../blobs" : "blobs", ret_path);
    free(folder);
    return err;
}

int cli_open_log(const struct config *config, struct log **ret_log)
{
    char *path = NULL;
    int err = cli_log_path(config, &path);
    if (err != OK) return err;
    const struct log_offset_options options = { .path = path, .follow = true, .codec = cli_codec(config) };
    err = log_offset_open(&options, NULL, ret_log);
    free(path);
    return err;
}

int cli_make_folder(const char *path)
{
    char *copy = NULL;
    int err = path_copy(path, &copy);
    if (err != OK) return err;
    for (char *at = copy + 1; err == OK && at[-1] != '\0'; at++) {
        if (*at != '/' && *at != '\0') continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) err = err_errno(copy, "making the folder");
        *at = kept;
    }
    free(copy);
    return err;
}

int cli_source_init(const struct config *config, bool owned, struct cli_source *ret_source)
{
    *ret_source = (struct cli_source){ .owned = owned, .codec = cli_codec(config) };
    int err = cli_log_path(config, &ret_source->log_path);
    if (err == OK) err = cli_views_path(config, &ret_source->views_path);
    if (err == OK && owned) err = cli_make_folder(config->data);
    if (err != OK) cli_source_free(ret_source);
    return err;
}

void cli_source_free(struct cli_source *source)
{
    free(source->log_path);
    free(source->views_path);
    source->log_path = source->views_path = NULL;
}

int cli_source_open(void *ctx, struct log **ret_log)
{
    const struct cli_source *source = ctx;
    const struct log_offset_options options = {
        .path = source->log_path,
        .follow = !source->owned,
        .codec = source->codec,
    };
    struct log_offset_opened opened = { .cut_at = -1 };
    int err = log_offset_open(&options, &opened, ret_log);
    if (err != OK || opened.cut_at < 0 || source->quiet) return err;
    char path[DIAG_QUOTE_MAX], saved[DIAG_QUOTE_MAX];
    diag_warn("torn_tail_cut", "log=%s offset=%" PRId64 " bytes=%" PRId64 " saved=%s",
              diag_quote(source->log_path, path), opened.cut_at, opened.cut_bytes, diag_quote(opened.cut_path, saved));
    return OK;
}
