#include "tests/support/message_oracle.h"

#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"

struct found {
    char *path, *rel, *text; /* path and text as C strings: jansson refuses NUL in keys, and no reference holds one */
};

struct found_list {
    struct found *items;
    size_t count, cap;
};

static char *copy(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    if (out == NULL) abort();
    if (len > 0) memcpy(out, text, len);
    out[len] = '\0';
    return out;
}

static void found_add(struct found_list *list, char *path, char *rel, char *text)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 16 : 2 * list->cap;
        list->items = realloc(list->items, list->cap * sizeof *list->items);
        if (list->items == NULL) abort();
    }
    list->items[list->count++] = (struct found){ path, rel, text };
}

static void found_free(struct found_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].rel);
        free(list->items[i].text);
    }
    free(list->items);
}

static int found_order(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

/* A second opinion on what a reference is, as a regular expression. */
static bool is_ref(const char *text, size_t len)
{
    static regex_t regex;
    static bool ready;
    if (!ready) {
        const char *pattern = "^(%[A-Za-z0-9/+]{42}[AEIMQUYcgkosw048]=\\.(sha256|cloaked)"
                              "|@[A-Za-z0-9/+]{42}[AEIMQUYcgkosw048]=\\.(sha256|ed25519)"
                              "|&[A-Za-z0-9/+]{42}[AEIMQUYcgkosw048]=\\.sha256)$";
        if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) abort();
        ready = true;
    }
    if (len < 50 || len > 60 || strlen(text) != len || text[len - 1] == '\n') return false;
    return regexec(&regex, text, 0, NULL, 0) == 0;
}

static char *path_join(const char *path, const char *key)
{
    size_t len = strlen(path);
    char *out = malloc(len + 2 * strlen(key) + 2), *at = out + len;
    if (out == NULL) abort();
    memcpy(out, path, len);
    *at++ = '/';
    for (; *key != '\0'; key++) {
        if (*key == '~' || *key == '/') *at++ = '~';
        *at++ = *key == '~' ? '0' : *key == '/' ? '1' : *key;
    }
    *at = '\0';
    return out;
}

static void found_walk(struct found_list *list, const json_t *value, const char *path, const char *rel)
{
    if (json_is_string(value) && is_ref(json_string_value(value), json_string_length(value)))
        found_add(list, copy(path, strlen(path)), copy(rel, strlen(rel)),
                  copy(json_string_value(value), json_string_length(value)));
    for (size_t i = 0; i < json_array_size(value); i++) {
        char index[32];
        snprintf(index, sizeof index, "%zu", i);
        char *below = path_join(path, index);
        found_walk(list, json_array_get(value, i), below, rel);
        free(below);
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        char *below = path_join(path, key);
        found_walk(list, member, below, rel != NULL ? rel : key);
        free(below);
    }
}

static bool same_text(struct slice text, const json_t *value)
{
    if (!json_is_string(value)) return text.data == NULL;
    size_t len = json_string_length(value);
    return text.data != NULL && text.len == len && memcmp(text.data, json_string_value(value), len) == 0;
}

static bool same_number(bool has, double number, const json_t *value)
{
    if (!json_is_number(value)) return !has;
    return has && number == json_number_value(value);
}

static bool same_sequence(const struct message *m, const json_t *value)
{
    double number = json_is_number(value) ? json_number_value(value) : -1;
    bool whole = number >= 0 && number <= 9007199254740991.0 && number == (double)(long long)number;
    return m->has_sequence == whole && (!whole || (double)m->sequence == number);
}

static bool same_raw(struct slice raw, json_t *value)
{
    if (value == NULL || raw.data == NULL) return value == NULL && raw.data == NULL;
    json_t *again = json_loadb(raw.data, raw.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = json_equal(again, value) != 0;
    json_decref(again);
    return same;
}

/* Is the field the reference that the text of `value` is, and nothing if that is none or has another sigil? */
static bool same_ref(const struct ref *ref, const json_t *value, const char *sigils, bool cloaked)
{
    char text[REF_TEXT_MAX];
    const char *want = json_string_value(value);
    bool is = want != NULL && is_ref(want, json_string_length(value)) && strchr(sigils, want[0]) != NULL &&
              (cloaked || strstr(want, ".cloaked") == NULL);
    if (!is) return ref->kind == REF_NONE;
    size_t len = ref->kind == REF_NONE ? 0 : ref_print(ref, text);
    return len == strlen(want) && memcmp(text, want, len) == 0;
}

static bool same_refs(const struct message *m, const json_t *content, const struct found_list *got)
{
    struct found_list want = { NULL, 0, 0 };
    if (json_is_object(content)) found_walk(&want, content, "", NULL);
    if (want.count > 0) qsort(want.items, want.count, sizeof *want.items, found_order);
    bool same = want.count == m->ref_count;
    for (size_t i = 0; same && i < want.count; i++)
        same = strcmp(want.items[i].path, got->items[i].path) == 0 &&
               strcmp(want.items[i].rel, got->items[i].rel) == 0 && strcmp(want.items[i].text, got->items[i].text) == 0;
    found_free(&want);
    return same;
}

/* Also for texts that are no JSON: every reference must have a path, and they stand in text order. */
static const char *collect(const struct message *m, struct found_list *got)
{
    struct buf path;
    const char *wrong = NULL;
    buf_init(&path, 1 << 24);
    for (size_t i = 0; i < m->ref_count; i++) {
        char text[REF_TEXT_MAX];
        buf_reset(&path);
        if (message_ref_path(m, i, &path) != OK) wrong = "no path";
        if (i > 0 && m->refs[i].at <= m->refs[i - 1].at) wrong = "order of refs";
        if (m->refs[i].at >= m->record.len || m->record.data[m->refs[i].at] != '"') wrong = "at";
        found_add(got, copy(path.data, path.len), copy(m->refs[i].rel.data, m->refs[i].rel.len),
                  copy(text, ref_print(&m->refs[i].ref, text)));
    }
    buf_free(&path);
    if (got->count > 0) qsort(got->items, got->count, sizeof *got->items, found_order);
    return wrong;
}

static const char *compare(const struct message *m, const json_t *record, const struct found_list *got)
{
    json_t *value = json_object_get(record, "value"), *content = json_object_get(value, "content");
    if (!same_text(m->key, json_object_get(record, "key"))) return "key";
    if (!same_ref(&m->id, json_object_get(record, "key"), "%@&", true)) return "id";
    if (!same_number(m->has_received, m->received, json_object_get(record, "timestamp"))) return "received";
    if (!same_raw(m->value, value)) return "value";
    if (!same_raw(m->content, content)) return "content";
    if (!same_text(m->author, json_object_get(value, "author"))) return "author";
    if (!same_ref(&m->author_ref, json_object_get(value, "author"), "@", true)) return "author_ref";
    if (!same_sequence(m, json_object_get(value, "sequence"))) return "sequence";
    if (!same_number(m->has_timestamp, m->timestamp, json_object_get(value, "timestamp"))) return "timestamp";
    if (!same_text(m->type, json_object_get(content, "type"))) return "type";
    if (!same_text(m->channel, json_object_get(content, "channel"))) return "channel";
    if (!same_ref(&m->root, json_object_get(content, "root"), "%", false)) return "root";
    if (m->is_private != json_is_string(content)) return "is_private";
    bool opened = json_is_object(content) && json_is_true(json_object_get(value, "private"));
    if (m->is_opened != opened) return "is_opened";
    return same_refs(m, content, got) ? NULL : "refs";
}

enum oracle_answer message_oracle(struct message *message, const char *data, size_t len, const char **ret_what)
{
    struct found_list got = { NULL, 0, 0 };
    if (message_scan(message, data, len) != OK) {
        *ret_what = "out of memory";
        return ORACLE_DIFFERS;
    }
    const char *what = collect(message, &got);
    /* jansson loses a NUL byte that stands between tokens, where no JSON has one */
    bool nul = len > 0 && memchr(data, 0, len) != NULL;
    json_t *record = nul ? NULL : json_loadb(data, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (what == NULL && record != NULL) what = compare(message, record, &got);
    enum oracle_answer answer = what != NULL ? ORACLE_DIFFERS : record != NULL ? ORACLE_SAME : ORACLE_NO_JSON;
    json_decref(record);
    found_free(&got);
    if (what != NULL) *ret_what = what;
    return answer;
}
