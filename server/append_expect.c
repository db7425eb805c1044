#include "server/append_expect.h"

#include <string.h>

#include "server/text.h"

/* What stands between the quotes of one tag. */
static bool tag_open(struct slice tag, struct slice *ret_inside)
{
    if (tag.len < 2 || tag.data[0] != '"' || tag.data[tag.len - 1] != '"') return false;
    *ret_inside = (struct slice){ tag.data + 1, tag.len - 2 };
    return true;
}

static int expect_tag(struct append_expect *expect, bool any, struct slice tag)
{
    struct slice inside;
    struct ref *head = &expect->heads[expect->expect.count];
    if (!tag_open(tag, &inside))
        return err_set(ERR_ARG, "If-Match: %s in double quotes is wanted, or *", any ? "a seq" : "an id");
    if (any) {
        if (expect->expect.count++ == 0 && text_int(inside, SEQ_EMPTY, SEQ_MAX, &expect->expect.head)) return OK;
        return err_set(
            ERR_ARG, "If-Match: the seq of the log's newest record is wanted, in double quotes; -1 while it is empty");
    }
    if (expect->expect.count == APPEND_HEADS_MAX)
        return err_set(ERR_ARG, "If-Match: more than %d ids", APPEND_HEADS_MAX);
    if (ref_parse_any(inside.data, inside.len, head) != OK || head->kind != REF_MESSAGE)
        return err_set(ERR_ARG, "If-Match: the id of a feed's newest message is wanted, in double quotes");
    expect->expect.count++;
    return OK;
}

static int expect_list(struct append_expect *expect, bool any, struct slice list)
{
    int err = OK;
    if (text_is(text_trim(list), "*")) {
        expect->expect.some = true;
        return OK;
    }
    while (err == OK && list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.data);
        err = expect_tag(expect, any, text_trim((struct slice){ list.data, len }));
        len += comma != NULL;
        list = (struct slice){ list.data + len, list.len - len };
    }
    return err == OK && expect->expect.count == 0 ? err_set(ERR_ARG, "If-Match: an empty list") : err;
}

int append_expect_read(const struct api_request *req, bool any, struct append_expect *ret_expect)
{
    struct slice some = req->if_match, none = req->if_none_match;
    *ret_expect = (struct append_expect){ .expect = { .head = SEQ_EMPTY - 1 } };
    if (some.data == NULL && none.data == NULL) return 0;
    if (some.data != NULL && none.data != NULL)
        return err_set(ERR_ARG, "If-Match and If-None-Match contradict each other: give one");
    if (none.data != NULL && !text_is(text_trim(none), "*"))
        return err_set(ERR_ARG, "If-None-Match: only * makes sense here: that there is no message of the feed yet");
    ret_expect->expect.none = none.data != NULL;
    int err = some.data != NULL ? expect_list(ret_expect, any, some) : OK;
    return err == OK ? 1 : err;
}
