#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config.h"
#include "store/err.h"

#define LOAD(command, config, ...) load(command, config, (char *[]){ __VA_ARGS__, NULL })

static int load(enum config_command command, struct config *config, char **words)
{
    int count = 0;
    while (words[count] != NULL)
        count++;
    return config_load(command, count, words, config);
}

/* The words are refused with a sentence that holds `part`. */
static void refused(enum config_command command, const char *part, char **words)
{
    struct config config;
    int err = load(command, &config, words);
    cr_assert_eq(err, ERR_ARG);
    cr_assert_not_null(strstr(err_detail(err), part), "said: %s", err_detail(err));
    config_free(&config);
}
#define REFUSED(command, part, ...) refused(command, part, (char *[]){ __VA_ARGS__, NULL })

static char *temp_file(const char *text)
{
    char *path = NULL;
    const char *folder = getenv("TMPDIR");
    cr_assert_gt(asprintf(&path, "%s/sluice-config-XXXXXX", folder != NULL ? folder : "/tmp"), 0);
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void file_refused(const char *text, const char *part)
{
    char *path = temp_file(text);
    REFUSED(CONFIG_SERVE, part, "--config", path);
    unlink(path);
    free(path);
}

Test(config, defaults_are_set)
{
    struct config config;
    cr_assert_eq(config_load(CONFIG_SERVE, 0, NULL, &config), OK);
    cr_assert_eq(config.listen_count, 1);
    cr_assert_str_eq(config.listen[0], "127.0.0.1:8990");
    cr_assert_str_eq(config.accept, "ssb");
    cr_assert_eq(config.limit_max, 1000);
    cr_assert_eq(config.body_max, 8 << 20);
    cr_assert_null(config.data);
    cr_assert_not(config.public_read);
    config_free(&config);
}

Test(config, value_stands_after_equals_or_as_next_word)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--data=a=b", "--views", "c", "--public"), OK);
    cr_assert_str_eq(config.data, "a=b");
    cr_assert_str_eq(config.views, "c");
    cr_assert(config.public_read);
    config_free(&config);
}

Test(config, last_of_repeated_options_wins)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--data", "a", "--data", "b", "--public", "--public=false"), OK);
    cr_assert_str_eq(config.data, "b");
    cr_assert_not(config.public_read);
    config_free(&config);
}

Test(config, list_given_replaces_the_default)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--listen", "[::1]:1", "--listen", "unix:/x"), OK);
    cr_assert_eq(config.listen_count, 2);
    cr_assert_str_eq(config.listen[0], "[::1]:1");
    cr_assert_str_eq(config.listen[1], "unix:/x");
    config_free(&config);
}

Test(config, list_has_an_end)
{
    REFUSED(CONFIG_SERVE, "more than 8", "--listen=1", "--listen=2", "--listen=3", "--listen=4", "--listen=5",
            "--listen=6", "--listen=7", "--listen=8", "--listen=9");
}

Test(config, words_that_are_no_options_are_arguments)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_IMPORT, &config, "--data", "d", "-", "--", "--trust"), OK);
    cr_assert_eq(config.argument_count, 2);
    cr_assert_str_eq(config.arguments[0], "-");
    cr_assert_str_eq(config.arguments[1], "--trust");
    cr_assert_not(config.trust);
    config_free(&config);
}

Test(config, unknown_option_is_named_with_a_hint)
{
    REFUSED(CONFIG_SERVE, "unknown option --foo; see `sluice serve --help`", "--foo");
    REFUSED(CONFIG_SERVE, "unknown option --foo;", "--foo=1");
    REFUSED(CONFIG_CAT, "unknown option -x; see `sluice cat --help`", "-x");
}

Test(config, option_of_another_command_says_whose_it_is)
{
    REFUSED(CONFIG_SERVE, "--rebuild belongs to `sluice views`, not to `sluice serve`", "--rebuild", "all");
    REFUSED(CONFIG_CAT, "--trust belongs to `sluice import`", "--trust");
}

Test(config, missing_and_empty_values_are_refused)
{
    REFUSED(CONFIG_SERVE, "--data needs a value", "--data");
    REFUSED(CONFIG_SERVE, "--data: an empty value", "--data=");
    REFUSED(CONFIG_SERVE, "--public: \"maybe\" is neither", "--public=maybe");
    REFUSED(CONFIG_SERVE, "\"all\" is not one of ssb|any", "--accept", "all");
    REFUSED(CONFIG_SERVE, "\"ssb|any\" is not one of", "--accept", "ssb|any");
}

Test(config, numbers_keep_to_their_range)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--limit-max", "1", "--batch-max=100000", "--wait-timeout", "0"), OK);
    cr_assert_eq(config.limit_max, 1);
    cr_assert_eq(config.batch_max, 100000);
    cr_assert_eq(config.wait_timeout, 0);
    config_free(&config);
    REFUSED(CONFIG_SERVE, "--limit-max: \"0\" is not a whole number from 1 to 100000", "--limit-max", "0");
    REFUSED(CONFIG_SERVE, "\"100001\"", "--limit-max", "100001");
    REFUSED(CONFIG_SERVE, "\"-1\"", "--limit-max", "-1");
    REFUSED(CONFIG_SERVE, "\"1.5\"", "--limit-max", "1.5");
    REFUSED(CONFIG_SERVE, "\" 1\"", "--limit-max", " 1");
    REFUSED(CONFIG_SERVE, "\"1K\"", "--limit-max", "1K");
    REFUSED(CONFIG_SERVE, "\"99999999999999999999\"", "--limit-max", "99999999999999999999");
}

Test(config, sizes_take_a_unit)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--body-max", "3m", "--frame-max=2K", "--target-max", "300"), OK);
    cr_assert_eq(config.body_max, 3 << 20);
    cr_assert_eq(config.frame_max, 2048);
    cr_assert_eq(config.target_max, 300);
    config_free(&config);
    REFUSED(CONFIG_SERVE, "--body-max: \"9999999999G\"", "--body-max", "9999999999G");
    REFUSED(CONFIG_SERVE, "--body-max: \"3X\"", "--body-max", "3X");
    REFUSED(CONFIG_SERVE, "--body-max: \"3KB\"", "--body-max", "3KB");
}

Test(config, two_places_for_the_log_contradict_each_other)
{
    REFUSED(CONFIG_SERVE, "contradict", "--follow", "a", "--data", "b");
    REFUSED(CONFIG_CAT, "contradict", "--log", "a", "--data", "b");
}

Test(config, environment_sets_options)
{
    struct config config;
    setenv("SLUICE_LISTEN", "127.0.0.1:1,unix:/x", 1);
    setenv("SLUICE_PUBLIC", "true", 1);
    setenv("SLUICE_PORT_FILE", "p", 1);
    setenv("SLUICE_VIEWS", "", 1);
    setenv("SLUICE_REBUILD", "all", 1);
    setenv("SLUICE_TEST_ANYTHING", "1", 1);
    cr_assert_eq(config_load(CONFIG_SERVE, 0, NULL, &config), OK);
    cr_assert_eq(config.listen_count, 2);
    cr_assert_str_eq(config.listen[1], "unix:/x");
    cr_assert(config.public_read);
    cr_assert_str_eq(config.port_file, "p");
    cr_assert_null(config.views, "an empty variable counts as unset");
    cr_assert_null(config.rebuild, "a variable of another command is passed over");
    config_free(&config);
}

Test(config, variables_that_kubernetes_sets_for_a_service_named_sluice_are_passed_over)
{
    static const char *const set[][2] = {
        { "SLUICE_SERVICE_HOST", "10.0.0.1" },
        { "SLUICE_SERVICE_PORT", "8990" },
        { "SLUICE_SERVICE_PORT_HTTP", "8990" },
        { "SLUICE_PORT", "tcp://10.0.0.1:8990" },
        { "SLUICE_PORT_8990_TCP", "tcp://10.0.0.1:8990" },
        { "SLUICE_PORT_8990_TCP_ADDR", "10.0.0.1" },
        { "SLUICE_API_PORT_53_UDP_PROTO", "udp" },
    };
    struct config config;
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        setenv(set[i][0], set[i][1], 1);
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--data", "d"), OK, "%s", err_detail(ERR_ARG));
    config_free(&config);
}

Test(config, a_variable_that_only_looks_like_one_of_kubernetes_is_refused)
{
    setenv("SLUICE_PORT", "8990", 1);
    REFUSED(CONFIG_SERVE, "SLUICE_PORT belongs to no option", "--data", "d");
}

Test(config, unknown_variable_is_refused)
{
    setenv("SLUICE_LISTN", "1", 1);
    REFUSED(CONFIG_SERVE, "SLUICE_LISTN belongs to no option", "--data", "d");
}

Test(config, bad_variable_is_named)
{
    setenv("SLUICE_BODY_MAX", "much", 1);
    REFUSED(CONFIG_SERVE, "SLUICE_BODY_MAX: \"much\" is not a whole number from 1024 to", "--data", "d");
}

Test(config, help_is_given_whatever_the_environment_holds)
{
    struct config config;
    setenv("SLUICE_LISTN", "1", 1);
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--help"), OK);
    cr_assert(config.help);
    config_free(&config);
}

Test(config, line_wins_over_environment_over_file)
{
    struct config config;
    char *path =
        temp_file("{\"data\": \"file\", \"port-file\": \"file\", \"views\": \"file\", \"listen\": [\"file:1\"]}");
    setenv("SLUICE_CONFIG", path, 1);
    setenv("SLUICE_DATA", "environment", 1);
    setenv("SLUICE_PORT_FILE", "environment", 1);
    setenv("SLUICE_LISTEN", "environment:1", 1);
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--data", "line"), OK);
    cr_assert_str_eq(config.data, "line");
    cr_assert_str_eq(config.port_file, "environment");
    cr_assert_str_eq(config.views, "file");
    cr_assert_eq(config.listen_count, 1);
    cr_assert_str_eq(config.listen[0], "environment:1");
    config_free(&config);
    unlink(path);
    free(path);
}

Test(config, log_named_on_the_line_wins_over_one_named_elsewhere)
{
    struct config config;
    setenv("SLUICE_DATA", "environment", 1);
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--follow", "line"), OK);
    cr_assert_str_eq(config.follow, "line");
    cr_assert_null(config.data);
    config_free(&config);
}

Test(config, file_takes_strings_numbers_booleans_and_arrays)
{
    struct config config;
    char *path = temp_file("{\"listen\": [\"a:1\", \"b:2\"], \"limit-max\": 7, \"public\": true, \"body-max\": \"2M\", "
                           "\"allow-host\": \"example.org\", \"rebuild\": \"all\"}");
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--config", path), OK, "%s", err_detail(ERR_ARG));
    cr_assert_eq(config.listen_count, 2);
    cr_assert_eq(config.limit_max, 7);
    cr_assert(config.public_read);
    cr_assert_eq(config.body_max, 2 << 20);
    cr_assert_eq(config.allow_host_count, 1);
    config_free(&config);
    unlink(path);
    free(path);
}

Test(config, file_errors_name_the_key)
{
    file_refused("{\"listn\": \"a\"}", "unknown key \"listn\"");
    file_refused("{\"help\": true}", "unknown key \"help\"");
    file_refused("{\"limit-max\": 0}", "limit-max: \"0\" is not a whole number from 1");
    file_refused("{\"limit-max\": 1.5}", "limit-max: give a string");
    file_refused("{\"data\": [\"a\"]}", "data: give a string");
    file_refused("{\"listen\": [[\"a\"]]}", "listen: give a string");
    file_refused("[]", "a JSON object of options is wanted");
    file_refused("{\"data\": \"a\", \"data\": \"b\"}", "line 1");
    file_refused("{", "line 1");
}

Test(config, absent_file_is_an_error)
{
    struct config config;
    cr_assert_eq(LOAD(CONFIG_SERVE, &config, "--config", "/nowhere/at/all"), ERR_NOFILE);
    config_free(&config);
}

Test(config, default_views_depend_on_the_path_of_the_log)
{
    setenv("XDG_DATA_HOME", "/data/home", 1);
    char *a = config_default_views("/nowhere/.ssb/flume/log.offset"),
         *b = config_default_views("/other/flume/log.offset");
    cr_assert_eq(strncmp(a, "/data/home/sluice/flume-log.offset-", 35), 0, "%s", a);
    cr_assert_str_neq(a, b);
    cr_assert_eq(strlen(a), 35 + 16);
    free(a);
    free(b);
}

Test(config, default_views_fall_back_to_home)
{
    setenv("XDG_DATA_HOME", "relative/is/ignored", 1);
    setenv("HOME", "/home/someone", 1);
    char *views = config_default_views("/a/b c/log.offset");
    cr_assert_eq(strncmp(views, "/home/someone/.local/share/sluice/b-c-log.offset-", 49), 0, "%s", views);
    free(views);
}
