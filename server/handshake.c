#include "server/handshake.h"

#include <sodium.h>
#include <string.h>

#include "server/limits.h"
#include "server/text.h"
#include "store/base64.h"

#define LENGTH_DIGITS_MAX 15 /* of Content-Length: far above any body, far below an overflow */

static const struct handshake_fault fault_control = {
    "bad-request", "a control character, a bare CR or a bare LF stands in the head"
};
static const struct handshake_fault fault_line = { "bad-request", "the request line is not: METHOD TARGET HTTP/1.1" };
static const struct handshake_fault fault_version = { "wrong-version", "HTTP/1.1 is spoken here" };
static const struct handshake_fault fault_field = { "bad-request", "a header field is folded or is not: NAME: VALUE" };
static const struct handshake_fault fault_twice = { "bad-request", "a header field that may stand once stands twice" };
static const struct handshake_fault fault_no_host = { "bad-request", "the Host field is missing" };
static const struct handshake_fault fault_host = { "bad-request", "the Host field is not: NAME or NAME:PORT" };
static const struct handshake_fault fault_length = { "bad-request", "Content-Length is no number" };
static const struct handshake_fault fault_large = { "too-large", "Content-Length is beyond every limit" };
static const struct handshake_fault fault_coding = { "bad-request",
                                                     "the only Transfer-Encoding taken here is chunked" };
static const struct handshake_fault fault_old_coding = { "bad-request", "HTTP/1.0 knows no Transfer-Encoding" };
static const struct handshake_fault fault_both = { "bad-request",
                                                   "Content-Length and Transfer-Encoding contradict each other" };
static const struct handshake_fault fault_parameters = { "bad-request", "there are too many query parameters" };
static const struct handshake_fault fault_fields = { "headers-too-large",
                                                     "there are too many header fields or cookies" };
static const struct handshake_fault fault_key = { "bad-request", "Sec-WebSocket-Key has to be 16 bytes in base64" };
static const struct handshake_fault fault_body = { "bad-request", "a WebSocket handshake has no body" };

size_t handshake_start(const char *data, size_t len)
{
    return len >= 2 && memcmp(data, "\r\n", 2) == 0 ? 2 : 0;
}

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

bool handshake_token(struct slice text)
{
    static const char signs[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && memchr(signs, c, sizeof signs - 1) == NULL) return false;
    }
    return text.len > 0;
}

bool handshake_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
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

/* ---- the request line ---- */

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t count_of(struct slice text, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == c;
    return count;
}

static const struct handshake_fault *version_read(struct slice word, struct handshake *handshake)
{
    if (word.len != 8 || memcmp(word.data, "HTTP/", 5) != 0 || word.data[6] != '.' || !digit(word.data[5]) ||
        !digit(word.data[7]))
        return &fault_line;
    if (word.data[5] != '1') return &fault_version;
    handshake->minor = word.data[7] - '0';
    return NULL;
}

static const struct handshake_fault *request_line(struct slice line, struct handshake *handshake)
{
    const char *space = line.len == 0 ? NULL : memchr(line.data, ' ', line.len);
    const char *last = space == NULL ? NULL : memrchr(line.data, ' ', line.len);
    if (space == last) return &fault_line;
    handshake->method = (struct slice){ line.data, (size_t)(space - line.data) };
    handshake->target = (struct slice){ space + 1, (size_t)(last - space) - 1 };
    struct slice version = { last + 1, line.len - (size_t)(last - line.data) - 1 };
    if (!handshake_token(handshake->method) || handshake->target.len == 0 ||
        memchr(handshake->target.data, ' ', handshake->target.len) != NULL ||
        memchr(handshake->target.data, '\t', handshake->target.len) != NULL)
        return &fault_line;
    return version_read(version, handshake);
}

/* ---- fields ---- */

/* What RFC 3986 lets stand in an authority, without the comma and the at-sign that make two of one. */
static bool host_valid(struct slice host)
{
    static const char signs[] = "-._~!$&'()*+;=%:[]";
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || digit(c);
        if (!word && memchr(signs, c, sizeof signs - 1) == NULL) return false;
    }
    return true;
}

static const struct handshake_fault *field_take(struct slice line, struct handshake *handshake)
{
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL) return &fault_field;
    struct slice name = { line.data, (size_t)(colon - line.data) };
    if (!handshake_token(name)) return &fault_field;
    struct slice value = text_trim((struct slice){ colon + 1, line.len - name.len - 1 });
    if (text_is_nocase(name, "upgrade"))
        handshake->websocket |= handshake_has_word(value, "websocket");
    else if (text_is_nocase(name, "connection"))
        handshake->hop |= handshake_has_word(value, "upgrade");
    else if (text_is_nocase(name, "cookie"))
        handshake->cookies += value.len;
    else if (text_is_nocase(name, "sec-websocket-protocol") && handshake->socket_protocol.data == NULL)
        handshake->socket_protocol = value;
    const struct {
        const char *name;
        struct slice *field;
    } single[] = {
        { "host", &handshake->host },
        { "origin", &handshake->origin },
        { "authorization", &handshake->authorization },
        { "content-type", &handshake->content_type },
        { "content-length", &handshake->content_length },
        { "transfer-encoding", &handshake->transfer_encoding },
        { "sec-websocket-key", &handshake->socket_key },
        { "sec-websocket-version", &handshake->socket_version },
    };
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (!text_is_nocase(name, single[i].name)) continue;
        if (single[i].field->data != NULL) return &fault_twice;
        *single[i].field = value;
    }
    return NULL;
}

static bool digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!digit(text.data[i])) return false;
    return text.len > 0;
}

static const struct handshake_fault *fields_judge(const struct handshake *handshake)
{
    struct slice length = handshake->content_length, coding = handshake->transfer_encoding;
    if (handshake->host.data == NULL && handshake->minor > 0) return &fault_no_host;
    if (handshake->host.data != NULL && !host_valid(handshake->host)) return &fault_host;
    if (length.data != NULL && coding.data != NULL) return &fault_both;
    /* not trimmed: libmicrohttpd does not either */
    if (length.data != NULL && (!digits(length) || length.data[length.len] != '\r')) return &fault_length;
    if (length.len > LENGTH_DIGITS_MAX) return &fault_large;
    if (coding.data == NULL) return NULL;
    if (handshake->minor == 0) return &fault_old_coding;
    return text_is_nocase(coding, "chunked") && coding.data[coding.len] == '\r' ? NULL : &fault_coding;
}

/* ---- the head ---- */

static const struct handshake_fault *bytes_judge(const char *data, size_t len, size_t from)
{
    for (size_t i = from; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c != 0x7f) continue;
        bool good = c == '\t' || (c == '\n' && i > 0 && data[i - 1] == '\r') ||
                    (c == '\r' && (i + 1 == len || data[i + 1] == '\n'));
        if (!good) return &fault_control;
    }
    return NULL;
}

const struct handshake_fault *handshake_glance(const char *data, size_t len, size_t seen)
{
    struct handshake handshake;
    struct slice rest = { data, len }, line;
    /* a CR at the end could not be judged last time */
    const struct handshake_fault *fault = bytes_judge(data, len, seen > 0 ? seen - 1 : 0);
    return fault == NULL && line_cut(&rest, &line) ? request_line(line, &handshake) : fault;
}

const struct handshake_fault *handshake_judge(const char *data, size_t len, struct handshake *ret_handshake)
{
    struct handshake handshake = { 0 };
    struct slice rest = { data, len }, line;
    const struct handshake_fault *fault = bytes_judge(data, len, 0);
    if (fault != NULL) return fault;
    if (!line_cut(&rest, &line)) return &fault_line;
    fault = request_line(line, &handshake);
    size_t pieces = count_of(handshake.target, '&');
    if (fault == NULL && pieces >= LIMIT_FIELDS) fault = &fault_parameters;
    while (fault == NULL && line_cut(&rest, &line) && line.len > 0) {
        pieces += 1 + count_of(line, ';');
        fault = pieces > LIMIT_FIELDS ? &fault_fields : field_take(line, &handshake);
    }
    if (fault == NULL) fault = fields_judge(&handshake);
    if (fault != NULL) return fault;
    handshake.upgrade = handshake.websocket && handshake.hop;
    *ret_handshake = handshake;
    return NULL;
}

bool handshake_parse(const char *data, size_t len, struct handshake *ret_handshake)
{
    struct handshake handshake;
    if (handshake_end(data, len) == 0 || handshake_judge(data, len, &handshake) != NULL || handshake.minor == 0)
        return false;
    *ret_handshake = handshake;
    return true;
}

bool handshake_live(const struct handshake *handshake)
{
    struct slice target = handshake->target;
    const char *question = memchr(target.data, '?', target.len);
    if (question != NULL) target.len = (size_t)(question - target.data);
    return handshake->upgrade && handshake->minor > 0 && text_is(handshake->method, "GET") &&
           text_is(handshake->socket_version, "13") && text_is(target, "/live");
}

/* 16 bytes in base64. */
static bool key_valid(struct slice key)
{
    unsigned char bytes[16];
    return key.data != NULL && base64_read_exactly(key, sodium_base64_VARIANT_ORIGINAL, bytes, sizeof bytes);
}

const struct handshake_fault *handshake_live_judge(const struct handshake *handshake)
{
    struct slice length = handshake->content_length;
    if (!key_valid(handshake->socket_key)) return &fault_key;
    /* its bytes would be read as frames */
    if (handshake->transfer_encoding.data != NULL || (length.data != NULL && !text_is(length, "0"))) return &fault_body;
    return NULL;
}
