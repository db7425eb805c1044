#include "server/sent.h"

#include "store/json.h"

/* Is the bracket that closes the value the last byte? */
static bool sent_ends(const struct json_iter *iter)
{
    const char *at = iter->at;
    while (at < iter->end && *at != '}')
        at++;
    return iter->end - at == 1;
}

void sent_read(struct slice text, struct sent *ret_sent)
{
    const struct slice none = { NULL, 0 };
    struct sent bare = { text, none, none }, record = { none, none, none };
    struct json_iter iter;
    struct json_member member;
    *ret_sent = bare;
    if (text.len == 0 || text.data[0] != '{' || json_open(text, &iter) != 0) return;
    int more;
    while ((more = json_next(&iter, &member)) == 1) {
        if (json_key_is(&member, "author")) return;
        if (json_key_is(&member, "value")) record.value = member.value;
        if (json_key_is(&member, "key")) record.key = member.value;
        if (json_key_is(&member, "timestamp")) record.timestamp = member.value;
    }
    if (more == 0 && record.value.data != NULL && sent_ends(&iter)) *ret_sent = record;
}
