/* What the sub-commands share: the table of commands with their help, start-up, opening of the log that the options name. */
#ifndef SERVER_CLI_COMMON_H
#define SERVER_CLI_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/config.h"
#include "store/log.h"
#include "views/flume.h"

struct cli_command {
    const char *name;
    enum config_command mask;
    int (*run)(int argc, char **argv);
    const char *usage;   /* after "sluice " */
    const char *summary; /* one line */
    const char *about;   /* more, for `sluice NAME --help`; ends with a newline, may be empty */
};
extern const struct cli_command cli_commands[]; /* ended by a NULL name */

void cli_print_version(void);

/* The exit code of a command that ends with `code`: success is none where its output could not be written, which is said. Not of serve. */
int cli_end(const char *command, int code);

/* Loads the configuration and answers --help and --version. true = go on; false = the command is over with *ret_code. The
 * caller frees ret_config with config_free either way. `arguments` is how many words the command takes besides its options. */
bool cli_begin(enum config_command command, int argc, char **argv, size_t arguments, struct config *ret_config,
               int *ret_code);

/* As cli_fail with a text of its own. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole number from `min` to SEQ_MAX; ERR_ARG naming `name`. */
int cli_number(const char *name, const char *text, int64_t min, int64_t *ret_number);

enum log_codec cli_codec(const struct config *config);

/* The path of the log that --data, --log or --follow names: ERR_ARG if none is given. Caller frees. */
int cli_log_path(const struct config *config, char **ret_path);

/* --views, or DIR/views of --data, or config_default_views. Caller frees. */
int cli_views_path(const struct config *config, char **ret_path);

/* --blobs, or DIR/blobs of --data, or where the node whose log is followed keeps its own: ~/.ssb/blobs for ~/.ssb/flume/log.offset, else
 * blobs beside the log. Caller frees. */
int cli_blobs_path(const struct config *config, char **ret_path);

/* Opens that log for looking at it: never written, locked or repaired, so a server may own it. */
int cli_open_log(const struct config *config, struct log **ret_log);

/* mkdir -p with mode 0700. */
int cli_make_folder(const char *path);

/* What flume_open needs for a log that is ours (owned) or followed; `source` must outlive the flume. */
struct cli_source {
    char *log_path;
    char *views_path;
    bool owned;
    enum log_codec codec;
    bool quiet; /* cut tails are not told by diag */
};
int cli_source_init(const struct config *config, bool owned, struct cli_source *ret_source);
void cli_source_free(struct cli_source *source);
/* A flume_options.open_log; ctx is the struct cli_source. */
int cli_source_open(void *ctx, struct log **ret_log);

#endif
