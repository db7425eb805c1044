#include "store/message.h"

#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "store/json_walk.h"
#include "store/message_keys.h"

#define MESSAGE_SEQUENCE_MAX 9007199254740991.0 /* 2^53 - 1 */
#define MESSAGE_REF_RAW_MAX (6 * REF_TEXT_MAX)  /* a reference with every character as \u00xx */

/* One scan. Its functions take the place of a value and answer where the value ends; NULL gives up: the text is no JSON, or
 * `err` is set. A place given to them is always below `end`. */
struct scan {
    struct message *message;
    struct message_keys *keys;
    const char *start, *end;
    size_t depth; /* of the objects open around what is scanned: record, value, content */
    struct slice rel;
    int err;
};

#define SCAN_KEY_IS(key, name) ((key).len == sizeof(name) - 1 && memcmp((key).data, name, sizeof(name) - 1) == 0)

void message_init(struct message *message)
{
    *message = (struct message){ .record = { NULL, 0 } };
    buf_init(&message->scratch, 2 * (size_t)MESSAGE_BYTES_MAX);
}

void message_free(struct message *message)
{
    if (message == NULL) return;
    free(message->refs);
    buf_free(&message->scratch);
    message_keys_free(message->keys);
    message_init(message);
}

/* Forgets the results and keeps the memory. */
static void message_clear(struct message *message, struct slice record)
{
    struct message clear = { .record = record,
                             .refs = message->refs,
                             .ref_cap = message->ref_cap,
                             .scratch = message->scratch,
                             .keys = message->keys };
    buf_reset(&clear.scratch);
    *message = clear;
}

static const char *scan_skip(const struct scan *s, const char *p)
{
    static const struct json_visitor nobody = { 0 };
    return json_walk(p, s->end, JSON_DEPTH_MAX - s->depth, &nobody, NULL);
}

/* Text without its escapes, in scratch; a bad escape gives data == NULL. Scratch never moves while its texts are in use: no
 * part of the record is put there twice and unescaping makes shorter, so one reservation is enough for all of them. */
static bool scan_unescape(struct scan *s, struct slice *text)
{
    struct buf *scratch = &s->message->scratch;
    if (scratch->len == 0) s->err = buf_reserve(scratch, s->message->record.len + 1);
    if (s->err != OK) return false;
    size_t at = scratch->len;
    bool good = json_unescape(*text, scratch) == OK;
    *text = good ? (struct slice){ scratch->data + at, scratch->len - at } : (struct slice){ NULL, 0 };
    return true;
}

/* A string without its escapes; data == NULL if the value is something else. */
static const char *scan_text(struct scan *s, const char *p, struct slice *ret_text)
{
    bool escaped;
    *ret_text = (struct slice){ NULL, 0 };
    if (*p != '"') return scan_skip(s, p);
    const char *close = json_string_end(p + 1, s->end, &escaped);
    if (close == NULL) return NULL;
    *ret_text = (struct slice){ p + 1, (size_t)(close - p - 1) };
    if (escaped && !scan_unescape(s, ret_text)) return NULL;
    return close + 1;
}

static const char *scan_number(const struct scan *s, const char *p, bool *ret_has, double *ret_number)
{
    const char *stop = scan_skip(s, p);
    *ret_has = stop != NULL && json_number((struct slice){ p, (size_t)(stop - p) }, ret_number);
    return stop;
}

static bool scan_ref_grow(struct scan *s)
{
    struct message *m = s->message;
    size_t cap = m->ref_cap == 0 ? 64 : 2 * m->ref_cap;
    struct message_ref *refs = realloc(m->refs, cap * sizeof *refs);
    if (refs == NULL) {
        s->err = err_set(ERR_NOMEM, "scanning a record: no memory for %zu references", cap);
        return false;
    }
    m->refs = refs;
    m->ref_cap = cap;
    return true;
}

/* Takes `text`, which stands at `at` (its opening quote), if it is a reference. false = out of memory. */
static bool scan_ref(struct scan *s, struct slice text, const char *at, struct ref *ret_ref)
{
    struct message *m = s->message;
    if (text.len != REF_TEXT_MAX && text.len != REF_TEXT_MAX - 1) return true;
    if (!ref_try(text.data, text.len, ret_ref) || m->ref_count == MESSAGE_REFS_MAX) return true;
    if (m->ref_count == m->ref_cap && !scan_ref_grow(s)) return false;
    m->refs[m->ref_count++] = (struct message_ref){ .ref = *ret_ref, .rel = s->rel, .at = (uint32_t)(at - s->start) };
    return true;
}

/* An escaped string may be a reference too ("%…\/…=.sha256"): what is not kept of it leaves scratch again. */
static bool scan_ref_escaped(struct scan *s, struct slice raw, const char *at, struct ref *ret_ref)
{
    struct buf *scratch = &s->message->scratch;
    if (raw.len < REF_TEXT_MAX || raw.len > MESSAGE_REF_RAW_MAX || strchr("%@&\\", raw.data[0]) == NULL) return true;
    size_t before = scratch->len;
    if (!scan_unescape(s, &raw)) return false;
    bool more = raw.data == NULL || scan_ref(s, raw, at, ret_ref);
    scratch->len = before;
    return more;
}

static bool scan_string_hook(void *ctx, const char *p, const char *end, bool escaped)
{
    struct scan *s = ctx;
    struct ref ref;
    struct slice raw = { p, (size_t)(end - p) };
    return escaped ? scan_ref_escaped(s, raw, p - 1, &ref) : scan_ref(s, raw, p - 1, &ref);
}

static bool scan_push_key(struct scan *s, struct slice key)
{
    s->err = message_keys_push(s->keys, key, s->end, s->message->ref_count);
    return s->err == OK;
}

static bool scan_key_hook(void *ctx, const char *p, const char *end, bool escaped)
{
    struct scan *s = ctx;
    struct slice key = { p, (size_t)(end - p) };
    if (!escaped) return scan_push_key(s, key);
    return scan_unescape(s, &key) && key.data != NULL && scan_push_key(s, key);
}

static bool scan_open_hook(void *ctx, bool object)
{
    struct scan *s = ctx;
    (void)object;
    s->keys->bases[s->keys->depth++] = (uint32_t)s->keys->count;
    return true;
}

static bool scan_settle(struct scan *s, size_t base)
{
    s->err = message_keys_settle(s->keys, base, s->message);
    return s->err == OK;
}

static bool scan_close_hook(void *ctx, bool object)
{
    struct scan *s = ctx;
    size_t base = s->keys->bases[--s->keys->depth];
    return !object || scan_settle(s, base);
}

/* A value inside content that is no string of its top level. */
static const char *scan_inside(struct scan *s, const char *p)
{
    static const struct json_visitor visitor = {
        .open = scan_open_hook, .close = scan_close_hook, .key = scan_key_hook, .string = scan_string_hook
    };
    return json_walk(p, s->end, JSON_DEPTH_MAX - s->depth, &visitor, s);
}

/* From a key to the value behind the colon. */
static inline const char *scan_key(struct scan *s, const char *p, struct slice *ret_key)
{
    bool escaped;
    if (p == s->end || *p != '"') return NULL;
    const char *close = json_string_end(p + 1, s->end, &escaped);
    if (close == NULL) return NULL;
    *ret_key = (struct slice){ p + 1, (size_t)(close - p - 1) };
    if (escaped && (!scan_unescape(s, ret_key) || ret_key->data == NULL)) return NULL;
    p = json_space(close + 1, s->end);
    if (p == s->end || *p != ':') return NULL;
    p = json_space(p + 1, s->end);
    return p == s->end ? NULL : p;
}

typedef const char *scan_member_fn(struct scan *s, struct slice key, const char *p);

/* The object at `p`, each member handed to `member`. */
static inline __attribute__((always_inline)) const char *scan_members(struct scan *s, const char *p,
                                                                      scan_member_fn *member)
{
    s->depth++;
    p = json_space(p + 1, s->end);
    bool more = p == s->end || *p != '}';
    while (more) {
        struct slice key;
        p = scan_key(s, p, &key);
        if (p == NULL) return NULL;
        p = member(s, key, p);
        if (p == NULL) return NULL;
        p = json_space(p, s->end);
        if (p == s->end || (*p != ',' && *p != '}')) return NULL;
        more = *p == ',';
        if (more) p = json_space(p + 1, s->end);
    }
    s->depth--;
    return p + 1;
}

static const char *scan_content_member(struct scan *s, struct slice key, const char *p)
{
    struct message *m = s->message;
    struct ref ref = { .kind = REF_NONE };
    struct slice text;
    if (!scan_push_key(s, key)) return NULL;
    s->rel = key;
    bool type = SCAN_KEY_IS(key, "type"), channel = SCAN_KEY_IS(key, "channel"), root = SCAN_KEY_IS(key, "root");
    if (type) m->type = (struct slice){ NULL, 0 };
    if (channel) m->channel = (struct slice){ NULL, 0 };
    if (root) m->root.kind = REF_NONE;
    if (*p != '"') return scan_inside(s, p);
    bool escaped;
    const char *close = json_string_end(p + 1, s->end, &escaped);
    if (close == NULL) return NULL;
    text = (struct slice){ p + 1, (size_t)(close - p - 1) };
    if (escaped && (type || channel) && !scan_unescape(s, &text)) return NULL;
    bool kept = type || channel || !escaped;
    if (!(kept ? text.data == NULL || scan_ref(s, text, p, &ref) : scan_ref_escaped(s, text, p, &ref))) return NULL;
    if (type) m->type = text;
    if (channel) m->channel = text;
    if (root && ref.kind == REF_MESSAGE) m->root = ref;
    return close + 1;
}

/* Of "content" that stands twice the last counts, so what the first left is forgotten; likewise "value" below. */
static const char *scan_content(struct scan *s, const char *p)
{
    struct message *m = s->message;
    const char *start = p;
    m->type = m->channel = m->content = (struct slice){ NULL, 0 };
    m->root.kind = REF_NONE;
    m->ref_count = 0;
    m->is_private = *p == '"';
    if (*p == '{') {
        p = scan_members(s, p, scan_content_member);
        if (p != NULL && !scan_settle(s, 0)) return NULL;
    } else {
        p = scan_skip(s, p);
    }
    if (p != NULL) m->content = (struct slice){ start, (size_t)(p - start) };
    return p;
}

static const char *scan_author(struct scan *s, const char *p)
{
    struct message *m = s->message;
    m->author_ref.kind = REF_NONE;
    p = scan_text(s, p, &m->author);
    struct ref ref;
    if (m->author.data == NULL || !ref_try(m->author.data, m->author.len, &ref)) return p;
    if (ref.kind == REF_FEED || ref.kind == REF_FEED_SHA256) m->author_ref = ref;
    return p;
}

static const char *scan_sequence(struct scan *s, const char *p)
{
    struct message *m = s->message;
    double number = 0;
    p = scan_number(s, p, &m->has_sequence, &number);
    m->has_sequence =
        m->has_sequence && number >= 0 && number <= MESSAGE_SEQUENCE_MAX && number == (double)(int64_t)number;
    m->sequence = m->has_sequence ? (int64_t)number : 0;
    return p;
}

static const char *scan_value_member(struct scan *s, struct slice key, const char *p)
{
    struct message *m = s->message;
    if (SCAN_KEY_IS(key, "author")) return scan_author(s, p);
    if (SCAN_KEY_IS(key, "sequence")) return scan_sequence(s, p);
    if (SCAN_KEY_IS(key, "timestamp")) return scan_number(s, p, &m->has_timestamp, &m->timestamp);
    if (SCAN_KEY_IS(key, "content")) return scan_content(s, p);
    if (SCAN_KEY_IS(key, "private")) m->is_opened = *p == 't';
    return scan_skip(s, p);
}

static const char *scan_value(struct scan *s, const char *p)
{
    struct message *m = s->message;
    const char *start = p;
    m->author = m->type = m->channel = m->content = (struct slice){ NULL, 0 };
    m->author_ref.kind = m->root.kind = REF_NONE;
    m->has_sequence = m->has_timestamp = m->is_private = m->is_opened = false;
    m->ref_count = 0;
    p = *p == '{' ? scan_members(s, p, scan_value_member) : scan_skip(s, p);
    m->is_opened = m->is_opened && m->content.data != NULL && *m->content.data == '{';
    if (p != NULL) m->value = (struct slice){ start, (size_t)(p - start) };
    return p;
}

static const char *scan_record_member(struct scan *s, struct slice key, const char *p)
{
    struct message *m = s->message;
    if (SCAN_KEY_IS(key, "value")) return scan_value(s, p);
    if (SCAN_KEY_IS(key, "timestamp")) return scan_number(s, p, &m->has_received, &m->received);
    if (!SCAN_KEY_IS(key, "key")) return scan_skip(s, p);
    p = scan_text(s, p, &m->key);
    if (m->key.data == NULL || !ref_try(m->key.data, m->key.len, &m->id)) m->id.kind = REF_NONE;
    return p;
}

static bool scan_record(struct scan *s)
{
    const char *p = json_space(s->start, s->end);
    if (p == s->end || *p != '{') return false;
    p = scan_members(s, p, scan_record_member);
    return p != NULL && json_space(p, s->end) == s->end;
}

/* Takes out the references that were struck. */
static void message_pack(struct message *message)
{
    size_t kept = 0;
    for (size_t i = 0; i < message->ref_count; i++)
        if (message->refs[i].ref.kind != REF_NONE) message->refs[kept++] = message->refs[i];
    message->ref_count = kept;
}

int message_scan(struct message *message, const char *data, size_t len)
{
    struct slice record = { data, len };
    message_clear(message, record);
    if (len > MESSAGE_BYTES_MAX) return OK;
    if (message->keys == NULL) message->keys = message_keys_new();
    if (message->keys == NULL) return err_set(ERR_NOMEM, "scanning a record: no memory for its keys");
    message->keys->count = message->keys->depth = 0;
    message->keys->struck = false;
    struct scan s = { .message = message, .keys = message->keys, .start = data, .end = data + len };
    if (!scan_record(&s))
        message_clear(message, record);
    else if (message->keys->struck)
        message_pack(message);
    return s.err;
}

double message_rts(const struct message *message)
{
    if (!message->has_received) return message->has_timestamp ? message->timestamp : 0;
    if (!message->has_timestamp) return message->received;
    return message->timestamp < message->received ? message->timestamp : message->received;
}
