#include "server/ids.h"

#include <string.h>

#include "server/text.h"
#include "store/err.h"
#include "store/json.h"

#define ID_ESCAPED_MAX ((size_t)6 * REF_TEXT_MAX + 2) /* an id with every character escaped */

bool ids_text(struct slice text, bool *ret_uris)
{
    bool uris = text_is(text, "uri");
    if (!uris && !text_is(text, "sigil")) return false;
    *ret_uris = uris;
    return true;
}

/* Where the string that begins at `at` ends, behind its quote. The JSON is valid. */
static const char *string_end(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\') at++;
    return at < end ? at + 1 : end;
}

static bool string_is_id(struct slice raw, struct ref *ret_ref)
{
    if (raw.len < REF_TEXT_MAX - 1 + 2 || raw.len > ID_ESCAPED_MAX) return false;
    if (memchr(raw.data, '\\', raw.len) == NULL) return ref_try(raw.data + 1, raw.len - 2, ret_ref);
    struct buf plain;
    buf_init(&plain, ID_ESCAPED_MAX);
    bool is_id = json_unescape(raw, &plain) == OK && ref_try(plain.data, plain.len, ret_ref);
    buf_free(&plain);
    return is_id;
}

static void put_string(struct slice raw, struct buf *out)
{
    struct ref ref;
    char uri[REF_URI_MAX];
    size_t len = string_is_id(raw, &ref) ? ref_print_uri(&ref, uri) : 0;
    if (len > 0)
        (void)buf_put_json(out, uri, len);
    else
        (void)buf_append(out, raw.data, raw.len);
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at) != NULL && *at != '\0')
        at++;
    return at;
}

static bool name_is_theirs(struct slice raw)
{
    return text_is(raw, "\"value\"") || text_is(raw, "\"about\"");
}

/* A string at `at`, and what people wrote behind it. Answers where to go on. */
static const char *put_from_string(const char *at, const char *end, struct buf *out)
{
    const char *behind = string_end(at, end);
    struct slice raw = { at, (size_t)(behind - at) };
    put_string(raw, out);
    const char *colon = skip_space(behind, end);
    if (colon == end || *colon != ':' || !name_is_theirs(raw)) return behind;
    struct slice theirs;
    if (json_skip(colon + 1, (size_t)(end - colon - 1), &theirs) != OK) return behind;
    const char *next = theirs.data + theirs.len;
    (void)buf_append(out, behind, (size_t)(next - behind));
    return next;
}

static void put_uris(struct slice json, struct buf *out)
{
    const char *at = json.data, *end = json.data + json.len;
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        size_t plain = (size_t)((quote == NULL ? end : quote) - at);
        (void)buf_append(out, at, plain);
        at += plain;
        if (quote != NULL) at = put_from_string(at, end, out);
    }
}

int ids_to_uris(struct buf *out, size_t start)
{
    struct buf before;
    if (out->err != OK || out->len <= start) return out->err;
    buf_init(&before, out->len - start);
    if (buf_append(&before, out->data + start, out->len - start) != OK) {
        buf_free(&before);
        return err_set(ERR_NOMEM, "out of memory");
    }
    out->len = start;
    put_uris((struct slice){ before.data, before.len }, out);
    buf_free(&before);
    return out->err;
}
