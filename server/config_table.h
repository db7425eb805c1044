/* The one table behind config.h, and the one function that sets an option: used by the sources and the help text only. */
#ifndef SERVER_CONFIG_TABLE_H
#define SERVER_CONFIG_TABLE_H

#include "server/config.h"

enum config_kind {
    CONFIG_TEXT,   /* char * */
    CONFIG_LIST,   /* array of char *, may be given several times */
    CONFIG_FLAG,   /* bool */
    CONFIG_NUMBER, /* int64_t */
    CONFIG_CHOICE, /* char *, one of `argument`'s words */
};

struct config_option {
    const char *name;
    enum config_kind kind;
    unsigned commands;    /* enum config_command, or-ed */
    size_t at;            /* in struct config */
    size_t count_at;      /* lists: where the number of entries stands */
    size_t count_max;     /* lists */
    const char *fallback; /* NULL = none */
    int64_t min, max;     /* numbers */
    bool bytes;           /* numbers: K, M and G may follow */
    bool line_only;       /* on the command line only */
    bool where;           /* names the log: two of these from one source contradict each other */
    const char *argument; /* as the help shows it; the words of a choice, parted by '|' */
    const char *help;
};

#define CONFIG_OPTIONS_MAX 64
extern const struct config_option config_table[]; /* ended by a NULL name */

/* NULL if there is none. `len` bytes of `name`. */
const struct config_option *config_option_named(const char *name, size_t len);

/* Later ones win over earlier ones. */
enum config_source { CONFIG_UNSET, CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_LINE };

struct config_loader {
    struct config *config;
    enum config_command command;
    uint8_t set_by[CONFIG_OPTIONS_MAX]; /* enum config_source, by place in the table */
};

/* Sets one option, or adds to a list. Does nothing when a later source has set it. `where` names the option in the words of its source ("--limit",
 * "SLUICE_LIMIT") for the error text. ERR_ARG, ERR_NOMEM. */
int config_set(struct config_loader *loader, const struct config_option *option, enum config_source source,
               const char *where, const char *value);

/* Each reads one source into the loader. OK, ERR_ARG, ERR_NOMEM; the file also ERR_NOFILE, ERR_PERM, ERR_IO. */
int config_read_line(struct config_loader *loader, int argc, char **argv);
int config_read_environment(struct config_loader *loader);
int config_read_file(struct config_loader *loader, const char *path);

/* A number as its sources spell it ("8M"); false if it is none or outside the option's limits. */
bool config_number(const struct config_option *option, const char *text, int64_t *ret_number);

/* "serve" for CONFIG_SERVE. */
const char *config_command_name(enum config_command command);

/* "SLUICE_PORT_FILE" for "port-file"; `out` holds CONFIG_VARIABLE_MAX. */
#define CONFIG_VARIABLE_MAX 64
void config_variable(const struct config_option *option, char out[CONFIG_VARIABLE_MAX]);

#endif
