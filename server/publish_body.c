#include "server/publish_body.h"

#include <string.h>

#include "server/text.h"
#include "store/box1.h"
#include "store/canonical.h"
#include "store/err.h"
#include "store/feed.h"
#include "store/json.h"

#define TYPE_MIN 3
#define TYPE_MAX 52
#define RECPS_TEXT_MAX ((size_t)BOX1_RECIPIENTS_MAX * (REF_TEXT_MAX + 3) + 16)

struct recps {
    bool given;
    struct ref feeds[BOX1_RECIPIENTS_MAX];
    size_t count;
};

/* ---- recipients ------------------------------------------------------------------------------------------------- */

static int recps_add(struct recps *recps, struct slice value)
{
    struct ref feed;
    if (value.len > 0 && value.data[0] == '{' && json_find(value, "link", &value) != 1) value.len = 0;
    if (!json_is_string(value) || !ref_try(value.data + 1, value.len - 2, &feed) || feed.kind != REF_FEED)
        return err_set(ERR_INVALID, "recps: each must be a feed id (@….ed25519)");
    if (recps->count == BOX1_RECIPIENTS_MAX)
        return err_set(ERR_INVALID, "recps: at most %d can read a message", BOX1_RECIPIENTS_MAX);
    recps->feeds[recps->count++] = feed;
    return OK;
}

/* A list, or one alone. Nothing but null means that everybody may read it: whoever sends something else wanted readers. */
static int recps_read(struct slice value, struct recps *ret_recps)
{
    struct json_iter iter;
    struct json_member member;
    if (value.data == NULL || text_is(value, "null")) return OK;
    ret_recps->given = true;
    if (value.data[0] != '[') return recps_add(ret_recps, value);
    int err = json_open(value, &iter), got = 0;
    while (err == OK && (got = json_next(&iter, &member)) == 1)
        err = recps_add(ret_recps, member.value);
    if (err == OK && got < 0) err = got;
    if (err == OK && ret_recps->count == 0) err = err_set(ERR_INVALID, "recps: a message for nobody");
    return err;
}

static bool recps_same(const struct recps *a, const struct recps *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = ref_equal(&a->feeds[i], &b->feeds[i]);
    return same;
}

static void recps_put(const struct recps *recps, struct buf *out)
{
    (void)buf_puts(out, "\"recps\":[");
    for (size_t i = 0; i < recps->count; i++) {
        if (i > 0) (void)buf_putc(out, ',');
        text_put_ref(out, &recps->feeds[i]);
    }
    (void)buf_putc(out, ']');
}

/* ---- the body --------------------------------------------------------------------------------------------------- */

static int body_members(struct slice body, struct slice *ret_content, struct slice *ret_recps)
{
    struct json_iter iter;
    struct json_member member;
    if (!json_valid(body)) return err_set(ERR_JSON, "the body is not valid JSON");
    if (body.data[0] != '{') return err_set(ERR_ARG, "the body must be an object: {\"content\":{…},\"recps\":[…]}");
    int err = json_open(body, &iter);
    while (err == OK && (err = json_next(&iter, &member)) == 1) {
        err = OK;
        if (json_key_is(&member, "content"))
            *ret_content = member.value;
        else if (json_key_is(&member, "recps"))
            *ret_recps = member.value;
        else
            err = err_set(ERR_ARG, "the body has content and recps, and no \"%.*s\"",
                          (int)(member.key.len < 100 ? member.key.len : 100), member.key.data);
    }
    if (err == OK && (ret_content->data == NULL || ret_content->data[0] != '{'))
        err = err_set(ERR_ARG, "\"content\" must be an object");
    return err;
}

/* As feed.h has it for what everybody reads: here it is asked of what only the recipients will. */
static int content_check(struct slice content)
{
    struct slice type;
    struct buf text;
    buf_init(&text, content.len + 1);
    int err = json_find(content, "type", &type);
    err = err == 1 && json_is_string(type) ? json_unescape(type, &text)
                                           : err_set(ERR_INVALID, "content.type must be a string");
    size_t units = err == OK ? canonical_utf16_length(text.len > 0 ? text.data : "", text.len) : 0;
    buf_free(&text);
    if (err != OK) return err;
    if (units < TYPE_MIN || units > TYPE_MAX)
        return err_set(ERR_INVALID, "content.type must have %d to %d characters, not %zu", TYPE_MIN, TYPE_MAX, units);
    units = canonical_utf16_length(content.data, content.len);
    if (units > FEED_MESSAGE_MAX)
        return err_set(ERR_INVALID, "the content alone has %zu characters; the most of a whole message is %d", units,
                       FEED_MESSAGE_MAX);
    return OK;
}

/* As JavaScript reads and prints it. */
static int content_print(struct slice raw, struct buf *out)
{
    struct canonical *doc = NULL;
    int err = canonical_parse(raw.data, raw.len, &doc);
    if (err == OK) err = canonical_print_compact(doc, out);
    canonical_free(doc);
    return err == ERR_LIMIT ? err_set(ERR_INVALID, "the content is deeper or longer than a message can be") : err;
}

/* Whose names stand in the content are its readers, and the other way round. */
static int recps_settle(struct recps *beside, struct buf *content)
{
    struct recps inside = { .given = false };
    struct slice value = { NULL, 0 };
    int err = json_find((struct slice){ content->data, content->len }, "recps", &value);
    if (err >= 0) err = recps_read(value, &inside);
    if (err != OK) return err;
    if (beside->given && inside.given && !recps_same(beside, &inside))
        return err_set(ERR_INVALID, "the recps beside the content and those in it are not the same");
    if (inside.given) *beside = inside;
    if (!beside->given || inside.given) return OK;
    if (value.data != NULL)
        return err_set(ERR_INVALID,
                       "the content says that everybody may read it (recps is null), what is beside it does not");
    content->len--;
    (void)buf_putc(content, ',');
    recps_put(beside, content);
    return buf_putc(content, '}');
}

static int content_seal(const struct recps *recps, struct slice content, struct buf *out)
{
    (void)buf_putc(out, '"');
    int err = box1_seal(content, recps->feeds, recps->count, out);
    if (err == ERR_ARG) return err_set(ERR_INVALID, "recps: one of them is no key that something can be encrypted to");
    return err == OK ? buf_putc(out, '"') : err;
}

int publish_body_read(struct slice body, struct buf *out)
{
    struct slice raw = { NULL, 0 }, beside = { NULL, 0 };
    struct recps recps = { .given = false };
    struct buf content;
    body = text_trim(body);
    if (body.len == 0) return err_set(ERR_ARG, "the body is empty: {\"content\":{…}} is wanted");
    if (body.len > PUBLISH_BODY_MAX)
        return err_set(ERR_LIMIT, "a body of %zu bytes; the most is %zu", body.len, PUBLISH_BODY_MAX);
    buf_init(&content, PUBLISH_BODY_MAX + RECPS_TEXT_MAX);
    int err = body_members(body, &raw, &beside);
    if (err == OK) err = recps_read(beside, &recps);
    if (err == OK) err = content_print(raw, &content);
    if (err == OK) err = content_check((struct slice){ content.data, content.len });
    if (err == OK) err = recps_settle(&recps, &content);
    struct slice text = { content.data, content.len };
    if (err == OK) err = recps.given ? content_seal(&recps, text, out) : buf_append(out, text.data, text.len);
    buf_free(&content);
    return err;
}
