/* Everything that can be configured: one table (config_table in config.c) of names, kinds, defaults, limits and help texts. From it come the
 * command line (--name VALUE), the environment (SLUICE_NAME), the configuration file (JSON object, "name": value) and --help.
 * Later sources win: defaults, file, environment, command line. An unknown option or key is an error. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_LISTEN_MAX 8
#define CONFIG_NAMES_MAX 32

struct config {
    /* where the records are */
    char *follow; /* a log that another process writes */
    char *data;   /* a folder of our own: DIR/log.offset */
    char *log;    /* a log file to look at (cat, get, views) */
    char *views;
    char *blobs;
    char *codec;  /* auto, 32, 48, 53, v2 */
    char *accept; /* ssb, any */
    char *config; /* the file itself */

    /* serve */
    char *listen[CONFIG_LISTEN_MAX];
    size_t listen_count;
    char *port_file;
    char *token_file; /* one token a line; needed for every request if given */
    bool public_read; /* --public: anybody may read public messages, nothing else */
    char *secret;     /* the owner's secret file (store/keys.h) */
    bool publish;     /* POST /publish */
    bool sole_signer; /* nobody else signs with the secret, says whoever started the server */
    char *node_socket;
    char *allow_host[CONFIG_NAMES_MAX];
    size_t allow_host_count;
    char *allow_origin[CONFIG_NAMES_MAX];
    size_t allow_origin_count;

    /* limits (all in the table with defaults, minimum and maximum) */
    int64_t body_max;   /* bytes of a request body */
    int64_t batch_max;  /* messages in one POST /log */
    int64_t target_max; /* bytes of a request target */
    int64_t connections_max;
    int64_t connections_per_address;
    int64_t idle_timeout;      /* seconds */
    int64_t header_timeout;    /* seconds until a request line and headers are whole */
    int64_t wait_timeout;      /* seconds that a view may take to be fresh */
    int64_t query_timeout;     /* seconds that a query may look for its next row */
    int64_t stall_timeout;     /* seconds that a WebSocket client may take nothing */
    int64_t node_timeout;      /* seconds that the node may take to publish */
    int64_t limit_max;         /* rows of a JSON page */
    int64_t heartbeat;         /* seconds between signs of life on an idle stream */
    int64_t streams_max;       /* live HTTP streams at once */
    int64_t sockets_max;       /* WebSocket clients at once */
    int64_t subscriptions_max; /* per WebSocket */
    int64_t frame_max;         /* bytes of a message from a WebSocket client */
    int64_t buffered_max;      /* bytes of bodies and answers in memory, of all clients */
    int64_t blob_max;          /* bytes of a blob that is added */
    int64_t blob_wait_max;     /* seconds that a request may wait for a blob */
    int64_t blob_waits_max;    /* requests that wait for blobs at once */
    int64_t http_threads;
    int64_t query_threads;
    int64_t queries_max; /* that take long, at once */
    int64_t queries_per_address;

    /* commands */
    bool trust; /* import: signatures are not checked */
    bool reverse, live;
    char *gt, *gte, *lt, *lte, *limit;
    char *rebuild;             /* views: NAME or all */
    char *url;                 /* healthcheck */
    bool repair, dry_run, yes; /* verify */
    bool help, version;

    char **arguments; /* what is not an option: FILE, SEQ|ID */
    size_t argument_count;
};

/* Which command an option belongs to; an option of another command is an error that says so. */
enum config_command {
    CONFIG_SERVE = 1,
    CONFIG_IMPORT = 2,
    CONFIG_CAT = 4,
    CONFIG_GET = 8,
    CONFIG_VIEWS = 16,
    CONFIG_VERIFY = 32,
    CONFIG_HEALTHCHECK = 64,
};

/* Fills ret_config for `command` from all sources; argv[0] is the first word after the command. OK, or ERR_ARG with a sentence in the detail. The
 * caller frees with config_free, after an error too. */
int config_load(enum config_command command, int argc, char **argv, struct config *ret_config);
void config_free(struct config *config);

/* The options of a command as help text, to stdout. */
void config_help(enum config_command command);

/* $XDG_DATA_HOME or ~/.local/share, then "/sluice/" and a name made of the log's path: where a followed log's views live. Caller frees. */
char *config_default_views(const char *log_path);

#endif
