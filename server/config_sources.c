#include "server/config_table.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"

#define TEST_PREFIX "SLUICE_TEST_" /* the tests' own; not meant for the program */

/* ---- command line ---- */

static int unknown_option(const struct config_loader *loader, const char *word, size_t len)
{
    const char *command = config_command_name(loader->command);
    return err_set(ERR_ARG, "unknown option %.*s; see `sluice %s --help`", (int)(len < 100 ? len : 100), word, command);
}

static int foreign_option(const struct config_loader *loader, const struct config_option *option)
{
    char others[128] = "";
    for (unsigned bit = 1; bit <= CONFIG_HEALTHCHECK; bit <<= 1) {
        if ((option->commands & bit) == 0) continue;
        size_t used = strlen(others);
        (void)snprintf(others + used, sizeof others - used, "%s`sluice %s`", used > 0 ? ", " : "",
                       config_command_name((enum config_command)bit));
    }
    return err_set(ERR_ARG, "--%s belongs to %s, not to `sluice %s`; see `sluice %s --help`", option->name, others,
                   config_command_name(loader->command), config_command_name(loader->command));
}

/* Takes the option at argv[*at] with its value, and moves *at past both. */
static int line_option(struct config_loader *loader, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    size_t len = strcspn(word, "=");
    const struct config_option *option = len > 2 && word[1] == '-' ? config_option_named(word + 2, len - 2) : NULL;
    if (strcmp(word, "-h") == 0) option = config_option_named("help", 4);
    if (option == NULL) return unknown_option(loader, word, len);
    if ((option->commands & (unsigned)loader->command) == 0) return foreign_option(loader, option);

    const char *value = "true";
    *at += 1;
    if (word[len] == '=') {
        value = word + len + 1;
    } else if (option->kind != CONFIG_FLAG) {
        if (*at >= argc) return err_set(ERR_ARG, "%s needs a value: %s %s", word, word, option->argument);
        value = argv[(*at)++];
    }
    char where[CONFIG_VARIABLE_MAX];
    (void)snprintf(where, sizeof where, "--%s", option->name);
    return config_set(loader, option, CONFIG_LINE, where, value);
}

static int line_argument(struct config *config, const char *word)
{
    char **grown = realloc(config->arguments, (config->argument_count + 1) * sizeof *grown);
    if (grown == NULL) return err_set(ERR_NOMEM, "out of memory");
    config->arguments = grown;
    char *copy = strdup(word);
    if (copy == NULL) return err_set(ERR_NOMEM, "out of memory");
    config->arguments[config->argument_count++] = copy;
    return OK;
}

int config_read_line(struct config_loader *loader, int argc, char **argv)
{
    bool options = true;
    int err = OK;
    for (int at = 0; err == OK && at < argc;) {
        const char *word = argv[at];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            at++;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            err = line_option(loader, argc, argv, &at);
        } else {
            err = line_argument(loader->config, word);
            at++;
        }
    }
    return err;
}

/* ---- environment ---- */

static const struct config_option *option_of_variable(const char *name, size_t len)
{
    char variable[CONFIG_VARIABLE_MAX];
    for (const struct config_option *option = config_table; option->name != NULL; option++) {
        config_variable(option, variable);
        if (!option->line_only && strlen(variable) == len && memcmp(variable, name, len) == 0) return option;
    }
    return NULL;
}

/* Several values of a list stand in one variable, parted by commas. */
static int set_list(struct config_loader *loader, const struct config_option *option, const char *where,
                    const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL) return err_set(ERR_NOMEM, "out of memory");
    int err = OK;
    char *rest = NULL;
    for (char *word = strtok_r(copy, ",", &rest); err == OK && word != NULL; word = strtok_r(NULL, ",", &rest))
        err = config_set(loader, option, CONFIG_ENVIRONMENT, where, word);
    free(copy);
    return err;
}

/* Kubernetes, as links of Docker did, tells every container where a service is that is called sluice: that is no mistake of anybody. */
static bool variable_of_service(const char *name, size_t len, const char *value)
{
    static const char port[] = "_PORT";
    const char *at = memmem(name, len, "_SERVICE_", 9), *end = name + len;
    if (at != NULL && (strncmp(at, "_SERVICE_HOST=", 14) == 0 || strncmp(at, "_SERVICE_PORT", 13) == 0)) return true;
    at = memmem(name, len, port, sizeof port - 1);
    if (at == NULL) return false;
    at += sizeof port - 1;
    return at == end ? strstr(value, "://") != NULL : at + 1 < end && at[0] == '_' && at[1] >= '0' && at[1] <= '9';
}

static int read_variable(struct config_loader *loader, const char *entry)
{
    size_t len = strcspn(entry, "=");
    const struct config_option *option = option_of_variable(entry, len);
    if (option == NULL && entry[len] == '=' && variable_of_service(entry, len, entry + len + 1)) return OK;
    if (option == NULL)
        return err_set(ERR_ARG, "the environment variable %.*s belongs to no option; see `sluice %s --help`",
                       (int)(len < 100 ? len : 100), entry, config_command_name(loader->command));
    /* Compose files hand on unset variables as empty ones. A variable of another command's option is no mistake either. */
    if (entry[len] == '\0' || entry[len + 1] == '\0' || (option->commands & (unsigned)loader->command) == 0) return OK;
    char where[CONFIG_VARIABLE_MAX];
    config_variable(option, where);
    const char *value = entry + len + 1;
    return option->kind == CONFIG_LIST ? set_list(loader, option, where, value)
                                       : config_set(loader, option, CONFIG_ENVIRONMENT, where, value);
}

int config_read_environment(struct config_loader *loader)
{
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, "SLUICE_", 7) != 0 || strncmp(*entry, TEST_PREFIX, sizeof TEST_PREFIX - 1) == 0) continue;
        int err = read_variable(loader, *entry);
        if (err != OK) return err;
    }
    return OK;
}

/* ---- file ---- */

static int set_json(struct config_loader *loader, const struct config_option *option, const char *where,
                    const json_t *value)
{
    char number[32];
    const char *text = NULL;
    if (json_is_string(value)) {
        text = json_string_value(value);
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "true" : "false";
    } else if (json_is_integer(value)) {
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = number;
    } else {
        return err_set(ERR_ARG, "%s: give a string, a whole number, true or false%s", where,
                       option->kind == CONFIG_LIST ? ", or an array of strings" : "");
    }
    return config_set(loader, option, CONFIG_FILE, where, text);
}

static int set_member(struct config_loader *loader, const char *path, const char *key, const json_t *value)
{
    const struct config_option *option = config_option_named(key, strlen(key));
    if (option == NULL || option->line_only)
        return err_set(ERR_ARG, "%s: unknown key \"%.100s\"; see `sluice %s --help`", path, key,
                       config_command_name(loader->command));
    if ((option->commands & (unsigned)loader->command) == 0 || strcmp(key, "config") == 0) return OK;
    char where[400];
    (void)snprintf(where, sizeof where, "%.300s: %s", path, key);
    if (option->kind != CONFIG_LIST || !json_is_array(value)) return set_json(loader, option, where, value);
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(value, i, item)
    {
        int err = set_json(loader, option, where, item);
        if (err != OK) return err;
    }
    return OK;
}

int config_read_file(struct config_loader *loader, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return err_errno(path, "open");
    json_error_t error;
    json_t *doc = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    (void)fclose(file);
    if (doc == NULL) return err_set(ERR_ARG, "%s: line %d: %s", path, error.line, error.text);

    int err = OK;
    if (!json_is_object(doc)) err = err_set(ERR_ARG, "%s: a JSON object of options is wanted", path);
    const char *key = NULL;
    json_t *value = NULL;
    if (err == OK) {
        json_object_foreach(doc, key, value)
        {
            err = set_member(loader, path, key, value);
            if (err != OK) break;
        }
    }
    json_decref(doc);
    return err;
}
