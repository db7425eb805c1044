/* A list of contacts has so many people, and says so when there are more; in pages there may be any number. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/rows_social.h"
#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

#define AT_ONCE 1024
#define TEXT_MAX 260

extern const struct view_ops view_contacts_ops;
static const struct view_ops *const views[] = { &view_contacts_ops, NULL };
static struct ref follower;
static char *dir;
static char path[SCRATCH_PATH];

static int open_log(void *ctx, struct log **ret_log)
{
    (void)ctx;
    return log_offset_open(&(struct log_offset_options){ .path = path }, NULL, ret_log);
}

/* The follower follows the n-th feed. */
static struct slice contact(size_t n, char text[TEXT_MAX])
{
    char author[REF_TEXT_MAX], other[REF_TEXT_MAX];
    struct ref id = { .kind = REF_FEED };
    memcpy(id.id, &n, sizeof n);
    int author_len = (int)ref_print(&follower, author), other_len = (int)ref_print(&id, other);
    int len = snprintf(text, TEXT_MAX,
                       "{\"value\":{\"author\":\"%.*s\",\"content\":{\"type\":\"contact\",\"contact\":\"%.*s\","
                       "\"following\":true}}}",
                       author_len, author, other_len, other);
    return (struct slice){ text, (size_t)len };
}

static void log_write(size_t count)
{
    static char texts[AT_ONCE][TEXT_MAX];
    struct slice values[AT_ONCE];
    struct log *log;
    cr_assert_eq(open_log(NULL, &log), OK);
    for (size_t n = 0; n < count; n += AT_ONCE) {
        for (size_t i = 0; i < AT_ONCE; i++)
            values[i] = contact(n + i, texts[i]);
        cr_assert_eq(log_append(log, values, AT_ONCE, NULL), OK);
    }
    cr_assert_eq(log_sync(log), OK);
    log_close(log);
}

static void setup(void)
{
    follower = (struct ref){ .kind = REF_FEED, .id = { [31] = 1 } };
    dir = scratch_make();
    scratch_path(dir, "log.offset", path);
}

static void teardown(void)
{
    scratch_remove(dir);
}

TestSuite(rows_contacts, .init = setup, .fini = teardown, .timeout = 300);

static int list(struct server *server, int64_t limit)
{
    struct rows *rows;
    const struct contacts_params params = {
        .feed = follower, .list = LIST_FOLLOWS, .limit = limit, .follow = FOLLOW_NONE
    };
    int err = rows_contacts_open(server, &params, &rows);
    if (err == OK) rows_free(rows);
    return err;
}

Test(rows_contacts, a_list_has_so_many_people_and_not_one_more)
{
    const struct config config = { .query_timeout = 60 };
    const struct flume_options options = { .open_log = open_log, .views_dir = dir, .views = views, .accept_any = true };
    char text[TEXT_MAX];
    cr_assert_eq(SAID_AUTHORS_MAX % AT_ONCE, 0);
    log_write(SAID_AUTHORS_MAX);
    struct server server = { .config = &config, .flume = kit_open(&options) };
    cr_assert_eq(kit_wait_head(server.flume, CONTACTS_VIEWS), OK);
    cr_expect_eq(list(&server, -1), OK);
    (void)contact(SAID_AUTHORS_MAX, text);
    cr_assert_eq(kit_append_text(server.flume, text, false, NULL), OK);
    cr_assert_eq(kit_wait_head(server.flume, CONTACTS_VIEWS), OK);
    cr_expect_eq(list(&server, -1), ERR_LIMIT);
    cr_expect_eq(list(&server, 1000), OK, "a page of it");
    flume_close(server.flume);
}
