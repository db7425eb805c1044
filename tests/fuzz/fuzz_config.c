/* A configuration file of any bytes, or (after an odd first byte) a command line with a word on each line: an error with a sentence, or options
 * that all keep to their table. Run with tests/fuzz/corpus/config. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config_table.h"
#include "store/err.h"
#include "tests/support/scratch.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;
static char path[SCRATCH_PATH];

static void must(bool right, const char *what, const char *option)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_config: %s: %s (%s)\n", what, option, err_detail(OK));
    abort();
}

static void folder_remove(void)
{
    scratch_remove(folder);
}

static void folder_make(void)
{
    if (folder != NULL) return;
    folder = scratch_make();
    scratch_path(folder, "config.json", path);
    (void)atexit(folder_remove);
}

static bool word_of(const char *words, const char *word)
{
    char all[256], *rest = NULL;
    (void)snprintf(all, sizeof all, "%s", words);
    for (const char *at = strtok_r(all, "|", &rest); at != NULL; at = strtok_r(NULL, "|", &rest))
        if (strcmp(at, word) == 0) return true;
    return false;
}

static void check_list(const struct config *config, const struct config_option *option)
{
    const char *const *items = (const void *)((const char *)config + option->at);
    const size_t *count = (const void *)((const char *)config + option->count_at);
    must(*count <= option->count_max, "more than the most", option->name);
    for (size_t i = 0; i < *count; i++)
        must(items[i] != NULL && items[i][0] != '\0', "an empty entry", option->name);
}

static void check_option(const struct config *config, const struct config_option *option)
{
    const void *member = (const char *)config + option->at;
    const char *const *text = member;
    const int64_t *number = member;
    if ((option->commands & CONFIG_SERVE) == 0) return;
    switch (option->kind) {
    case CONFIG_NUMBER: must(*number >= option->min && *number <= option->max, "out of range", option->name); break;
    case CONFIG_LIST: check_list(config, option); break;
    case CONFIG_TEXT: must(*text == NULL || (*text)[0] != '\0', "empty", option->name); break;
    case CONFIG_CHOICE:
        must(*text == NULL || word_of(option->argument, *text), "none of its words", option->name);
        break;
    case CONFIG_FLAG: break;
    }
}

static void check(int err, struct config *config)
{
    must(err == OK || err == ERR_ARG, "an odd error", err_name(err));
    if (err != OK) must(err_detail(err)[0] != '\0', "no sentence", "");
    bool all = err == OK && !config->help && !config->version;
    for (const struct config_option *option = config_table; all && option->name != NULL; option++)
        check_option(config, option);
    config_free(config);
}

static void read_file(const uint8_t *data, size_t size)
{
    static char option[] = "--config";
    char *words[] = { option, path, NULL };
    struct config config;
    scratch_write(path, size > 0 ? (const void *)data : "", size);
    int err = config_load(CONFIG_SERVE, 2, words, &config);
    check(err, &config);
}

static void read_line(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX + 1], *rest = NULL;
    int count = 0;
    struct config config;
    char *text = malloc(size + 1);
    if (text == NULL) return;
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *word = strtok_r(text, "\n", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    words[count] = NULL;
    int err = config_load(CONFIG_SERVE, count, words, &config);
    check(err, &config);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536) return 0;
    folder_make();
    if (data[0] % 2 == 0)
        read_file(data + 1, size - 1);
    else if (memmem(data, size, "--config", 8) == NULL) /* it would open whatever file the words name */
        read_line(data + 1, size - 1);
    return 0;
}
