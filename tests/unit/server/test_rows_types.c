/* The list of types where a name cannot be told, because every message of that type was deleted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/rows_views.h"
#include "tests/support/corpus.h"

static struct corpus_flume served;
static struct config config = { .limit_max = 100 };
static struct server server = { .config = &config };

/* Two types longer than a view keeps, the first of them with deleted messages only, and a short one. */
static void setup(void)
{
    static char lines[3][500];
    char type[300];
    const char *texts[3];
    memset(type, 'x', sizeof type);
    type[299] = '\0';
    for (int i = 0; i < 3; i++) {
        if (i < 2)
            (void)snprintf(lines[i], sizeof lines[i], "{\"value\":{\"content\":{\"type\":\"%s%d\"}}}", type, i);
        else
            (void)snprintf(lines[i], sizeof lines[i], "{\"value\":{\"content\":{\"type\":\"zz\"}}}");
        texts[i] = lines[i];
    }
    corpus_serve_texts(texts, 3, &served);
    corpus_settle(&served);
    corpus_delete(&served, 0);
    server.flume = served.flume;
}

static void teardown(void)
{
    corpus_stop(&served);
}

TestSuite(rows_types, .init = setup, .fini = teardown, .timeout = 300);

static size_t count_rows(struct slice after, int64_t limit, struct buf *ret_next)
{
    struct rows *rows = NULL;
    struct buf out;
    size_t count = 0;
    buf_init(&out, 65536);
    const struct counts_params params = { .after = after, .limit = limit, .follow = FOLLOW_NONE };
    cr_assert_eq(rows_types_open(&server, &params, &rows), OK);
    while (count < 10 && rows_next(rows, &out) == 1)
        count++;
    buf_reset(ret_next);
    if (count > 0) cr_assert_eq(rows->ops->next_page(rows, ret_next), OK);
    (void)buf_putc(ret_next, '\0');
    rows_free(rows);
    buf_free(&out);
    return count;
}

Test(rows_types, each_comes_once_though_its_name_is_not_known)
{
    struct buf next;
    buf_init(&next, 4096);
    cr_expect_eq(count_rows((struct slice){ NULL, 0 }, -1, &next), 3);
    buf_free(&next);
}

Test(rows_types, pages_go_on_though_the_name_is_not_known)
{
    struct buf next;
    char after[1000];
    size_t len = 0;
    buf_init(&next, 4096);
    for (int page = 0; page < 3; page++) {
        cr_expect_eq(count_rows((struct slice){ page == 0 ? NULL : after, len }, 1, &next), 1);
        cr_assert_eq(strncmp(next.data, "gt=", 3), 0);
        len = 0;
        for (const char *at = next.data + 3; *at != '\0'; at++) {
            after[len++] = *at != '%' ? *at : (char)strtol((char[]){ at[1], at[2], '\0' }, NULL, 16);
            if (*at == '%') at += 2;
        }
    }
    cr_expect_eq(count_rows((struct slice){ after, len }, 1, &next), 0, "%.*s", (int)len, after);
    buf_free(&next);
}
