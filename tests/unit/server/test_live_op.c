#include <criterion/criterion.h>
#include <string.h>

#include "server/api.h"
#include "server/live_op.h"
#include "store/err.h"

/* `open`, and then `part` until the text is longer than a short one, and `close`. */
static int look(const char *open, const char *part, const char *close)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    (void)buf_puts(&text, open);
    do
        (void)buf_puts(&text, part);
    while (text.len <= LIVE_OP_SHORT);
    (void)buf_puts(&text, close);
    int err = live_op_look((struct slice){ text.data, text.len });
    buf_free(&text);
    return err;
}

Test(live_op, a_long_operation_is_one)
{
    cr_assert_eq(look("{\"op\":\"sub\",\"id\":\"", "abc", "\"}"), OK);
    cr_assert_eq(look("  {\"op\":\"sub\",\"old\":false,\"limit\":5,\"q\":\"", "[{,", "\"}\n"), OK);
}

Test(live_op, what_is_long_and_holds_more_than_plain_members_is_none)
{
    cr_assert_eq(look("", "[", ""), ERR_JSON);
    cr_assert_eq(look("", "[{\"op\":", ""), ERR_JSON);
    cr_assert_eq(look("", "nonsense", ""), ERR_JSON);
    cr_assert_eq(look("{\"a\":[", "1,", "1]}"), ERR_ARG);
    cr_assert_eq(look("{\"a\":1,\"b\":{\"c\":\"", "x", "\"}}"), ERR_ARG);
}

Test(live_op, as_many_members_as_there_are_parameters)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    (void)buf_puts(&text, "{\"op\":\"");
    while (text.len <= LIVE_OP_SHORT)
        (void)buf_putc(&text, 'x');
    for (int i = 1; i < API_PARAMS_MAX; i++)
        (void)buf_printf(&text, "\",\"m%d\":\"", i);
    (void)buf_puts(&text, "\"}");
    cr_assert_eq(live_op_look((struct slice){ text.data, text.len }), OK);
    text.len--;
    (void)buf_puts(&text, ",\"m\":1}");
    cr_assert_eq(live_op_look((struct slice){ text.data, text.len }), ERR_ARG);
    buf_free(&text);
}

Test(live_op, a_short_one_may_look_as_it_likes)
{
    static const char *const texts[] = { "", " ", "[", "nonsense", "{\"a\":[1]}" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(live_op_look((struct slice){ texts[i], strlen(texts[i]) }), OK, "%s", texts[i]);
    char text[LIVE_OP_SHORT + 1];
    memset(text, '[', sizeof text);
    cr_assert_eq(live_op_look((struct slice){ text, LIVE_OP_SHORT }), OK);
    cr_assert_eq(live_op_look((struct slice){ text, LIVE_OP_SHORT + 1 }), ERR_JSON);
}

Test(live_op, a_text_that_is_cut_is_looked_at_to_its_end_and_no_farther)
{
    char text[2 * LIVE_OP_SHORT];
    size_t len = 0;
    len += (size_t)(stpcpy(text, "{\"a\":\"") - text);
    memset(text + len, 'b', sizeof text - len);
    for (size_t cut = LIVE_OP_SHORT + 1; cut <= sizeof text; cut += 101)
        cr_assert_eq(live_op_look((struct slice){ text, cut }), OK);
}
