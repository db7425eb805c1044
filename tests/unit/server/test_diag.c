#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/diag.h"

/* What `say` writes to stderr, in a static buffer. */
static const char *said(void (*say)(void))
{
    static char text[8192];
    int ends[2], kept = dup(STDERR_FILENO);
    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    say();
    dup2(kept, STDERR_FILENO);
    close(ends[1]);
    close(kept);
    ssize_t len = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void say_something(void)
{
    diag_warn("something", "port=%d", 7);
}

static void say_much(void)
{
    char *much = malloc(5001);
    memset(much, 'x', 5000);
    much[5000] = '\0';
    diag_info("much", "text=%s", much);
    free(much);
}

static void say_lines(void)
{
    diag_error("lines", "a=%s", "1\nlevel=info");
}

Test(diag, line_has_time_level_event_and_pairs)
{
    const char *line = said(say_something);
    cr_assert_eq(strncmp(line, "time=2", 6), 0, "%s", line);
    const char *rest = strstr(line, "Z level=warn event=something port=7\n");
    cr_assert_not_null(rest, "%s", line);
    cr_assert_eq(rest - line, 28, "milliseconds: %s", line);
}

Test(diag, long_line_is_cut)
{
    const char *line = said(say_much);
    size_t len = strlen(line);
    cr_assert_lt(len, 2049);
    cr_assert_gt(len, 2000);
    cr_assert_eq(line[len - 1], '\n');
}

Test(diag, event_stays_on_one_line)
{
    const char *line = said(say_lines);
    cr_assert_eq(strchr(line, '\n') - line + 1, (ptrdiff_t)strlen(line), "%s", line);
}

Test(diag, quote_escapes_what_could_mislead)
{
    char out[DIAG_QUOTE_MAX];
    cr_assert_str_eq(diag_quote("a b=c", out), "\"a b=c\"");
    cr_assert_str_eq(diag_quote("\"\\\n\r\t", out), "\"\\\"\\\\\\n\\r\\t\"");
    cr_assert_str_eq(diag_quote("\x1b[2J\x7f\xc2\x9b", out), "\"\\x1b[2J\\x7f\\xc2\\x9b\"");
    cr_assert_str_eq(diag_quote("", out), "\"\"");
}

Test(diag, quote_cuts_to_fit_whatever_the_length)
{
    char text[2 * DIAG_QUOTE_MAX], out[DIAG_QUOTE_MAX];
    for (size_t len = 0; len < sizeof text; len++) {
        memset(text, len % 2 == 0 ? 'x' : '\x01', len);
        text[len] = '\0';
        size_t got = strlen(diag_quote(text, out));
        cr_assert_lt(got, DIAG_QUOTE_MAX);
        cr_assert_eq(out[got - 1], '"');
        if (len >= DIAG_QUOTE_MAX) cr_assert_not_null(strstr(out, "...\""));
        if (len < 70) cr_assert_null(strstr(out, "..."));
    }
}
