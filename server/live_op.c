#include "server/live_op.h"

#include "server/api.h"
#include "server/text.h"
#include "store/err.h"
#include "store/json.h"

#define NAME_SHOWN_MAX 60

int live_op_not_object(void)
{
    return err_set(ERR_JSON, "an object like {\"op\":\"sub\",\"id\":\"a\"} is wanted");
}

static int member_plain(const struct json_member *member)
{
    struct slice name = member->key;
    if (name.len > NAME_SHOWN_MAX) name.len = NAME_SHOWN_MAX;
    if (member->value.data[0] != '{' && member->value.data[0] != '[') return OK;
    return err_set(ERR_ARG, "%.*s: a string, a whole number, true or false is wanted", (int)name.len, name.data);
}

int live_op_look(struct slice text)
{
    struct json_iter iter;
    struct json_member member;
    int err = OK;
    text = text_trim(text);
    if (text.len <= LIVE_OP_SHORT) return OK;
    if (text.data[0] != '{' || json_open(text, &iter) != OK) return live_op_not_object();
    for (size_t count = 0; err == OK && json_next(&iter, &member) == 1; count++) {
        err = member_plain(&member);
        if (err == OK && count >= API_PARAMS_MAX)
            err = err_set(ERR_ARG, "an operation has at most %d members", API_PARAMS_MAX);
    }
    return err;
}
