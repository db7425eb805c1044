#include "store/private_record.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "store/canonical.h"
#include "store/err.h"
#include "store/json.h"

#define BOXED BOX1_SUFFIX "\""

/* value and value.content as they stand in the record: false unless content is a string. */
static bool content_find(struct slice record, struct slice *ret_value, struct slice *ret_content)
{
    return json_find(record, "value", ret_value) == 1 && json_find(*ret_value, "content", ret_content) == 1 &&
           json_is_string(*ret_content);
}

/* ---- how it is encrypted -------------------------------------------------------------------------------------- */

/* Is there a member "content" anywhere that is a string? */
static bool content_likely(struct slice record)
{
    static const char name[] = "\"content\"";
    const char *at = record.data, *end = record.data + record.len;
    while ((at = memmem(at, (size_t)(end - at), name, sizeof name - 1)) != NULL) {
        at += sizeof name - 1;
        while (at < end && (*at == ':' || *at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
            at++;
        if (at < end && *at == '"') return true;
    }
    return false;
}

static struct slice format_of(struct slice text)
{
    const char *dot = text.len == 0 ? NULL : memrchr(text.data, '.', text.len);
    if (dot == NULL) return SLICE_LITERAL("unknown");
    struct slice suffix = { dot + 1, (size_t)(text.data + text.len - dot - 1) };
    if (suffix.len == 0 || suffix.len > PRIVATE_FORMAT_MAX) return SLICE_LITERAL("unknown");
    for (size_t i = 0; i < suffix.len; i++)
        if (!isascii((unsigned char)suffix.data[i]) || !isalnum((unsigned char)suffix.data[i]))
            return SLICE_LITERAL("unknown");
    return suffix.len == 3 && memcmp(suffix.data, "box", 3) == 0 ? SLICE_LITERAL("box1") : suffix;
}

bool private_record_format(struct slice record, struct slice *ret_format)
{
    struct slice value, content;
    if (record.len == 0 || !content_likely(record) || !content_find(record, &value, &content)) return false;
    *ret_format = format_of((struct slice){ content.data + 1, content.len - 2 });
    return true;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

bool private_record_likely(struct slice record)
{
    return record.len > 0 && memmem(record.data, record.len, BOXED, sizeof BOXED - 1) != NULL;
}

static bool object_is(struct slice plain)
{
    struct slice value;
    struct canonical *doc = NULL;
    if (json_skip(plain.data, plain.len, &value) != OK || value.len == 0 || value.data[0] != '{') return false;
    bool valid = canonical_parse(plain.data, plain.len, &doc) == OK;
    canonical_free(doc);
    return valid;
}

static int record_put(struct slice record, struct slice value, struct slice content, size_t plain_at, struct buf *out)
{
    const char *behind = content.data + content.len, *end = value.data + value.len - 1;
    if (!object_is((struct slice){ out->data + plain_at, out->len - plain_at })) return 0;
    (void)buf_append(out, behind, (size_t)(end - behind));
    (void)buf_puts(out, ",\"meta\":{\"private\":true,\"original\":{\"content\":");
    (void)buf_append(out, content.data, content.len);
    (void)buf_puts(out, "}},\"private\":true");
    (void)buf_append(out, end, (size_t)(record.data + record.len - end));
    return out->err == OK ? 1 : out->err;
}

int private_record_open(const struct box1_key *key, struct slice record, struct buf *out)
{
    struct slice value, content;
    size_t start = out->len;
    if (!private_record_likely(record) || !content_find(record, &value, &content)) return 0;
    const struct slice text = { content.data + 1, content.len - 2 };
    if (!box1_is(text)) return 0;
    int found = buf_append(out, record.data, (size_t)(content.data - record.data));
    size_t plain_at = out->len;
    if (found == OK) found = box1_open(key, text, out);
    if (found == 1) found = record_put(record, value, content, plain_at, out);
    if (found != 1 && out->data != NULL) {
        sodium_memzero(out->data + start, out->len - start);
        out->len = start;
    }
    return found;
}
