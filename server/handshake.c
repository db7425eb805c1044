#include "server/handshake.h"

#include <string.h>

#include "server/text.h"

size_t handshake_end(const char *data, size_t len)
{
    const char *end = len < 4 ? NULL : memmem(data, len, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - data) + 4;
}

bool handshake_has_word(struct slice field, const char *word)
{
    while (field.len > 0) {
        const char *comma = memchr(field.data, ',', field.len);
        size_t len = comma == NULL ? field.len : (size_t)(comma - field.data);
        if (text_is_nocase(text_trim((struct slice){ field.data, len }), word)) return true;
        if (comma == NULL) return false;
        field = (struct slice){ comma + 1, field.len - len - 1 };
    }
    return false;
}

static bool line_clean(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static bool request_line(struct slice line, struct handshake *handshake)
{
    static const char version[] = " HTTP/1.1";
    const size_t version_len = sizeof version - 1;
    const char *space = line.len == 0 ? NULL : memchr(line.data, ' ', line.len);
    if (space == NULL || line.len < version_len) return false;
    size_t method_len = (size_t)(space - line.data);
    if (method_len == 0 || line.len < method_len + 1 + version_len) return false;
    size_t target_len = line.len - method_len - 1 - version_len;
    if (memcmp(line.data + line.len - version_len, version, version_len) != 0) return false;
    if (target_len == 0 || memchr(space + 1, ' ', target_len) != NULL || memchr(space + 1, '\t', target_len) != NULL)
        return false;
    handshake->method = (struct slice){ line.data, method_len };
    handshake->target = (struct slice){ space + 1, target_len };
    return true;
}

struct fields {
    struct slice host, origin, authorization, upgrade, connection;
};

static bool field_take(struct slice line, struct fields *fields)
{
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL || colon == line.data || line.data[0] == ' ' || line.data[0] == '\t') return false;
    struct slice name = { line.data, (size_t)(colon - line.data) };
    if (name.data[name.len - 1] == ' ' || name.data[name.len - 1] == '\t') return false;
    struct slice value = text_trim((struct slice){ colon + 1, line.len - name.len - 1 });
    const struct {
        const char *name;
        struct slice *field;
    } known[] = {
        { "host", &fields->host },
        { "origin", &fields->origin },
        { "authorization", &fields->authorization },
        { "upgrade", &fields->upgrade },
        { "connection", &fields->connection },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!text_is_nocase(name, known[i].name)) continue;
        if (known[i].field->data != NULL) return false;
        *known[i].field = value;
    }
    return true;
}

/* Cuts one line off; the head ends with an empty one. */
static bool line_cut(struct slice *rest, struct slice *ret_line)
{
    const char *end = rest->len < 2 ? NULL : memmem(rest->data, rest->len, "\r\n", 2);
    if (end == NULL) return false;
    size_t len = (size_t)(end - rest->data);
    *ret_line = (struct slice){ rest->data, len };
    *rest = (struct slice){ end + 2, rest->len - len - 2 };
    return true;
}

bool handshake_parse(const char *data, size_t len, struct handshake *ret_handshake)
{
    struct handshake handshake = { 0 };
    struct fields fields = { 0 };
    struct slice rest = { data, len }, line;
    if (!line_cut(&rest, &line) || !line_clean(line) || !request_line(line, &handshake)) return false;
    while (line_cut(&rest, &line)) {
        if (line.len == 0) {
            handshake.host = fields.host;
            handshake.origin = fields.origin;
            handshake.authorization = fields.authorization;
            handshake.upgrade =
                handshake_has_word(fields.upgrade, "websocket") && handshake_has_word(fields.connection, "upgrade");
            *ret_handshake = handshake;
            return true;
        }
        if (!line_clean(line) || !field_take(line, &fields)) return false;
    }
    return false;
}

bool handshake_live(const struct handshake *handshake)
{
    struct slice target = handshake->target;
    const char *question = memchr(target.data, '?', target.len);
    if (question != NULL) target.len = (size_t)(question - target.data);
    return handshake->upgrade && handshake->host.data != NULL && text_is(handshake->method, "GET") &&
           text_is(target, "/live");
}
