#include "views/hashtag.h"

#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "views/channel_name.h"

/* A raw string longer than this is no hashtag, even if every unit of it is escaped. */
#define RAW_MAX (6 * HASHTAG_UNITS_MAX)

/* The quote at `at` opens a string: it is not escaped itself. */
static bool quote_opens(struct slice json, size_t at)
{
    size_t slashes = 0;
    while (slashes < at && json.data[at - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 0;
}

/* The length of the raw string that starts at `at`; 0 = it is too long, or has no end. */
static size_t raw_length(struct slice json, size_t at)
{
    for (size_t i = at; i < json.len && i - at <= RAW_MAX; i++) {
        if (json.data[i] == '"') return i - at;
        if (json.data[i] == '\\') i++;
    }
    return 0;
}

static bool is_key(struct slice json, size_t behind)
{
    while (behind < json.len && strchr(" \t\r\n", json.data[behind]) != NULL && json.data[behind] != '\0')
        behind++;
    return behind < json.len && json.data[behind] == ':';
}

static bool hashtag_take(struct slice raw, char out[HASHTAG_BYTES_MAX], size_t *ret_len)
{
    struct buf text;
    buf_init(&text, HASHTAG_BYTES_MAX);
    bool taken = json_unescape(raw, &text) == OK && channel_tagged(text.data, text.len);
    if (taken) {
        memcpy(out, text.data, text.len);
        *ret_len = text.len;
    }
    buf_free(&text);
    return taken;
}

bool hashtag_next(struct slice json, size_t *at, char out[HASHTAG_BYTES_MAX], size_t *ret_len)
{
    while (*at < json.len) {
        const char *hit = memmem(json.data + *at, json.len - *at, "\"#", 2);
        if (hit == NULL) break;
        size_t start = (size_t)(hit - json.data) + 1;
        *at = start + 1;
        if (!quote_opens(json, start - 1)) continue;
        size_t len = raw_length(json, start);
        if (len < 2) continue;
        *at = start + len + 1;
        if (!is_key(json, *at) && hashtag_take((struct slice){ json.data + start, len }, out, ret_len)) return true;
    }
    *at = json.len;
    return false;
}
