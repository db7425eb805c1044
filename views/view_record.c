#include "views/view_record.h"

#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "store/json_valid.h"
#include "store/private_record.h"

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool ref_is_feed(const struct ref *ref)
{
    return ref->kind == REF_FEED || ref->kind == REF_FEED_SHA256;
}

int record_ref(struct slice value, struct ref *ret_ref)
{
    /* Each of the characters may be written as six. */
    if (!json_is_string(value) || value.len > 2 + 6 * REF_TEXT_MAX) return ERR_REF;
    if (memchr(value.data, '\\', value.len) == NULL) return ref_parse(value.data + 1, value.len - 2, ret_ref);
    struct buf text;
    buf_init(&text, 6 * REF_TEXT_MAX);
    int err = json_unescape(value, &text);
    if (err == OK) err = ref_parse(text.data, text.len, ret_ref);
    buf_free(&text);
    return err == OK ? OK : ERR_REF;
}

int record_key(struct slice record, struct ref *ret_id)
{
    struct slice key;
    int found = json_find(record, "key", &key);
    if (found != 1) return found < 0 ? found : ERR_REF;
    return record_ref(key, ret_id);
}

static int record_member(struct slice record, const char *name, struct slice *ret_member)
{
    struct slice value;
    int found = json_find(record, "value", &value);
    return found == 1 ? json_find(value, name, ret_member) : found;
}

int record_author(struct slice record, struct ref *ret_author)
{
    struct slice author;
    struct ref ref;
    int found = record_member(record, "author", &author);
    if (found != 1) return found < 0 ? found : ERR_REF;
    if (record_ref(author, &ref) != OK || !ref_is_feed(&ref)) return ERR_REF;
    *ret_author = ref;
    return OK;
}

int record_previous(struct slice record, struct ref *ret_id)
{
    struct slice previous;
    int found = record_member(record, "previous", &previous);
    return found != 1 ? (found < 0 ? found : ERR_REF) : record_ref(previous, ret_id);
}

int record_content(struct slice record, struct slice *ret_content)
{
    return record_member(record, "content", ret_content);
}

static bool member_is(const char *member, struct slice name, struct slice record)
{
    return (size_t)(record.data + record.len - member) >= name.len && memcmp(member, name.data, name.len) == 0;
}

/* `{"key":…,"value":…,"timestamp":…}`, as all programs write it. */
static bool record_is_usual(struct slice record, const struct json_look *look)
{
    return look->members == 3 && member_is(look->second, SLICE_LITERAL("\"value\""), record) &&
           member_is(look->last, SLICE_LITERAL("\"timestamp\""), record);
}

bool record_names_ours(struct slice record, const struct json_look *look)
{
    static const char *const ours[] = { "seq", "encrypted", "id", "rank", "snippet" };
    struct json_iter iter;
    struct json_member member;
    if (record_is_usual(record, look) || json_open(record, &iter) != OK) return false;
    while (json_next(&iter, &member) == 1)
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            if (json_key_is(&member, ours[i])) return true;
    return false;
}

bool record_is_line(struct slice record)
{
    static const char start[] = "{\"key\"";
    struct json_look look;
    return record.len > sizeof start && memcmp(record.data, start, sizeof start - 1) == 0 &&
           record.data[record.len - 1] == '}' && json_valid_look(record, &look) && look.one_line &&
           !record_names_ours(record, &look);
}

bool record_is_plain(struct slice record)
{
    struct slice format;
    return record_is_line(record) && !private_record_format(record, &format);
}
