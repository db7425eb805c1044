#include "server/config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config_table.h"
#include "store/err.h"
#include "store/fnv.h"

static void *member(struct config *config, size_t at)
{
    return (char *)config + at;
}

/* ---- setting one option ---- */

static int set_text(char **text, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL) return err_set(ERR_NOMEM, "out of memory");
    free(*text);
    *text = copy;
    return OK;
}

static void list_clear(struct config *config, const struct config_option *option)
{
    char **items = member(config, option->at);
    size_t *count = member(config, option->count_at);
    for (size_t i = 0; i < *count; i++) {
        free(items[i]);
        items[i] = NULL;
    }
    *count = 0;
}

static int list_add(struct config *config, const struct config_option *option, const char *where, const char *value)
{
    char **items = member(config, option->at);
    size_t *count = member(config, option->count_at);
    if (*count >= option->count_max)
        return err_set(ERR_ARG, "%s: more than %zu of them; \"%s\" is one too many", where, option->count_max, value);
    int err = set_text(&items[*count], value);
    if (err == OK) *count += 1;
    return err;
}

static int set_flag(bool *flag, const char *where, const char *value)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *flag = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *flag = false;
    else
        return err_set(ERR_ARG, "%s: \"%.100s\" is neither true nor false", where, value);
    return OK;
}

static bool choice_has(const char *words, const char *value)
{
    size_t len = strlen(value);
    for (const char *at = words; *at != '\0';) {
        size_t word = strcspn(at, "|");
        if (word == len && memcmp(at, value, len) == 0) return true;
        at += word + (at[word] == '|');
    }
    return false;
}

static int64_t unit_of(char suffix)
{
    switch (suffix) {
    case 'K':
    case 'k': return INT64_C(1) << 10;
    case 'M':
    case 'm': return INT64_C(1) << 20;
    case 'G':
    case 'g': return INT64_C(1) << 30;
    default: return 0;
    }
}

bool config_number(const struct config_option *option, const char *value, int64_t *ret_number)
{
    if (value[0] < '0' || value[0] > '9') return false;
    char *end = NULL;
    errno = 0;
    int64_t number = strtoll(value, &end, 10);
    if (errno != 0) return false;
    if (option->bytes && *end != '\0') {
        int64_t unit = unit_of(*end++);
        if (unit == 0 || number > INT64_MAX / unit) return false;
        number *= unit;
    }
    if (*end != '\0' || number < option->min || number > option->max) return false;
    *ret_number = number;
    return true;
}

static int set_number(struct config *config, const struct config_option *option, const char *where, const char *value)
{
    if (config_number(option, value, member(config, option->at))) return OK;
    return err_set(ERR_ARG, "%s: \"%.100s\" is not a whole number from %" PRId64 " to %" PRId64 "%s", where, value,
                   option->min, option->max, option->bytes ? " (K, M or G may follow)" : "");
}

static int set_value(struct config *config, const struct config_option *option, const char *where, const char *value)
{
    switch (option->kind) {
    case CONFIG_FLAG: return set_flag(member(config, option->at), where, value);
    case CONFIG_NUMBER: return set_number(config, option, where, value);
    case CONFIG_CHOICE:
        if (!choice_has(option->argument, value))
            return err_set(ERR_ARG, "%s: \"%.100s\" is not one of %s", where, value, option->argument);
        return set_text(member(config, option->at), value);
    case CONFIG_LIST:
    case CONFIG_TEXT: break;
    }
    if (value[0] == '\0') return err_set(ERR_ARG, "%s: an empty value", where);
    return option->kind == CONFIG_LIST ? list_add(config, option, where, value)
                                       : set_text(member(config, option->at), value);
}

/* --follow, --data and --log exclude each other: twice from one source is a contradiction, from two the later source wins. */
static int settle_where(struct config_loader *loader, const struct config_option *option, enum config_source source,
                        bool *ret_skip)
{
    for (const struct config_option *other = config_table; other->name != NULL; other++) {
        if (!other->where || other == option) continue;
        enum config_source by = loader->set_by[other - config_table];
        if (by == source)
            return err_set(ERR_ARG, "--%s and --%s contradict each other: give one", other->name, option->name);
        if (by > source) *ret_skip = true;
    }
    return OK;
}

int config_set(struct config_loader *loader, const struct config_option *option, enum config_source source,
               const char *where, const char *value)
{
    uint8_t *set_by = &loader->set_by[option - config_table];
    bool skip = *set_by > source;
    if (option->where && !skip) {
        int err = settle_where(loader, option, source, &skip);
        if (err != OK) return err;
    }
    if (skip) return OK;
    if (option->kind == CONFIG_LIST && *set_by != source) list_clear(loader->config, option);
    int err = set_value(loader->config, option, where, value);
    if (err == OK) *set_by = (uint8_t)source;
    return err;
}

/* ---- all of them ---- */

static int set_defaults(struct config_loader *loader)
{
    for (const struct config_option *option = config_table; option->name != NULL; option++) {
        if (option->fallback == NULL) continue;
        int err = config_set(loader, option, CONFIG_DEFAULT, option->name, option->fallback);
        if (err != OK) return err;
    }
    return OK;
}

int config_load(enum config_command command, int argc, char **argv, struct config *ret_config)
{
    *ret_config = (struct config){ 0 };
    struct config_loader loader = { .config = ret_config, .command = command };
    int err = config_read_line(&loader, argc, argv);
    if (err != OK || ret_config->help || ret_config->version) return err;
    err = config_read_environment(&loader);
    if (err == OK && ret_config->config != NULL) err = config_read_file(&loader, ret_config->config);
    return err == OK ? set_defaults(&loader) : err;
}

void config_free(struct config *config)
{
    for (const struct config_option *option = config_table; option->name != NULL; option++) {
        if (option->kind == CONFIG_LIST) list_clear(config, option);
        if (option->kind != CONFIG_TEXT && option->kind != CONFIG_CHOICE) continue;
        char **text = member(config, option->at);
        free(*text);
        *text = NULL;
    }
    for (size_t i = 0; i < config->argument_count; i++)
        free(config->arguments[i]);
    free(config->arguments);
    config->arguments = NULL;
    config->argument_count = 0;
}

/* ---- help ---- */

static void help_option(const struct config_option *option)
{
    char left[80];
    (void)snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
                   option->argument != NULL ? option->argument : "");
    printf("  %-30s %s", left, option->help);
    if (option->kind == CONFIG_NUMBER)
        printf(" (%s; %" PRId64 " to %" PRId64 ")", option->fallback, option->min, option->max);
    else if (option->fallback != NULL)
        printf(" (default %s)", option->fallback);
    putchar('\n');
}

static void help_section(enum config_command command, bool numbers)
{
    for (const struct config_option *option = config_table; option->name != NULL; option++) {
        if ((option->commands & (unsigned)command) != 0 && (option->kind == CONFIG_NUMBER) == numbers)
            help_option(option);
    }
}

void config_help(enum config_command command)
{
    puts("Options:");
    help_section(command, false);
    if (command == CONFIG_SERVE) {
        puts("\nLimits (default; least to most):");
        help_section(command, true);
    }
    puts("\nEvery option is also an environment variable (--port-file is SLUICE_PORT_FILE; lists are parted by commas) "
         "and a\n"
         "key of the --config file. The command line wins over the environment, the environment over the file.");
}

/* ---- where views live ---- */

/* The folder that holds what programs keep for a user; NULL if nobody knows. Caller frees. */
static char *data_home(void)
{
    const char *xdg = getenv("XDG_DATA_HOME");
    if (xdg != NULL && xdg[0] == '/') return strdup(xdg);
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        const struct passwd *user = getpwuid(getuid());
        home = user != NULL ? user->pw_dir : NULL;
    }
    char *folder = NULL;
    if (home == NULL || asprintf(&folder, "%s/.local/share", home) < 0) return NULL;
    return folder;
}

/* The last two parts of the path, as far as they make a good file name: "flume-log.offset". */
static void readable_name(const char *path, char *out, size_t size)
{
    const char *from = path + strlen(path);
    for (int slashes = 0; from > path; from--) {
        if (from[-1] == '/' && ++slashes == 2) break;
    }
    size_t len = 0;
    for (; *from != '\0' && len + 1 < size; from++) {
        bool plain = (*from >= 'a' && *from <= 'z') || (*from >= 'A' && *from <= 'Z') ||
                     (*from >= '0' && *from <= '9') || *from == '.' || *from == '_';
        if (plain || len > 0) out[len++] = plain ? *from : '-';
    }
    out[len] = '\0';
}

char *config_default_views(const char *log_path)
{
    char *real = realpath(log_path, NULL);
    char *home = data_home();
    char *views = NULL;
    const char *path = real != NULL ? real : log_path;
    if (home != NULL) {
        char name[64];
        readable_name(path, name, sizeof name);
        uint64_t hash = fnv_add(FNV_START, path, strlen(path));
        if (asprintf(&views, "%s/sluice/%s-%016" PRIx64, home, name, hash) < 0) views = NULL;
    }
    free(home);
    free(real);
    return views;
}
