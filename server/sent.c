#include "server/sent.h"

#include <string.h>

#include "server/text.h"
#include "store/err.h"
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

static int sent_check_key(struct slice key, const struct ref *id)
{
    if (key.data == NULL) return OK;
    char text[REF_TEXT_MAX + 2];
    size_t len = ref_print(id, text + 1);
    text[0] = text[len + 1] = '"';
    if (key.len == len + 2 && memcmp(key.data, text, key.len) == 0) return OK;
    return err_set(ERR_INVALID, "the key that was sent is not the message's id, which is %.*s", (int)len, text + 1);
}

int sent_check(struct slice text, struct feed_message *ret_message)
{
    struct sent sent;
    sent_read(text, &sent);
    int err = feed_check(sent.value.data, sent.value.len, NULL, ret_message);
    return err == OK ? sent_check_key(sent.key, &ret_message->id) : err;
}

bool sent_lines_next(struct sent_lines *lines, struct slice body, struct slice *ret_line, size_t *ret_number)
{
    while (lines->at < body.len) {
        const char *start = body.data + lines->at;
        const char *end = memchr(start, '\n', body.len - lines->at);
        size_t len = end == NULL ? body.len - lines->at : (size_t)(end - start);
        lines->at += end == NULL ? len : len + 1;
        size_t number = lines->line++;
        struct slice line = text_trim((struct slice){ start, len });
        if (line.len == 0) continue;
        *ret_line = line;
        *ret_number = number;
        return true;
    }
    return false;
}
